"""Settings files: YAML, read into frozen models in which a key that is not known is an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from totalmap.errors import ConfigError
from totalmap.settings_errors import explain, explain_yaml


class Section(BaseModel):
    """Base of all sections: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySection = TypeVar("AnySection", bound=Section)


def read_sections(path: Path) -> dict[str, Any]:
    """Returns what a settings file holds, by section.

    Raises:
        ConfigError: The file is missing, is not YAML, or holds no sections.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"settings file {path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        # Without a cause: its text quotes lines of the file.
        raise ConfigError(
            f"settings file {path} is not valid YAML: {explain_yaml(error)}"
        ) from None
    if not isinstance(document, dict):
        raise ConfigError(f"settings file {path} must hold sections such as `segmentation:`")
    return document


def validated(
    model: type[AnySection], sections: Mapping[str, Any], path: Path, *others: str
) -> AnySection:
    """Returns sections as a model.

    Args:
        model: Of the whole file.
        sections: As read from the file, with what is laid over it.
        path: Of the file, for the message.
        others: Where else the sections may come from, for the message.

    Raises:
        ConfigError: A section or key is not known, or a value is out of range. The message never
            holds a value that may be a secret.
    """
    try:
        return model.model_validate(sections)
    except ValidationError as error:
        places = " or ".join((str(path), *others))
        raise ConfigError(f"{explain(model, error)} (in {places})") from None

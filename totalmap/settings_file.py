"""Reads YAML settings files into frozen models; unknown keys are errors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from totalmap.errors import ConfigError
from totalmap.settings_errors import explain, explain_yaml


class Section(BaseModel):
    """Base of all sections: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySection = TypeVar("AnySection", bound=Section)


def read_sections(path: Path) -> dict[str, Any]:
    """Returns the sections of a settings file.

    Raises:
        ConfigError: The file is missing, is not YAML, or holds no sections.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"settings file {path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        # Without `from error`: its text quotes lines of the file.
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
        model: Model of the whole file.
        sections: Sections of the file, with all overrides.
        path: Path of the file, for the message.
        others: Other sources of the sections, for the message.

    Raises:
        ConfigError: A section or key is unknown, or a value is out of range. The message never
            holds a value that may be a secret.
    """
    try:
        return model.model_validate(sections)
    except ValidationError as error:
        places = " or ".join((str(path), *others))
        raise ConfigError(f"{explain(model, error)} (in {places})") from None

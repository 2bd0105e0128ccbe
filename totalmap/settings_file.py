"""Settings files: YAML, read into frozen models in which a key that is not known is an error."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from totalmap.errors import ConfigError


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
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"settings file {path} must hold sections such as `segmentation:`")
    return document


def validated(
    model: type[AnySection],
    sections: Mapping[str, Any],
    path: Path,
    *,
    secret: Collection[str] = (),
) -> AnySection:
    """Returns sections as a model.

    Args:
        model: Of the whole file.
        sections: As read from the file, with the environment's overrides.
        path: Of the file, for the message.
        secret: Settings whose values are never shown, as `section.key`.

    Raises:
        ConfigError: A section or key is not known, or a value is out of range.
    """
    try:
        return model.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        value = "" if where in secret else f" (value {first['input']!r})"
        raise ConfigError(
            f"setting {where}: {first['msg']}{value} in {path} or the environment"
        ) from None

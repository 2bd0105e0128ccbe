"""The settings: app.yaml, overridable as TOTALMAP_SECTION__KEY, read into frozen models.

Nothing outside this file reads `os.environ`.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from totalmap.errors import ConfigError
from totalmap.log import LogFormat

ENV_PREFIX = "TOTALMAP_"
ENV_NESTING = "__"


class Variant(StrEnum):
    """Which of TotalSegmentator's resolutions to run: 1.5, 3 or 6 mm for task total."""

    FULL = "full"
    FAST = "fast"
    FASTEST = "fastest"


class ResultKind(StrEnum):
    """What to write: a DICOM SEG, a multi-label NIfTI."""

    SEG = "seg"
    NIFTI = "nifti"


class Section(BaseModel):
    """Base of all sections: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ApplicationSection(Section):
    """What `monai-deploy package` writes into the manifest; not used at run time."""

    model_config = ConfigDict(frozen=True, extra="allow")

    title: str = "TotalMAP"
    version: str = "0.0.0"


class ResourcesSection(Section):
    """What `monai-deploy package` asks of the machine; not used at run time."""

    model_config = ConfigDict(frozen=True, extra="allow")


class StudySection(Section):
    """How a study is read."""

    missing_uids: Literal["repair", "refuse"] = "repair"


class SelectionSection(Section):
    """Which series may be segmented, and which of them is preferred."""

    modalities: tuple[str, ...] = ("CT",)
    min_slices: PositiveInt = 10
    max_slice_spacing_mm: PositiveFloat = 6.0
    soft_kernel_first: bool = True


class SegmentationSection(Section):
    """What is segmented, and with which model."""

    task: str = "total"
    variant: Variant = Variant.FAST


class ResultsSection(Section):
    """What is written."""

    kinds: tuple[ResultKind, ...] = Field(default=(ResultKind.SEG, ResultKind.NIFTI), min_length=1)


class LoggingSection(Section):
    """How events are written to standard error."""

    format: LogFormat = "text"


class Settings(Section):
    """All sections of app.yaml."""

    application: ApplicationSection = ApplicationSection()
    resources: ResourcesSection = ResourcesSection()
    study: StudySection = StudySection()
    selection: SelectionSection = SelectionSection()
    segmentation: SegmentationSection = SegmentationSection()
    results: ResultsSection = ResultsSection()
    logging: LoggingSection = LoggingSection()


def load_settings(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings file and lays the environment's overrides over it.

    Raises:
        ConfigError: The file is missing or is not YAML, a section, key or environment name is
            not known, or a value is out of range.
    """
    sections = _read_yaml(path)
    for (section, key), value in _overrides(environment).items():
        present = sections.get(section) or {}
        sections[section] = {**present, key: value} if isinstance(present, dict) else present
    try:
        return Settings.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting {where}: {first['msg']} (value {first['input']!r}) "
            f"in {path} or the environment"
        ) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"settings file {path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"settings file {path} must hold sections such as `segmentation:`")
    return document


def _overrides(environment: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    """Returns {(section, key): value} of all TOTALMAP_SECTION__KEY variables."""
    overrides: dict[tuple[str, str], Any] = {}
    for name, text in environment.items():
        if not name.startswith(ENV_PREFIX):
            continue
        section, nesting, key = name.removeprefix(ENV_PREFIX).lower().partition(ENV_NESTING)
        if not nesting or section not in Settings.model_fields:
            known = ", ".join(sorted(Settings.model_fields))
            raise ConfigError(
                f"environment variable {name} is not a setting: "
                f"expected {ENV_PREFIX}SECTION{ENV_NESTING}KEY with a section of {known}"
            )
        try:
            overrides[section, key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"environment variable {name} is not valid YAML") from error
    return overrides

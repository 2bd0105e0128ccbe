"""Reads the settings: app.yaml, overridden by TOTALMAP_SECTION__KEY, into frozen models."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
)
from totalsegmentator.map_to_binary import class_map
from totalsegmentator.registry import task_modality

from totalmap.environment_variables import process_environment
from totalmap.errors import ConfigError
from totalmap.log import LogFormat
from totalmap.report_settings import ReportSection
from totalmap.result_options import (
    UID_KEY,
    NiftiGrid,
    Rejected,
    RoiNames,
    SegSplit,
    SegTransferSyntax,
    require_known_placeholders,
)
from totalmap.selection_settings import SelectionSection
from totalmap.settings_errors import key_elsewhere, not_one_of
from totalmap.settings_file import Section, read_sections, validated
from totalmap.suggest_similar_words import did_you_mean, nearest, quoted_if_close

# Sources that override the settings file, in messages.
_OVERRIDING_SOURCES = ("the environment", "the arguments")

ENV_PREFIX = "TOTALMAP_"
ENV_NESTING = "__"


class Variant(StrEnum):
    """The resolution of TotalSegmentator's networks: 1.5, 3 or 6 mm for task total.

    Most tasks have only `full`.
    """

    FULL = "full"
    FAST = "fast"
    FASTEST = "fastest"


class Arithmetic(StrEnum):
    """How a network is computed on a CPU.

    `exact` gives TotalSegmentator's labels voxel by voxel; `compiled` is float32 in another order
    of summation; `bf16` is bfloat16, allowed for weights that were measured with it.
    """

    EXACT = "exact"
    COMPILED = "compiled"
    BF16 = "bf16"


class Search(StrEnum):
    """Where each network of a task with several networks searches.

    `whole` is the whole volume. `boxes` is the box of the network's own structures, which a coarse
    network finds first; it is allowed for weights that were measured with it.
    """

    WHOLE = "whole"
    BOXES = "boxes"


class Device(StrEnum):
    """The device that runs the networks; `auto` takes an NVIDIA GPU if there is one.

    `gpu`, the name in TotalSegmentator's command, means `cuda`.
    """

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    @classmethod
    def _missing_(cls, value: object) -> "Device | None":
        return cls.CUDA if value == "gpu" else None


class MemoryShort(StrEnum):
    """What to do if all networks at once need more memory than there is.

    `smaller` loads one network at a time and keeps no freed memory: the same labels take longer.
    """

    SMALLER = "smaller"
    REFUSE = "refuse"


class ResultKind(StrEnum):
    """The kinds of results (docs/results.md)."""

    SEG = "seg"
    SEG_LABELMAP = "seg_labelmap"
    SR = "sr"
    RTSTRUCT = "rtstruct"
    PREVIEW = "preview"
    OVERLAY = "overlay"
    REPORT = "report"
    CSV = "csv"
    NIFTI = "nifti"
    PDF = "pdf"


class GapPolicy(StrEnum):
    """What to do with a stack in which slices are missing, unusable or unevenly spaced."""

    REJECT = "reject"
    FILL = "fill"


# Few viewers read a label map, an overlay is needed only where viewers show no SEG, and the PDF
# repeats the report.
_UNUSUAL_RESULTS = (ResultKind.SEG_LABELMAP, ResultKind.OVERLAY, ResultKind.PDF)
USUAL_RESULTS = tuple(kind for kind in ResultKind if kind not in _UNUSUAL_RESULTS)

# What can be sent to a PACS.
DICOM_RESULTS = frozenset(ResultKind) - {ResultKind.REPORT, ResultKind.CSV, ResultKind.NIFTI}

MAX_INTEGER_STRING = 2**31 - 1  # PS3.5 6.2, IS


class ApplicationSection(Section):
    """Values that `monai-deploy package` writes into the manifest; not used at run time."""

    model_config = ConfigDict(frozen=True, extra="allow")

    title: str = "TotalMAP"
    version: str = "0.0.0"


class ResourcesSection(Section):
    """What `monai-deploy package` requires of the machine; not used at run time."""

    model_config = ConfigDict(frozen=True, extra="allow")


class StudySection(Section):
    """How a study is read."""

    missing_uids: Literal["repair", "refuse"] = "repair"


class GeometrySection(Section):
    """How missing and unevenly spaced slices are treated, and the size limits of a volume."""

    gaps: GapPolicy = GapPolicy.REJECT
    max_gap_mm: PositiveFloat = 10.0
    max_extent_mm: PositiveFloat = 2500.0
    max_voxels: PositiveInt = 1_000_000_000
    max_series_gb: PositiveFloat = 8.0


class SegmentationSection(Section):
    """What is segmented, and with which model.

    Attributes:
        variant: None: `fast` if the task has it, else `full`.
        structures: The structures to look for, by TotalSegmentator's names; empty: all.
        cache_folder: Where a folder `totalmap` keeps what was proven about this machine, and
            compiled networks (docs/speed.md); None: $XDG_CACHE_HOME or $HOME/.cache.
        licence_number: The number of TotalSegmentator's licence, for tasks that need one.
        accepted_licences: Licences of weights, beyond those that allow any use, under which the
            site may use them; SPDX identifiers.
    """

    task: str = "total"
    variant: Variant | None = None
    structures: tuple[str, ...] = ()
    search: Search = Search.WHOLE
    arithmetic: Arithmetic = Arithmetic.EXACT
    device: Device = Device.AUTO
    memory_short: MemoryShort = MemoryShort.SMALLER
    cache_folder: Path | None = None
    licence_number: SecretStr | None = None
    accepted_licences: tuple[str, ...] = ()


class SeriesNumbersSection(Section):
    """Series Number (0020,0011) of each kind of DICOM result."""

    seg: int = Field(default=9001, ge=0, le=MAX_INTEGER_STRING)
    seg_labelmap: int = Field(default=9002, ge=0, le=MAX_INTEGER_STRING)
    sr: int = Field(default=9003, ge=0, le=MAX_INTEGER_STRING)
    rtstruct: int = Field(default=9004, ge=0, le=MAX_INTEGER_STRING)
    preview: int = Field(default=9005, ge=0, le=MAX_INTEGER_STRING)
    rejection: int = Field(default=9006, ge=0, le=MAX_INTEGER_STRING)
    overlay: int = Field(default=9007, ge=0, le=MAX_INTEGER_STRING)
    pdf: int = Field(default=9008, ge=0, le=MAX_INTEGER_STRING)

    def of(self, kind: ResultKind) -> int:
        """Returns the number of a kind that is a DICOM object."""
        number: int = getattr(self, kind)
        return number


class ResultsSection(Section):
    """What is written, and how.

    Attributes:
        series_description: Template of the Series Description, with PLACEHOLDERS of
            `totalmap.result_options`; {rule} is empty if there is only one rule. A warning that
            nobody has verified the result always follows it.
        seg_structures: The structures in the SEGs, by TotalSegmentator's names; empty: all.
        rtstruct_structures: The same for the RTSTRUCT.
        rtstruct_names: The ROI Names: TotalSegmentator's, or the primary names of AAPM's TG-263.
        nifti_grid: `source` writes the NIfTI file on the slices of the source. `inference` writes
            the grid of the network, which is straight also if the gantry was tilted.
        overlay_every: The overlay has an image for every n-th slice; 1: for each.
        uid_key: Gives results other UIDs than the same run has without it.
    """

    kinds: tuple[ResultKind, ...] = Field(default=USUAL_RESULTS, min_length=1)
    series_description: str = Field(default="TotalMAP {task} {variant} {rule}", min_length=1)
    series_numbers: SeriesNumbersSection = SeriesNumbersSection()
    seg_transfer_syntax: SegTransferSyntax = SegTransferSyntax.NATIVE
    seg_split: SegSplit = SegSplit.NONE
    seg_structures: tuple[str, ...] = ()
    rtstruct_structures: tuple[str, ...] = ()
    rtstruct_names: RoiNames = RoiNames.TOTALSEGMENTATOR
    nifti_grid: NiftiGrid = NiftiGrid.SOURCE
    overlay_every: PositiveInt = 1
    uid_key: str = Field(default="", pattern=UID_KEY)

    @field_validator("series_description")
    @classmethod
    def _can_be_filled_in(cls, text: str) -> str:
        return require_known_placeholders(text)


class QualitySection(Section):
    """How results are assessed, and what is done with rejected ones.

    Attributes:
        second_opinion: Whether a whole-body task at 1.5 mm is also run with its 3 mm network.
        rejected: `hold` writes them to the folder `rejected`, which nobody delivers. `deliver`
            releases them as all others, with a rejection note (IHE IOCM).
    """

    second_opinion: bool = False
    rejected: Rejected = Rejected.HOLD


class LoggingSection(Section):
    """How events are written to standard error."""

    format: LogFormat = "text"


# The sections that decide a result.
_DECIDING = {"study", "selection", "geometry", "segmentation", "results", "report", "quality"}


class Settings(Section):
    """All sections of app.yaml."""

    application: ApplicationSection = ApplicationSection()
    resources: ResourcesSection = ResourcesSection()
    study: StudySection = StudySection()
    selection: SelectionSection = SelectionSection()
    geometry: GeometrySection = GeometrySection()
    segmentation: SegmentationSection = SegmentationSection()
    results: ResultsSection = ResultsSection()
    report: ReportSection = ReportSection()
    quality: QualitySection = QualitySection()
    logging: LoggingSection = LoggingSection()

    def fingerprint(self) -> str:
        """Returns the SHA-256 of all settings that decide a result, as canonical JSON.

        The device, what is done if memory is short, and the cache folder are left out: a result
        states its device itself. The licence number is a secret, and the accepted licences change
        no result.
        """
        document = self.model_dump_json(
            include=_DECIDING,
            exclude={
                "segmentation": {
                    "device",
                    "memory_short",
                    "cache_folder",
                    "licence_number",
                    "accepted_licences",
                }
            },
        )
        return hashlib.sha256(document.encode()).hexdigest()


# Sections with the keys that differ, as in a settings file.
Overrides = Mapping[str, Mapping[str, Any]]


def load_settings(
    path: Path, environment: Mapping[str, str] | None = None, overrides: Overrides | None = None
) -> Settings:
    """Reads the settings file; the environment overrides it, and `overrides` override both.

    Args:
        path: The settings file.
        environment: The environment variables; None: those of this process.
        overrides: Sections with the keys that differ.

    Raises:
        ConfigError: The file is missing or is not YAML, a section, key or environment name is
            not known, or a value is out of range.
    """
    sections = read_sections(path)
    variables = process_environment() if environment is None else environment
    for layer in (_from_environment(variables), overrides or {}):
        for name, section in layer.items():
            present = sections.get(name) or {}
            sections[name] = {**present, **section} if isinstance(present, dict) else present
    settings = _with_modalities(validated(Settings, sections, path, *_OVERRIDING_SOURCES))
    _require_known_structures(settings)
    return settings


def _require_known_structures(settings: Settings) -> None:
    """Refuses misspelt names, which would leave a structure out without a message."""
    task = settings.segmentation.task
    known = tuple(class_map.get(task, {}).values())
    for key in ("seg_structures", "rtstruct_structures"):
        unknown = [name for name in getattr(settings.results, key) if name not in known]
        if unknown:
            raise ConfigError(
                f"setting results.{key}: task {task} has no structure"
                f"{quoted_if_close(unknown[0], known)}{did_you_mean(unknown[0], known)}"
            )


def _with_modalities(settings: Settings) -> Settings:
    """Returns the settings with the modality of the task in the rules that name none."""
    modality = task_modality(settings.segmentation.task)
    rules = tuple(
        rule
        if "modalities" in rule.model_fields_set
        else rule.model_copy(update={"modalities": (modality,)})
        for rule in settings.selection.rules
    )
    return settings.model_copy(update={"selection": SelectionSection(rules=rules)})


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Returns the settings of all TOTALMAP_SECTION__KEY variables, by section."""
    sections: dict[str, dict[str, Any]] = {}
    for name, text in environment.items():
        if not name.startswith(ENV_PREFIX):
            continue
        section, nesting, key = name.removeprefix(ENV_PREFIX).lower().partition(ENV_NESTING)
        if not nesting or section not in Settings.model_fields:
            raise ConfigError(f"environment variable {name} is not a setting{_meant(section, key)}")
        try:
            sections.setdefault(section, {})[key] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):  # its text quotes the value
            raise ConfigError(f"environment variable {name} is not valid YAML") from None
    return sections


def _meant(section: str, key: str) -> str:
    """Returns the variable that was probably meant, or else the form of all variables."""
    known = tuple(Settings.model_fields)
    if key:
        names = [f"{close}.{key}" for close in nearest(section, known)[:1]]
    else:
        names = [name for name in key_elsewhere(Settings, section) if name.count(".") == 1]
    variables = [ENV_PREFIX + name.replace(".", ENV_NESTING).upper() for name in names]
    if variables:
        return f", did you mean {' or '.join(variables)}?"
    return f": expected {ENV_PREFIX}SECTION{ENV_NESTING}KEY with a section of {', '.join(known)}"


def parse_variant(name: str) -> Variant:
    """Returns the variant with a name.

    Raises:
        ConfigError: No variant has the name.
    """
    try:
        return Variant(name)
    except ValueError:
        raise ConfigError(f"variant{not_one_of(name, tuple(Variant))}") from None

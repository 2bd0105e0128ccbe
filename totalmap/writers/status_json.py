"""status.json: what a run chose, found, wrote and used, on success and on failure."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from totalmap import __version__
from totalmap.errors import TotalMapError
from totalmap.finding import Finding, Severity, Verdict, verdict
from totalmap.input import InputKind
from totalmap.run_log import FoundStructures, Result, RunLog
from totalmap.segmentation import Confidence
from totalmap.settings import Settings
from totalmap.structures import Face, Flag, MeasuredStructure
from totalmap.writers.series_status import SeriesStatus, series_status

SCHEMA_VERSION = 1

FAILED = Finding(
    code="FAILED",
    severity=Severity.REJECT,
    sentence="The study could not be segmented: there is no result.",
)

# What decides a result, besides the weights.
_PACKAGES = (
    "TotalSegmentator",
    "nnunetv2",
    "torch",
    "openvino",
    "holoscan-cu13",
    "monai-deploy-app-sdk",
    "pydicom",
    "highdicom",
    "nibabel",
    "numpy",
    "scipy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorStatus:
    """Why a run failed."""

    kind: str
    message: str
    exit_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputStatus:
    """What was given, and which study of it was taken.

    Attributes:
        study: Its number among the `studies` of the input; None where no study was chosen.
    """

    kind: InputKind
    study: int | None
    studies: int | None
    study_instance_uid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureStatus:
    """A structure that was found.

    Attributes:
        mean_margin_between_best_and_second_logit: Over its voxels; None where it is not known.
        second_opinion_dice: With what networks of another resolution found; None without them.
    """

    folder: str
    label: int
    name: str
    voxels: int
    volume_ml: float
    mean: float
    sd: float
    components: int
    largest_share: float
    touches: tuple[Face, ...]
    flags: tuple[Flag, ...]
    mean_margin_between_best_and_second_logit: float | None
    second_opinion_dice: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingStatus:
    """A reason to believe the result less."""

    folder: str
    code: str
    severity: Severity
    structure: str | None
    value: float | None
    limit: float | None
    unit: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityStatus:
    """What is to be done with the result, and why.

    Attributes:
        held: Why the results lie in `rejected` and not in `results`; None: they do not.
    """

    verdict: Verdict
    held: str | None
    findings: tuple[FindingStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStatus:
    """A network that took part."""

    dataset: str
    sha256: str
    source: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """What was asked of the engine, and the networks it used.

    Attributes:
        accepted_licences: Licences of weights that the settings accept, beyond those that allow
            any use.
    """

    task: str
    variant: str | None
    engine: str | None
    arithmetic: str | None
    accepted_licences: tuple[str, ...]
    checkpoints: tuple[CheckpointStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """The content of status.json; docs/results.md explains each field."""

    schema_version: int
    outcome: Literal["succeeded", "failed"]
    error: ErrorStatus | None
    input: InputStatus | None
    ignored_files: int
    series: tuple[SeriesStatus, ...]
    structures: tuple[StructureStatus, ...]
    quality: QualityStatus
    results: tuple[Result, ...]
    timings_seconds: Mapping[str, float]
    model: ModelStatus | None
    versions: Mapping[str, str | None]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns the status as json can dump it."""
        return asdict(self)


def describe_run(
    run_log: RunLog, settings: Settings | None, error: TotalMapError | None
) -> RunStatus:
    """Returns the status of a run.

    Args:
        settings: None where the settings could not be read.
        error: What ended the run, None for a success.
    """
    return RunStatus(
        schema_version=SCHEMA_VERSION,
        outcome="succeeded" if error is None else "failed",
        error=None if error is None else _error(error),
        input=_input(run_log),
        ignored_files=run_log.ignored_files,
        series=tuple(series_status(decision) for decision in run_log.decisions),
        structures=tuple(
            _structure(found, one) for found in run_log.found for one in found.structures
        ),
        quality=_quality(run_log, error),
        results=tuple(run_log.results) if error is None else (),
        timings_seconds=dict(run_log.timings_seconds),
        model=None if settings is None else _model(run_log, settings),
        versions=_versions(),
        warnings=tuple(run_log.warnings),
    )


def _error(error: TotalMapError) -> ErrorStatus:
    return ErrorStatus(kind=type(error).__name__, message=str(error), exit_status=error.exit_status)


def _input(run_log: RunLog) -> InputStatus | None:
    kind, study = run_log.input_kind, run_log.study
    if kind is None:
        return None
    return InputStatus(
        kind=kind,
        study=study.number if study else None,
        studies=study.of if study else None,
        study_instance_uid=study.uid if study else None,
    )


def _structure(volume: FoundStructures, found: MeasuredStructure) -> StructureStatus:
    confidence = volume.confidence or Confidence(margins=())
    margins = {one.structure: round(one.mean, 4) for one in confidence.margins}
    agreement = {one.structure: round(one.dice, 4) for one in confidence.opinions or ()}
    return StructureStatus(
        folder=volume.folder,
        label=found.structure.label,
        name=found.structure.name,
        voxels=found.voxels,
        volume_ml=found.volume_ml,
        mean=found.mean,
        sd=found.sd,
        components=found.components,
        largest_share=found.largest_share,
        touches=found.faces,
        flags=found.flags,
        mean_margin_between_best_and_second_logit=margins.get(found.structure),
        second_opinion_dice=agreement.get(found.structure),
    )


def _quality(run_log: RunLog, error: TotalMapError | None) -> QualityStatus:
    found = [(reasons.folder, one) for reasons in run_log.reasons for one in reasons.findings]
    if error is not None:
        found.append(("", FAILED))
    return QualityStatus(
        verdict=verdict(finding for _, finding in found),
        held=run_log.held,
        findings=tuple(_finding(folder, finding) for folder, finding in found),
    )


def _finding(folder: str, finding: Finding) -> FindingStatus:
    return FindingStatus(
        folder=folder,
        code=finding.code,
        severity=finding.severity,
        structure=finding.structure,
        value=finding.value,
        limit=finding.limit,
        unit=finding.unit,
        sentence=finding.sentence,
    )


def _model(run_log: RunLog, settings: Settings) -> ModelStatus:
    return ModelStatus(
        task=settings.segmentation.task,
        variant=run_log.variant or settings.segmentation.variant,
        engine=run_log.engine,
        arithmetic=run_log.arithmetic,
        accepted_licences=settings.segmentation.accepted_licences,
        checkpoints=tuple(
            CheckpointStatus(
                dataset=model.dataset,
                sha256=model.sha256,
                source=model.source,
                licence=model.licence,
            )
            for model in run_log.models
        ),
    )


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {
        "totalmap": __version__,
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions

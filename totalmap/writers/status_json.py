"""Describes a run for status.json: series, structures, results and versions, or its failure."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from totalmap import __version__
from totalmap.errors import TotalMapError
from totalmap.finding import Finding, Severity, Verdict, verdict
from totalmap.open_input import InputKind
from totalmap.run_log import CorrectedResult, FoundStructures, Result, RunLog
from totalmap.segmentation import Confidence
from totalmap.settings import Settings
from totalmap.structures import Face, Limitation, MeasuredStructure
from totalmap.texts.stored_message import stored_message
from totalmap.writers.series_status import SeriesStatus, series_status

SCHEMA_VERSION = 1

FAILED = Finding(
    code="FAILED",
    severity=Severity.REJECT,
    sentence="The study could not be segmented: there is no result.",
)

# The packages that a result depends on, besides the weights.
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
    """The error that ended a run."""

    kind: str
    message: str
    exit_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputStatus:
    """The input, and the study of it that was segmented.

    Attributes:
        study: The number of the study, from 1 to `studies`; None if no study was chosen.
    """

    kind: InputKind
    study: int | None
    studies: int | None
    study_instance_uid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureStatus:
    """A structure that was found.

    Attributes:
        flags: The limitations of the measurement.
        mean_margin_between_best_and_second_logit: Mean over its voxels; None if it is not known.
        second_opinion_dice: Dice with the result of networks of another resolution; None if there
            is none.
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
    flags: tuple[Limitation, ...]
    mean_margin_between_best_and_second_logit: float | None
    second_opinion_dice: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingStatus:
    """A reason to doubt the result.

    Attributes:
        message: The key and values of the sentence (totalmap/texts/stored_message.py); None if it
            is in no catalogue.
    """

    folder: str
    code: str
    severity: Severity
    structure: str | None
    value: float | None
    limit: float | None
    unit: str
    sentence: str
    message: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityStatus:
    """The verdict of quality control, and its findings.

    Attributes:
        held: The reasons why the results are in `rejected`; None if they are in `results`.
    """

    verdict: Verdict
    held: str | None
    findings: tuple[FindingStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStatus:
    """A network that was used."""

    dataset: str
    sha256: str
    source: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """The task of the engine, and the networks that it used.

    Attributes:
        threads: Of the processor that ran the networks; labels may depend on it in the last bit.
        accepted_licences: Licences of weights that the settings accept, besides licences that
            allow any use.
    """

    task: str
    variant: str | None
    engine: str | None
    arithmetic: str | None
    search: str | None
    threads: int | None
    accepted_licences: tuple[str, ...]
    checkpoints: tuple[CheckpointStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """The content of status.json; docs/results.md explains each field.

    Attributes:
        warning_messages: For each of `warnings`, as `FindingStatus.message`.
        correction: The correction by a person; None: the networks made the labels.
    """

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
    warning_messages: tuple[Mapping[str, Any] | None, ...]
    correction: CorrectedResult | None

    def as_json(self) -> dict[str, Any]:
        """Returns the status for json.dump."""
        return asdict(self)


def describe_run(
    run_log: RunLog, settings: Settings | None, error: TotalMapError | None
) -> RunStatus:
    """Returns the status of a run.

    Args:
        run_log: The record of the run.
        settings: None if the settings could not be read.
        error: The error that ended the run, None after a success.
    """
    return RunStatus(
        schema_version=SCHEMA_VERSION,
        outcome="succeeded" if error is None else "failed",
        error=None if error is None else _error(error),
        input=_input(run_log),
        ignored_files=run_log.ignored_files,
        series=tuple(series_status(decision) for decision in run_log.decisions),
        structures=tuple(
            _structure(volume, found) for volume in run_log.found for found in volume.structures
        ),
        quality=_quality(run_log, error),
        results=tuple(run_log.results) if error is None else (),
        timings_seconds=dict(run_log.timings_seconds),
        model=None if settings is None else _model(run_log, settings),
        versions=_versions(),
        warnings=tuple(run_log.warnings),
        warning_messages=tuple(map(stored_message, run_log.warnings)),
        correction=run_log.correction,
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
    margins = {margin.structure: round(margin.mean, 4) for margin in confidence.margins}
    opinions = confidence.opinions or ()
    agreement = {opinion.structure: round(opinion.dice, 4) for opinion in opinions}
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
        flags=found.limitations,
        mean_margin_between_best_and_second_logit=margins.get(found.structure),
        second_opinion_dice=agreement.get(found.structure),
    )


def _quality(run_log: RunLog, error: TotalMapError | None) -> QualityStatus:
    findings = [
        (found.folder, finding) for found in run_log.volume_findings for finding in found.findings
    ]
    if error is not None:
        findings.append(("", FAILED))
    return QualityStatus(
        verdict=verdict(finding for _, finding in findings),
        held=run_log.held,
        findings=tuple(_finding(folder, finding) for folder, finding in findings),
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
        message=stored_message(finding.sentence),
    )


def _model(run_log: RunLog, settings: Settings) -> ModelStatus:
    return ModelStatus(
        task=settings.segmentation.task,
        variant=run_log.variant or settings.segmentation.variant,
        engine=run_log.engine,
        arithmetic=run_log.arithmetic,
        search=run_log.search,
        threads=run_log.threads,
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

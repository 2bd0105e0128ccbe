"""Records what a run does: operators add to the run log, and status.json is written from it.

The run log is the only mutable object of a run. status.json is also written after a failure, so the
run log always holds everything that is known.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from totalmap.dicom.series_selection import SeriesDecision
from totalmap.dicom.study import Study
from totalmap.dicom.study_choice import StudyEntry
from totalmap.dicom.volume import Volume
from totalmap.finding import Finding, Severity, Verdict, verdict
from totalmap.open_input import InputKind
from totalmap.segmentation import Confidence, EngineKind, ModelIdentity, Segmentation
from totalmap.structures import MeasuredStructure
from totalmap.texts.catalogue import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A file or folder that a run wrote; `path` is relative to the output folder."""

    kind: str
    path: str
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStructures:
    """The structures found in one volume; `folder` is that of its results."""

    folder: str
    structures: tuple[MeasuredStructure, ...]
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFindings:
    """The quality findings about one volume and its labels; `folder` is that of its results."""

    folder: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedStructure:
    """A structure that a person changed, as the reader of status.json learns it.

    Attributes:
        edit_dice: Dice coefficient of the structure before and after the correction, 0..1.
        added_ml: Volume that it gained, in mL.
        removed_ml: Volume that it lost, in mL.
    """

    name: str
    edit_dice: float
    added_ml: float
    removed_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedResult:
    """The correction that a run writes.

    Attributes:
        predecessors: SOP Instance UIDs of the SEGs that were corrected.
        structures: The structures that have changed voxels, by label.
        not_taken: Number of segments that are no structures of the result.
        labels_sha256: SHA-256 of the corrected labels on the grid of the source.
    """

    predecessors: tuple[str, ...]
    structures: tuple[CorrectedStructure, ...]
    not_taken: int
    labels_sha256: str


class Observer(Protocol):
    """Receives the progress of a run, for a display."""

    def stage_started(self, stage: str) -> None:
        """Called when a stage of the chain begins."""

    def progress(self, done: int, total: int) -> None:
        """Called when `done` of `total` tiles are done."""


class SilentObserver:
    """Shows nothing."""

    def stage_started(self, stage: str) -> None:
        """Ignores the stage."""

    def progress(self, done: int, total: int) -> None:
        """Ignores the tiles."""


class RunLog:
    """Collects the decisions, warnings, results and timings of one run.

    Attributes:
        completed: Names of the operators that have done their work.
        held: Why the results are held back; None: they are delivered.
        correction: The correction that is written; None: the networks made the labels.
        timings_seconds: Duration of each stage, including a failed one.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self.observer: Observer = observer or SilentObserver()
        self.input_kind: InputKind | None = None
        self.study: StudyEntry | None = None
        self.decisions: tuple[SeriesDecision, ...] = ()
        self.completed: set[str] = set()
        self.ignored_files = 0
        self.warnings: list[str] = []
        self.results: list[Result] = []
        self.found: list[FoundStructures] = []
        self.volume_findings: list[VolumeFindings] = []
        self.held: str | None = None
        self.correction: CorrectedResult | None = None
        self.models: tuple[ModelIdentity, ...] = ()
        self.variant: str | None = None
        self.engine: EngineKind | None = None
        self.arithmetic: str | None = None
        self.search: str | None = None
        self.threads: int | None = None
        self.timings_seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the duration of a stage of the chain, even if it fails."""
        self.observer.stage_started(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_seconds[name] = round(time.perf_counter() - start, 3)

    def warn(self, *messages: str) -> None:
        """Adds warnings for the reader of the result."""
        self.warnings.extend(messages)

    def complete(self, operator: str) -> None:
        """Records that an operator has done its work, by the operator's name."""
        self.completed.add(operator)

    def opened(self, kind: InputKind) -> None:
        """Records the kind of the input."""
        self.input_kind = kind

    def read(self, content: Study) -> None:
        """Records the files that were left out of the input."""
        self.ignored_files = content.ignored_files
        self.warn(*content.warnings)

    def chose(self, study: StudyEntry) -> None:
        """Records which study of the input is segmented."""
        self.study = study

    def judged(self, decisions: tuple[SeriesDecision, ...]) -> None:
        """Records the decision about every stack of every series."""
        self.decisions = decisions

    def built(self, volume: Volume) -> None:
        """Records the findings of the slice audit, as warnings, and those about suitability."""
        self.volume_findings.append(
            VolumeFindings(folder=volume.folder, findings=volume.suitability)
        )
        self.warn(*(_of_series(volume.folder, finding) for finding in volume.findings))

    def segmented(self, segmentation: Segmentation) -> None:
        """Records the structures that were found, and the weights that were used."""
        folder = segmentation.volume.folder
        found = segmentation.found()
        self.found.append(
            FoundStructures(folder=folder, structures=found, confidence=segmentation.confidence)
        )
        self.models = segmentation.models
        self.variant, self.engine = segmentation.variant, segmentation.engine
        self.arithmetic, self.search = segmentation.arithmetic, segmentation.search
        self.threads = segmentation.threads
        self.warn(*(_of_series(folder, finding) for finding in segmentation.findings))
        if not found:
            self.warn(_of_series(folder, Message("warning.no_structure")))
        notices = (model.notice for model in segmentation.models if model.notice)
        self.warn(*(notice for notice in dict.fromkeys(notices) if notice not in self.warnings))

    def assessed(self, segmentation: Segmentation) -> None:
        """Records the quality findings; they include those about suitability."""
        folder = segmentation.volume.folder
        others = [found for found in self.volume_findings if found.folder != folder]
        self.volume_findings = [
            *others,
            VolumeFindings(folder=folder, findings=segmentation.quality_findings),
        ]

    def corrected(self, correction: CorrectedResult) -> None:
        """Records that the results are those of a correction."""
        self.correction = correction

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The quality findings about all volumes and their labels."""
        return tuple(finding for found in self.volume_findings for finding in found.findings)

    @property
    def verdict(self) -> Verdict:
        """The verdict on all results together."""
        return verdict(self.findings)

    def hold_back(self, held_path: Callable[[str], str]) -> None:
        """Records that no result is delivered because quality control rejects them.

        Args:
            held_path: Returns the path of a held result from that of the result.
        """
        self.held = " ".join(
            finding.sentence for finding in self.findings if finding.severity is Severity.REJECT
        )
        self.results = [replace(result, path=held_path(result.path)) for result in self.results]

    def wrote(self, *results: Result) -> None:
        """Records results that were written."""
        self.results.extend(results)


def _of_series(folder: str, warning: str) -> str:
    """Returns a warning with the folder of its series in front, if there are several series."""
    return Message("warning.of_series", folder=folder, warning=warning) if folder else warning

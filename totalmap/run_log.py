"""What a run saw and did: filled by the operators, turned into status.json at the end.

The run_log is the one mutable object of a run. It is written on success and on failure alike,
so it must hold whatever is known at the moment of a failure.
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
from totalmap.input import InputKind
from totalmap.segmentation import Confidence, EngineKind, ModelIdentity, Segmentation
from totalmap.structures import MeasuredStructure


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A file or folder that a run wrote; `path` is relative to the output folder."""

    kind: str
    path: str
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStructures:
    """What was found in one volume; `folder` is that of its results."""

    folder: str
    structures: tuple[MeasuredStructure, ...]
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundReasons:
    """What was found about one volume and its labels; `folder` is that of its results."""

    folder: str
    findings: tuple[Finding, ...]


class Observer(Protocol):
    """Is told what the run is doing, for a progress display."""

    def stage_started(self, stage: str) -> None:
        """A stage of the chain begins."""

    def progress(self, done: int, total: int) -> None:
        """So many tiles of so many are done."""


class SilentObserver:
    """Shows nothing."""

    def stage_started(self, stage: str) -> None:
        """Ignores the stage."""

    def progress(self, done: int, total: int) -> None:
        """Ignores the tiles."""


class RunLog:
    """Collects decisions, warnings, results and timings of one run."""

    def __init__(self, observer: Observer | None = None) -> None:
        self.observer: Observer = observer or SilentObserver()
        self.input_kind: InputKind | None = None
        self.study: StudyEntry | None = None
        self.decisions: tuple[SeriesDecision, ...] = ()
        self.ignored_files = 0
        self.warnings: list[str] = []
        self.results: list[Result] = []
        self.found: list[FoundStructures] = []
        self.reasons: list[FoundReasons] = []
        self.held: str | None = None
        self.models: tuple[ModelIdentity, ...] = ()
        self.variant: str | None = None
        self.engine: EngineKind | None = None
        self.arithmetic: str | None = None
        self.timings_seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a stage of the chain, whether it succeeds or not."""
        self.observer.stage_started(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_seconds[name] = round(time.perf_counter() - start, 3)

    def warn(self, *messages: str) -> None:
        """Adds warnings for whoever reads the result."""
        self.warnings.extend(messages)

    def opened(self, kind: InputKind) -> None:
        """Keeps what was given as input."""
        self.input_kind = kind

    def read(self, content: Study) -> None:
        """Keeps what was left out of the input."""
        self.ignored_files = content.ignored_files
        self.warn(*content.warnings)

    def chose(self, study: StudyEntry) -> None:
        """Keeps which study of the input is segmented."""
        self.study = study

    def judged(self, decisions: tuple[SeriesDecision, ...]) -> None:
        """Keeps the decision on every stack of every series."""
        self.decisions = decisions

    def built(self, volume: Volume, suitability: tuple[Finding, ...] = ()) -> None:
        """Keeps what the slice audit found, as warnings, and whether the images are suitable."""
        self.reasons.append(FoundReasons(folder=volume.folder, findings=suitability))
        folder = f"{volume.folder}: " if volume.folder else ""
        self.warn(*(f"{folder}{finding}" for finding in volume.findings))

    def segmented(self, segmentation: Segmentation) -> None:
        """Keeps what was found, and with which weights."""
        folder = segmentation.volume.folder
        found = segmentation.found()
        self.found.append(
            FoundStructures(folder=folder, structures=found, confidence=segmentation.confidence)
        )
        self.models = segmentation.models
        self.variant, self.engine = segmentation.variant, segmentation.engine
        self.arithmetic = segmentation.arithmetic
        prefix = f"{folder}: " if folder else ""
        self.warn(*(f"{prefix}{finding}" for finding in segmentation.findings))
        if not found:
            self.warn(f"{prefix}no structure was found; a SEG can't be empty, so there is none")
        notices = (model.notice for model in segmentation.models if model.notice)
        self.warn(*(notice for notice in dict.fromkeys(notices) if notice not in self.warnings))

    def assessed(self, segmentation: Segmentation) -> None:
        """Keeps the reasons not to believe the labels."""
        folder = segmentation.volume.folder
        others = [one for one in self.reasons if one.folder != folder]
        self.reasons = [*others, FoundReasons(folder=folder, findings=segmentation.reasons)]

    def reasons_of(self, folder: str) -> tuple[Finding, ...]:
        """Returns what was found so far about the volume whose results go into a folder."""
        return tuple(
            finding for one in self.reasons if one.folder == folder for finding in one.findings
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found about all volumes and their labels."""
        return tuple(one for reasons in self.reasons for one in reasons.findings)

    @property
    def verdict(self) -> Verdict:
        """What is to be done with the results."""
        return verdict(self.findings)

    def hold_back(self, held_path: Callable[[str], str]) -> None:
        """Keeps that no result is delivered, for they are not to be believed.

        Args:
            held_path: Where each of them appears instead.
        """
        self.held = " ".join(
            one.sentence for one in self.findings if one.severity is Severity.REJECT
        )
        self.results = [replace(one, path=held_path(one.path)) for one in self.results]

    def wrote(self, *results: Result) -> None:
        """Keeps results."""
        self.results.extend(results)

"""Runs a study from its folder to its results, without networks, and keeps the messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.healthy_studies import STAIN
from tests.segmentations import StainFinder
from totalmap.dicom.series_selection import Judgement, judge, selected
from totalmap.dicom.study import Study, read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.engine.segment import segment
from totalmap.errors import TotalMapError
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GapPolicy, GeometrySection, Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.measurements_csv import write_measurements_csv
from totalmap.writers.nifti import write_nifti
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.source_with_derived_uids import needs_repaired_source, write_repaired_source
from totalmap.writers.sr.writer import write_sr

RULES = SelectionSection(
    rules=(
        SelectionRule(
            modalities=("CT", "MR"), min_slices=2, min_coverage_mm=1.0, max_slice_spacing_mm=100.0
        ),
    )
)


@dataclass
class Run:
    """The parts of a run; parts that it did not reach are None."""

    study: Study | None = None
    judgement: Judgement | None = None
    volume: Volume | None = None
    found: bool = False
    error: TotalMapError | None = None
    results: list[Path] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """'success', or the kind of the error."""
        return type(self.error).__name__ if self.error else "success"

    @property
    def messages(self) -> tuple[str, ...]:
        """All messages of the run, except those of the log."""
        messages = [str(self.error)] if self.error else []
        if self.study:
            messages += self.study.warnings
        if self.judgement:
            messages += [decision.reason for decision in self.judgement.decisions]
            messages += [decision.series.modality for decision in self.judgement.decisions]
            messages += [decision.series.uid for decision in self.judgement.decisions]
        if self.volume:
            messages += self.volume.findings
        return tuple(messages)


def run_chain(folder: Path, output: Path, gaps: GapPolicy) -> Run:
    """Segments the stained structure of a study; only a TotalMapError is caught."""
    run = Run()
    try:
        _run(run, folder, output, GeometrySection(gaps=gaps))
    except TotalMapError as error:
        run.error = error
    return run


def _run(run: Run, folder: Path, output: Path, policy: GeometrySection) -> None:
    run.study = read_study(folder)
    run.judgement = judge(run.study, RULES, policy)
    (selection,) = selected(run.judgement)
    run.volume = build_volume(selection, policy)
    segmentation = segment(run.volume, (StainFinder(STAIN, spacing_mm=12.0),), lambda *_: None)
    run.found = bool(segmentation.found())
    with open_release(output) as release:
        write_seg(segmentation, Settings(), release)
        write_sr(segmentation, Settings(), release)
        write_rtstruct(segmentation, Settings(), release)
        write_measurements_csv(segmentation, release)
        write_nifti(segmentation, Settings(), release)
        if needs_repaired_source(run.volume):
            write_repaired_source(run.volume, release)
        release.publish({})
    run.results = [path for path in output.rglob("*") if path.is_file()]

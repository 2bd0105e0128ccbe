"""Which operators, and how they are connected."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holoscan.conditions import CountCondition
from holoscan.core import Application

from operators.csv_writer import CsvWriterOperator
from operators.nifti_writer import NiftiWriterOperator
from operators.preview_writer import PreviewWriterOperator
from operators.quality_checker import QualityCheckerOperator
from operators.report_writer import ReportWriterOperator
from operators.result_writer import ResultWriterOperator
from operators.rtstruct_writer import RtstructWriterOperator
from operators.seg_labelmap_writer import SegLabelmapWriterOperator
from operators.seg_writer import SegWriterOperator
from operators.segmenter import EngineLoader, SegmenterOperator
from operators.series_selector import SeriesSelectorOperator
from operators.source_writer import SourceWriterOperator
from operators.sr_writer import SrWriterOperator
from operators.study_loader import StudyLoaderOperator
from operators.volume_builder import VolumeBuilderOperator
from totalmap.engine.engine import Engine
from totalmap.errors import OutputError
from totalmap.journal import Journal
from totalmap.settings import ResultKind, Settings
from totalmap.writers.release import Release

WRITERS: Mapping[ResultKind, type[ResultWriterOperator]] = {
    ResultKind.SEG: SegWriterOperator,
    ResultKind.SEG_LABELMAP: SegLabelmapWriterOperator,
    ResultKind.SR: SrWriterOperator,
    ResultKind.RTSTRUCT: RtstructWriterOperator,
    ResultKind.PREVIEW: PreviewWriterOperator,
    ResultKind.REPORT: ReportWriterOperator,
    ResultKind.CSV: CsvWriterOperator,
    ResultKind.NIFTI: NiftiWriterOperator,
}


class TotalMapApplication(Application):
    """Chain: study_loader, series_selector, volume_builder, segmenter, quality_checker, writers."""

    def __init__(
        self,
        *args: Any,
        settings: Settings,
        input_folder: Path,
        models_folder: Path,
        release: Release,
        journal: Journal,
        load_engine: EngineLoader = Engine,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._load_engine = load_engine
        self._input_folder = input_folder
        self._models_folder = models_folder
        self._release = release
        self._journal = journal
        super().__init__(*args, **kwargs)

    def compose(self) -> None:
        """Builds the chain; each writer gets the same segmentation."""
        journal = self._journal
        loader = StudyLoaderOperator(
            self,
            CountCondition(self, 1),
            input_folder=self._input_folder,
            settings=self._settings.study,
            journal=journal,
            name="study_loader",
        )
        selector = SeriesSelectorOperator(
            self,
            rules=self._settings.selection,
            geometry=self._settings.geometry,
            journal=journal,
            name="series_selector",
        )
        builder = VolumeBuilderOperator(
            self,
            geometry=self._settings.geometry,
            task=self._settings.segmentation.task,
            journal=journal,
            name="volume_builder",
        )
        segmenter = SegmenterOperator(
            self,
            settings=self._settings.segmentation,
            quality=self._settings.quality,
            models_folder=self._models_folder,
            load_engine=self._load_engine,
            journal=journal,
            name="segmenter",
        )
        checker = QualityCheckerOperator(self, journal=journal, name="quality_checker")
        self.add_flow(loader, selector, {("study", "study")})
        self.add_flow(selector, builder, {("selections", "selections")})
        self.add_flow(builder, segmenter, {("volumes", "volumes")})
        self.add_flow(segmenter, checker, {("segmentations", "segmentations")})
        for writer in self._writers():
            self.add_flow(checker, writer, {("segmentations", "segmentations")})

    def run(self) -> None:
        """Runs the chain, and checks that every writer that was asked for came to its turn.

        An operator that returns without emitting ends a Holoscan application as if all were
        well, with everything downstream skipped. So success is what was done, not that this
        method of the SDK returned.

        Raises:
            OutputError: A writer did not run.
            TotalMapError: Whatever an operator raised.
        """
        super().run()
        missing = [
            kind
            for kind in self._settings.results.kinds
            if f"write_{kind}" not in self._journal.timings_seconds
        ]
        if missing:
            raise OutputError(f"the chain ended without the results {', '.join(missing)}")

    def _writers(self) -> list[ResultWriterOperator]:
        kinds = self._settings.results.kinds
        wanted = [writer for kind, writer in WRITERS.items() if kind in kinds]
        return [self._writer(SourceWriterOperator), *map(self._writer, wanted)]

    def _writer(self, kind: type[ResultWriterOperator]) -> ResultWriterOperator:
        return kind(
            self,
            settings=self._settings,
            release=self._release,
            journal=self._journal,
            name=kind.stage,
        )

"""Connects the operators of a run to a Holoscan application."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from holoscan.conditions import CountCondition
from holoscan.core import Application
from totalsegmentator.registry import task_modality

from operators.base_operator import ChainOperator
from operators.nifti_loader import NiftiLoaderOperator
from operators.quality_assessor import QualityAssessorOperator
from operators.result_writers import (
    CsvWriterOperator,
    NiftiWriterOperator,
    OverlayWriterOperator,
    PdfWriterOperator,
    PreviewPictureWriterOperator,
    PreviewWriterOperator,
    RepairedSourceWriterOperator,
    ReportWriterOperator,
    ResultWriterOperator,
    RtstructWriterOperator,
    SegLabelmapWriterOperator,
    SegWriterOperator,
    SrWriterOperator,
)
from operators.segmenter import EngineLoader, SegmenterOperator
from operators.series_selector import SeriesSelectorOperator
from operators.study_loader import StudyLoaderOperator
from operators.volume_builder import VolumeBuilderOperator
from totalmap.engine.engine import Engine
from totalmap.errors import ConfigError, OutputError
from totalmap.open_input import InputKind, OpenedInput
from totalmap.run_log import RunLog
from totalmap.settings import ResultKind, Settings
from totalmap.writers.all_or_nothing import Release

WRITERS: Mapping[ResultKind, type[ResultWriterOperator]] = {
    ResultKind.SEG: SegWriterOperator,
    ResultKind.SEG_LABELMAP: SegLabelmapWriterOperator,
    ResultKind.SR: SrWriterOperator,
    ResultKind.RTSTRUCT: RtstructWriterOperator,
    ResultKind.PREVIEW: PreviewWriterOperator,
    ResultKind.OVERLAY: OverlayWriterOperator,
    ResultKind.REPORT: ReportWriterOperator,
    ResultKind.PDF: PdfWriterOperator,
    ResultKind.CSV: CsvWriterOperator,
    ResultKind.NIFTI: NiftiWriterOperator,
}
# Results that need no DICOM instances to refer to.
NIFTI_WRITERS: Mapping[ResultKind, type[ResultWriterOperator]] = {
    ResultKind.PREVIEW: PreviewPictureWriterOperator,
    ResultKind.REPORT: ReportWriterOperator,
    ResultKind.CSV: CsvWriterOperator,
    ResultKind.NIFTI: NiftiWriterOperator,
}


class TotalMapApplication(Application):
    """Chain: study_loader, series_selector, volume_builder, segmenter, quality_assessor, writers.

    For a NIfTI file, nifti_loader takes the place of the first three.
    """

    def __init__(
        self,
        *args: Any,
        settings: Settings,
        source: OpenedInput,
        models_folder: Path,
        release: Release,
        run_log: RunLog,
        study: str | None = None,
        load_engine: EngineLoader = Engine,
        **kwargs: Any,
    ) -> None:
        """Prepares a run.

        Args:
            study: The number or the UID of the study to segment, if the source holds several.
            load_engine: Returns an engine, which may be loaded already.

        Raises:
            ConfigError: The input is a NIfTI file, and a study is chosen or only DICOM results are
                asked for.
        """
        self._source = source
        self._study = study
        self._settings = settings
        self._load_engine = load_engine
        self._models_folder = models_folder
        self._release = release
        self._run_log = run_log
        super().__init__(*args, **kwargs)
        if study is not None and source.kind is InputKind.NIFTI:
            raise ConfigError(
                "--study chooses among DICOM studies, and the input is a NIfTI file: omit --study"
            )
        self._writer_of = _writers_for(source.kind, settings.results.kinds)

    def compose(self) -> None:
        """Builds the chain; each writer gets the same segmentation.

        Writers run one after another, since most of them are Python code.
        """
        is_nifti = self._source.kind is InputKind.NIFTI
        reader = self._nifti_reader() if is_nifti else self._study_reader()
        segmenter = SegmenterOperator(
            self,
            settings=self._settings.segmentation,
            quality=self._settings.quality,
            models_folder=self._models_folder,
            load_engine=self._load_engine,
            run_log=self._run_log,
            name="segmenter",
        )
        assessor = QualityAssessorOperator(self, run_log=self._run_log, name="quality_assessor")
        self.add_flow(reader, segmenter, {("volumes", "volumes")})
        self.add_flow(segmenter, assessor, {("segmentations", "segmentations")})
        for writer in self._writers():
            self.add_flow(assessor, writer, {("segmentations", "segmentations")})

    def _study_reader(self) -> ChainOperator:
        """Adds the operators that make volumes of a study, and returns the last of them."""
        run_log = self._run_log
        loader = StudyLoaderOperator(
            self,
            CountCondition(self, 1),
            source=self._source,
            study=self._study,
            settings=self._settings.study,
            run_log=run_log,
            name="study_loader",
        )
        selector = SeriesSelectorOperator(
            self,
            rules=self._settings.selection,
            geometry=self._settings.geometry,
            run_log=run_log,
            name="series_selector",
        )
        builder = VolumeBuilderOperator(
            self,
            geometry=self._settings.geometry,
            task=self._settings.segmentation.task,
            run_log=run_log,
            name="volume_builder",
        )
        self.add_flow(loader, selector, {("study", "study")})
        self.add_flow(selector, builder, {("selections", "selections")})
        return builder

    def _nifti_reader(self) -> ChainOperator:
        """Returns the operator that makes a volume of a NIfTI file."""
        task = self._settings.segmentation.task
        return NiftiLoaderOperator(
            self,
            CountCondition(self, 1),
            path=self._source.path,
            geometry=self._settings.geometry,
            task=task,
            modality=task_modality(task),
            run_log=self._run_log,
            name="nifti_loader",
        )

    def run(self) -> None:
        """Runs the chain, and makes sure that every writer has done its work.

        Holoscan's `run` returns normally even if an operator has emitted nothing and all operators
        after it were skipped. Therefore the run log records the operators that are done.

        Raises:
            OutputError: A writer did not run.
            TotalMapError: An operator raised it.
        """
        if self._source.kind is InputKind.NIFTI:
            self._run_log.warn(*_left_out(self._settings.results.kinds))
        super().run()
        missing = [
            kind
            for kind, writer in self._writer_of.items()
            if writer.stage not in self._run_log.completed
        ]
        if missing:
            raise OutputError(f"the chain ended without the results {', '.join(missing)}")

    def _writers(self) -> list[ResultWriterOperator]:
        writers = [self._writer(writer) for writer in self._writer_of.values()]
        if self._source.kind is InputKind.NIFTI:
            return writers
        return [self._writer(RepairedSourceWriterOperator), *writers]

    def _writer(self, kind: type[ResultWriterOperator]) -> ResultWriterOperator:
        return kind(
            self,
            settings=self._settings,
            release=self._release,
            run_log=self._run_log,
            name=kind.stage,
        )


def _writers_for(
    kind: InputKind, wanted: Collection[ResultKind]
) -> dict[ResultKind, type[ResultWriterOperator]]:
    """Returns the writers of all wanted results that such an input allows."""
    possible = NIFTI_WRITERS if kind is InputKind.NIFTI else WRITERS
    writers = {result: writer for result, writer in possible.items() if result in wanted}
    if not writers:
        raise ConfigError(
            "DICOM results need DICOM: the input is a NIfTI file, which gives "
            f"{', '.join(possible)}; setting results.kinds asks for {', '.join(wanted)} alone"
        )
    return writers


def _left_out(wanted: Collection[ResultKind]) -> Iterator[str]:
    """Yields a warning where results that are wanted can't be made of a NIfTI file."""
    left_out = [str(kind) for kind in wanted if kind not in NIFTI_WRITERS]
    if ResultKind.PREVIEW in wanted:
        left_out.append("the DICOM pages of the preview")
    if left_out:
        yield (
            "DICOM results need DICOM: the input is a NIfTI file, so these are left out: "
            + ", ".join(left_out)
        )

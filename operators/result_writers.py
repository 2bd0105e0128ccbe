"""Writes the results: one operator from segmentations to staged files for each kind of result."""

from typing import Any, ClassVar

from operators.base_operator import ChainOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import Release
from totalmap.writers.html_report import write_report
from totalmap.writers.measurements_csv import write_measurements_csv
from totalmap.writers.nifti import nifti_warnings, write_nifti
from totalmap.writers.overlay.writer import write_overlay
from totalmap.writers.pdf.writer import write_pdf
from totalmap.writers.preview.writer import write_preview, write_preview_picture
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.labelmap import write_seg_labelmap
from totalmap.writers.source_with_derived_uids import needs_repaired_source, write_repaired_source
from totalmap.writers.sr.writer import write_sr


class ResultWriterOperator(ChainOperator):
    """Calls a writer of `totalmap.writers` for each segmentation and records its results.

    Results are written into a hidden folder; the application releases all of them at its end.

    Attributes:
        stage: Name of the stage in status.json, and of the operator.
    """

    receives = "segmentations"
    stage: ClassVar[str]

    def __init__(self, *args: Any, settings: Settings, release: Release, **kwargs: Any) -> None:
        self._settings = settings
        self._release = release
        super().__init__(*args, **kwargs)

    def process(self, segmentations: tuple[Segmentation, ...]) -> None:
        """Writes the results of each segmentation for which this kind of result is due."""
        due = [segmentation for segmentation in segmentations if self.is_due(segmentation)]
        if not due:
            return
        with self.run_log.stage(self.stage):
            for segmentation in due:
                self.run_log.wrote(*self.write(segmentation, self._settings, self._release))

    def is_due(self, segmentation: Segmentation) -> bool:
        """Returns whether this kind of result is written for a segmentation; by default, always."""
        return True

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the results of this kind; there may be none."""
        raise NotImplementedError


class SegWriterOperator(ResultWriterOperator):
    """Writes the labels as a DICOM SEG."""

    stage = "write_seg"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the SEG and reads it back."""
        return write_seg(segmentation, settings, release)


class SegLabelmapWriterOperator(ResultWriterOperator):
    """Writes the labels as a DICOM SEG of type LABELMAP."""

    stage = "write_seg_labelmap"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the label map and reads it back."""
        return write_seg_labelmap(segmentation, settings, release)


class SrWriterOperator(ResultWriterOperator):
    """Writes the measurements as a DICOM SR."""

    stage = "write_sr"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the SR and reads it back."""
        return write_sr(segmentation, settings, release)


class RtstructWriterOperator(ResultWriterOperator):
    """Writes the contours of the labels as an RT Structure Set."""

    stage = "write_rtstruct"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the structure set and reads it back."""
        return write_rtstruct(segmentation, settings, release)


class PreviewWriterOperator(ResultWriterOperator):
    """Writes a preview for viewers that show neither SEG nor RTSTRUCT."""

    stage = "write_preview"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Draws the pages, writes them and reads them back."""
        return write_preview(segmentation, settings, release)


class PreviewPictureWriterOperator(ResultWriterOperator):
    """Writes the preview of a NIfTI file: a PNG without DICOM pages."""

    stage = "write_preview"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Draws the page, writes it and reads it back."""
        return write_preview_picture(segmentation, settings, release)


class OverlayWriterOperator(ResultWriterOperator):
    """Writes an overlay, slice by slice, for viewers that show no SEG."""

    stage = "write_overlay"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Paints the slices, writes them and reads them back."""
        return write_overlay(segmentation, settings, release)


class ReportWriterOperator(ResultWriterOperator):
    """Writes the report, an HTML page in one file."""

    stage = "write_report"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the report."""
        return (write_report(segmentation, settings, release),)


class PdfWriterOperator(ResultWriterOperator):
    """Writes the report as an Encapsulated PDF."""

    stage = "write_pdf"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the PDF and reads it back."""
        return (write_pdf(segmentation, settings, release),)


class CsvWriterOperator(ResultWriterOperator):
    """Writes the measurements as a table."""

    stage = "write_csv"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the table and reads it back."""
        return (write_measurements_csv(segmentation, release),)


class NiftiWriterOperator(ResultWriterOperator):
    """Writes the labels as one multi-label NIfTI."""

    stage = "write_nifti"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the NIfTI and reads it back; warns if some programs can't open its grid."""
        self.run_log.warn(*nifti_warnings(segmentation, settings))
        return (write_nifti(segmentation, settings, release),)


class RepairedSourceWriterOperator(ResultWriterOperator):
    """Writes copies of source instances whose UIDs had to be derived."""

    stage = "write_source"

    def is_due(self, segmentation: Segmentation) -> bool:
        """Returns whether any UID of the source had to be derived."""
        return needs_repaired_source(segmentation.volume)

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the copies."""
        return (write_repaired_source(segmentation.volume, release),)

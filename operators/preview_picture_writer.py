"""Operator: segmentation -> preview as a PNG, without DICOM pages."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.preview.writer import write_preview_picture
from totalmap.writers.release import Release


class PreviewPictureWriterOperator(ResultWriterOperator):
    """Writes the preview of a volume that is not DICOM."""

    stage = "write_preview"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Draws the page, writes it and reads it back."""
        return write_preview_picture(segmentation, release)

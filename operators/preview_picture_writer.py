"""Operator: segmentation -> the preview as a PNG alone."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.preview.writer import write_preview_picture
from totalmap.writers.release import Release


class PreviewPictureWriterOperator(ResultWriterOperator):
    """Writes an overview of a volume that is not DICOM."""

    stage = "write_preview"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Draws the page and checks what was written."""
        return write_preview_picture(segmentation, release)

"""Operator: segmentation -> Secondary Capture images and a PNG."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.preview.writer import write_preview
from totalmap.writers.release import Release


class PreviewWriterOperator(ResultWriterOperator):
    """Writes a preview for viewers that show neither SEG nor RTSTRUCT."""

    stage = "write_preview"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Draws the pages, writes them and reads them back."""
        return write_preview(segmentation, settings, release)

"""Operator: segmentation -> DICOM SR."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release
from totalmap.writers.sr.writer import write_sr


class SrWriterOperator(ResultWriterOperator):
    """Writes the measurements as a DICOM SR."""

    stage = "write_sr"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the SR and reads it back."""
        return write_sr(segmentation, settings, release)

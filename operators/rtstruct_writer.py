"""Operator: segmentation -> RT Structure Set."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release
from totalmap.writers.rtstruct.writer import write_rtstruct


class RtstructWriterOperator(ResultWriterOperator):
    """Writes the contours of the labels as an RT Structure Set."""

    stage = "write_rtstruct"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the structure set and reads it back."""
        return write_rtstruct(segmentation, settings, release)

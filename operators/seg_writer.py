"""Operator: segmentation -> DICOM SEG."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release
from totalmap.writers.seg.binary import write_seg


class SegWriterOperator(ResultWriterOperator):
    """Writes the labels as a DICOM SEG."""

    stage = "write_seg"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the SEG and reads it back."""
        return write_seg(segmentation, settings, release)

"""Operator: segmentation -> Label Map Segmentation."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release
from totalmap.writers.seg.labelmap import write_seg_labelmap


class SegLabelmapWriterOperator(ResultWriterOperator):
    """Writes the labels as a DICOM SEG of type LABELMAP."""

    stage = "write_seg_labelmap"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the label map and reads it back."""
        return write_seg_labelmap(segmentation, settings, release)

"""Operator: segmentation -> repaired copies of its source, where these were needed."""

from operators.result_writer import ResultWriterOperator
from totalmap.journal import Result
from totalmap.segmentation import Segmentation
from totalmap.writers.release import Release
from totalmap.writers.source import write_repaired_source


class SourceWriterOperator(ResultWriterOperator):
    """Writes copies of source instances whose UIDs were empty."""

    stage = "write_source"

    def write(self, segmentation: Segmentation, release: Release) -> Result | None:
        """Writes the copies; nothing for a study whose UIDs are all there."""
        return write_repaired_source(segmentation.volume, release)

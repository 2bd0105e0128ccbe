"""Operator: segmentation -> copies of its source instances with repaired UIDs."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release
from totalmap.writers.repaired_source import needs_repaired_source, write_repaired_source


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

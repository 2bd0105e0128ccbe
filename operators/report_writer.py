"""Operator: segmentation -> report.html."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release
from totalmap.writers.report import write_report


class ReportWriterOperator(ResultWriterOperator):
    """Writes the report, an HTML page in one file."""

    stage = "write_report"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the report."""
        return (write_report(segmentation, settings, release),)

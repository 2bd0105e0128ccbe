"""Operator: segmentation -> table of measurements."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.measurements_csv import write_measurements_csv
from totalmap.writers.release import Release


class CsvWriterOperator(ResultWriterOperator):
    """Writes the measurements as a table."""

    stage = "write_csv"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the table and reads it back."""
        return (write_measurements_csv(segmentation, release),)

"""Operator: segmentation -> NIfTI."""

from operators.result_writer import ResultWriterOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.nifti import write_nifti
from totalmap.writers.release import Release


class NiftiWriterOperator(ResultWriterOperator):
    """Writes the labels as one multi-label NIfTI."""

    stage = "write_nifti"

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the NIfTI and reads it back."""
        return (write_nifti(segmentation, release),)

"""Operator: segmentation -> RT Structure Set."""

from typing import Any

from operators.result_writer import ResultWriterOperator
from totalmap.journal import Result
from totalmap.segmentation import Segmentation
from totalmap.writers.release import Release
from totalmap.writers.rtstruct import write_rtstruct


class RtstructWriterOperator(ResultWriterOperator):
    """Writes the contours of the labels as an RT Structure Set."""

    stage = "write_rtstruct"

    def __init__(self, *args: Any, structures: tuple[str, ...] = (), **kwargs: Any) -> None:
        self._structures = structures
        super().__init__(*args, **kwargs)

    def is_needed(self, segmentation: Segmentation) -> bool:
        """Whether any of the wanted structures was found: a structure set can't be empty."""
        found = [one.structure.name for one in segmentation.found()]
        return any(not self._structures or name in self._structures for name in found)

    def write(self, segmentation: Segmentation, release: Release) -> Result:
        """Writes the structure set and checks it."""
        return write_rtstruct(segmentation, release, self._structures)

"""Operator base of all writers: segmentation -> one result in the release."""

from typing import Any, ClassVar

from operators.chain_operator import ChainOperator
from totalmap.journal import Result
from totalmap.segmentation import Segmentation
from totalmap.writers.release import Release


class ResultWriterOperator(ChainOperator):
    """Hands a segmentation to a writer of `totalmap.writers` and keeps what it wrote.

    The result is written aside; the application releases all of them at its end.
    """

    receives = "segmentation"
    stage: ClassVar[str]

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        self._release = release
        super().__init__(*args, **kwargs)

    def process(self, segmentation: Segmentation) -> None:
        """Writes the result, where there is anything to write."""
        if self.is_needed(segmentation):
            with self.journal.stage(self.stage):
                self.journal.wrote(self.write(segmentation, self._release))

    def is_needed(self, segmentation: Segmentation) -> bool:
        """Whether there is anything to write for this study."""
        return True

    def write(self, segmentation: Segmentation, release: Release) -> Result:
        """Writes one kind of result."""
        raise NotImplementedError

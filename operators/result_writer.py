"""Operator base of all writers: segmentations -> results in the release."""

from typing import Any, ClassVar

from operators.chain_operator import ChainOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release


class ResultWriterOperator(ChainOperator):
    """Hands a segmentation to a writer of `totalmap.writers` and keeps what it wrote.

    Results are written aside; the application releases all of them at its end.
    """

    receives = "segmentations"
    stage: ClassVar[str]

    def __init__(self, *args: Any, settings: Settings, release: Release, **kwargs: Any) -> None:
        self._settings = settings
        self._release = release
        super().__init__(*args, **kwargs)

    def process(self, segmentations: tuple[Segmentation, ...]) -> None:
        """Writes the results of each segmentation for which there is something to write."""
        due = [segmentation for segmentation in segmentations if self.is_due(segmentation)]
        if not due:
            return
        with self.run_log.stage(self.stage):
            for segmentation in due:
                self.run_log.wrote(*self.write(segmentation, self._settings, self._release))

    def is_due(self, segmentation: Segmentation) -> bool:
        """Whether this kind of result is written for a segmentation: always, unless overridden."""
        return True

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes one kind of result: none where there is nothing to write."""
        raise NotImplementedError

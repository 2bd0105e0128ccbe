"""Base of all operators that write results: segmentations -> results in the release."""

from typing import Any, ClassVar

from operators.chain_operator import ChainOperator
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import Release


class ResultWriterOperator(ChainOperator):
    """Calls a writer of `totalmap.writers` for each segmentation and records its results.

    Results are written into a hidden folder; the application releases all of them at its end.

    Attributes:
        stage: Name of the stage in status.json, and of the operator.
    """

    receives = "segmentations"
    stage: ClassVar[str]

    def __init__(self, *args: Any, settings: Settings, release: Release, **kwargs: Any) -> None:
        self._settings = settings
        self._release = release
        super().__init__(*args, **kwargs)

    def process(self, segmentations: tuple[Segmentation, ...]) -> None:
        """Writes the results of each segmentation for which this kind of result is due."""
        due = [segmentation for segmentation in segmentations if self.is_due(segmentation)]
        if not due:
            return
        with self.run_log.stage(self.stage):
            for segmentation in due:
                self.run_log.wrote(*self.write(segmentation, self._settings, self._release))

    def is_due(self, segmentation: Segmentation) -> bool:
        """Returns whether this kind of result is written for a segmentation; by default, always."""
        return True

    def write(
        self, segmentation: Segmentation, settings: Settings, release: Release
    ) -> tuple[Result, ...]:
        """Writes the results of this kind; there may be none."""
        raise NotImplementedError

"""Operator base of all writers: segmentation -> one result in the release."""

from typing import Any, ClassVar

from holoscan.core import (
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)

from totalmap.journal import Journal, Result
from totalmap.segmentation import Segmentation
from totalmap.writers.release import Release


class ResultWriterOperator(Operator):
    """Hands a segmentation to a writer of `totalmap.writers` and keeps what it wrote."""

    stage: ClassVar[str]

    def __init__(
        self, fragment: Fragment, *args: Any, release: Release, journal: Journal, **kwargs: Any
    ) -> None:
        self._release = release
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Receives a `Segmentation`."""
        spec.input("segmentation")

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Writes the result aside; the application releases it at its end."""
        segmentation = op_input.receive("segmentation")
        if self.is_needed(segmentation):
            with self._journal.stage(self.stage):
                self._journal.wrote(self.write(segmentation, self._release))

    def is_needed(self, segmentation: Segmentation) -> bool:
        """Whether there is anything to write for this study."""
        return True

    def write(self, segmentation: Segmentation, release: Release) -> Result:
        """Writes one kind of result."""
        raise NotImplementedError

"""Defines the base of all operators: one value in, one call into `totalmap`, one value out."""

from typing import Any, ClassVar

from holoscan.core import (
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)

from totalmap.run_log import RunLog


class ChainOperator(Operator):
    """An operator of the chain; the run log records when it has done its work.

    Attributes:
        receives: Name of the input port; None for the first operator.
        emits: Name of the output port; None for the last operators.
    """

    receives: ClassVar[str | None] = None
    emits: ClassVar[str | None] = None

    def __init__(self, fragment: Fragment, *args: Any, run_log: RunLog, **kwargs: Any) -> None:
        self.run_log = run_log
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declares the ports."""
        if self.receives:
            spec.input(self.receives)
        if self.emits:
            spec.output(self.emits)

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Calls `process` with the received value, and emits the result."""
        result = self.process(op_input.receive(self.receives) if self.receives else None)
        self.run_log.complete(self.name)
        if self.emits:
            op_output.emit(result, self.emits)

    def process(self, received: Any) -> Any:
        """Does the work; errors of `totalmap` pass through to the application."""
        raise NotImplementedError

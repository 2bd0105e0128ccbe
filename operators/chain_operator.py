"""Base of all operators: at most one value in, one call into `totalmap`, at most one value out."""

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
    """One link of the chain of a study."""

    receives: ClassVar[str | None] = None
    emits: ClassVar[str | None] = None

    def __init__(self, fragment: Fragment, *args: Any, run_log: RunLog, **kwargs: Any) -> None:
        self.run_log = run_log
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declares the ports that the class names."""
        if self.receives:
            spec.input(self.receives)
        if self.emits:
            spec.output(self.emits)

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Hands the received value to `process` and emits what it returns."""
        result = self.process(op_input.receive(self.receives) if self.receives else None)
        if self.emits:
            op_output.emit(result, self.emits)

    def process(self, received: Any) -> Any:
        """Does the work of this link; errors of `totalmap` pass through to the application."""
        raise NotImplementedError

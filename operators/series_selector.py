"""Operator: study -> series."""

from typing import Any

from holoscan.core import (
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)

from totalmap.dicom.select import chosen_series, judge
from totalmap.journal import Journal
from totalmap.settings import SelectionSection


class SeriesSelectorOperator(Operator):
    """Chooses the series to segment and keeps the reason for every series."""

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        rules: SelectionSection,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._rules = rules
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Receives a `Study`, emits a `Series`."""
        spec.input("study")
        spec.output("series")

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Judges the series and emits the chosen one."""
        with self._journal.stage("select_series"):
            verdicts = judge(op_input.receive("study"), self._rules)
            self._journal.judged(verdicts)
            op_output.emit(chosen_series(verdicts), "series")

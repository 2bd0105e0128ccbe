"""Operator: study -> series."""

from typing import Any

from operators.chain_operator import ChainOperator
from totalmap.dicom.select import chosen_series, judge
from totalmap.dicom.study import Series, Study
from totalmap.settings import SelectionSection


class SeriesSelectorOperator(ChainOperator):
    """Chooses the series to segment and keeps the reason for every series."""

    receives = "study"
    emits = "series"

    def __init__(self, *args: Any, rules: SelectionSection, **kwargs: Any) -> None:
        self._rules = rules
        super().__init__(*args, **kwargs)

    def process(self, study: Study) -> Series:
        """Judges the series and returns the chosen one."""
        with self.journal.stage("select_series"):
            verdicts = judge(study, self._rules)
            self.journal.judged(verdicts)
            return chosen_series(verdicts)

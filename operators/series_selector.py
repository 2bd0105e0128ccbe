"""Chooses the series to segment: operator from a study to selections."""

from typing import Any

from operators.base_operator import ChainOperator
from totalmap.dicom.series_selection import Selection, judge, selected
from totalmap.dicom.study import Study
from totalmap.selection_settings import SelectionSection
from totalmap.settings import GeometrySection


class SeriesSelectorOperator(ChainOperator):
    """Chooses the series to segment and records the reason for every series."""

    receives = "study"
    emits = "selections"

    def __init__(
        self, *args: Any, rules: SelectionSection, geometry: GeometrySection, **kwargs: Any
    ) -> None:
        self._rules = rules
        self._geometry = geometry
        super().__init__(*args, **kwargs)

    def process(self, study: Study) -> tuple[Selection, ...]:
        """Applies the selection rules and returns the selections."""
        with self.run_log.stage("select_series"):
            judgement = judge(study, self._rules, self._geometry)
            self.run_log.judged(judgement.decisions)
            return selected(judgement)

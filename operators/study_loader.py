"""Reads the headers of the input and chooses a study: operator from the input to a study."""

from typing import Any

from operators.base_operator import ChainOperator
from totalmap.dicom.study import Study
from totalmap.dicom.study_choice import choose_study, of_study
from totalmap.open_input import OpenedInput
from totalmap.settings import StudySection


class StudyLoaderOperator(ChainOperator):
    """Reads the headers of all DICOM instances of the input and chooses one study."""

    emits = "study"

    def __init__(
        self,
        *args: Any,
        source: OpenedInput,
        study: str | None,
        settings: StudySection,
        **kwargs: Any,
    ) -> None:
        self._source = source
        self._study = study
        self._settings = settings
        super().__init__(*args, **kwargs)

    def process(self, received: None) -> Study:
        """Reads the headers and returns the chosen study."""
        with self.run_log.stage("read_study"):
            repair = self._settings.missing_uids == "repair"
            content = self._source.studies(repair_missing_uids=repair)
            self.run_log.read(content)
            chosen = choose_study(content, self._study)
            self.run_log.chose(chosen)
            return of_study(content, chosen.uid)

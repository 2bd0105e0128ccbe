"""Operator: input folder -> study."""

from pathlib import Path
from typing import Any

from operators.chain_operator import ChainOperator
from totalmap.dicom.study import Study, read_study
from totalmap.settings import StudySection


class StudyLoaderOperator(ChainOperator):
    """Reads the headers of all DICOM instances below the input folder."""

    emits = "study"

    def __init__(
        self, *args: Any, input_folder: Path, settings: StudySection, **kwargs: Any
    ) -> None:
        self._input_folder = input_folder
        self._settings = settings
        super().__init__(*args, **kwargs)

    def process(self, received: None) -> Study:
        """Reads the study."""
        with self.journal.stage("read_study"):
            repair = self._settings.missing_uids == "repair"
            study = read_study(self._input_folder, repair_missing_uids=repair)
            self.journal.read(study)
            return study

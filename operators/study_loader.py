"""Operator: input folder -> study."""

from pathlib import Path
from typing import Any

from holoscan.core import (
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)

from totalmap.dicom.study import read_study
from totalmap.journal import Journal
from totalmap.settings import StudySection


class StudyLoaderOperator(Operator):
    """Reads the headers of all DICOM instances below the input folder."""

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        input_folder: Path,
        settings: StudySection,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._input_folder = input_folder
        self._settings = settings
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Emits a `Study`."""
        spec.output("study")

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Reads the study; runs once."""
        with self._journal.stage("read_study"):
            repair = self._settings.missing_uids == "repair"
            study = read_study(self._input_folder, repair_missing_uids=repair)
            self._journal.warn(*study.warnings)
            op_output.emit(study, "study")

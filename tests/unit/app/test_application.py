from pathlib import Path
from typing import Any

import pytest
from holoscan.conditions import CountCondition
from holoscan.core import Operator, OperatorSpec

from app.application import TotalMapApplication
from operators.result_writers import SegWriterOperator
from totalmap.errors import OutputError
from totalmap.open_input import InputKind, OpenedInput
from totalmap.run_log import RunLog
from totalmap.settings import ResultKind, ResultsSection, Settings
from totalmap.writers.all_or_nothing import open_release


class SilentOperator(Operator):
    """Runs once and emits nothing."""

    def setup(self, spec: OperatorSpec) -> None:
        spec.output("segmentations")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Forgets to emit."""


class SilentApplication(TotalMapApplication):
    """Ends without an error and without any result."""

    def compose(self) -> None:
        silent = SilentOperator(self, CountCondition(self, 1), name="silent")
        writer = SegWriterOperator(
            self,
            settings=self._settings,
            release=self._release,
            run_log=self._run_log,
            name="write_seg",
        )
        self.add_flow(silent, writer, {("segmentations", "segmentations")})


def test_an_operator_that_emits_nothing_is_an_error_of_the_application(tmp_path: Path) -> None:
    with open_release(tmp_path) as release:
        application = SilentApplication(
            [],
            settings=Settings(results=ResultsSection(kinds=(ResultKind.SEG, ResultKind.NIFTI))),
            source=OpenedInput(kind=InputKind.FOLDER, path=tmp_path),
            models_folder=tmp_path,
            release=release,
            run_log=RunLog(),
        )
        with pytest.raises(OutputError, match="ended without the results seg, nifti"):
            application.run()


@pytest.mark.parametrize("kind", ResultKind)
def test_every_kind_of_result_has_a_writer(tmp_path: Path, kind: ResultKind) -> None:
    with open_release(tmp_path / "out") as release:
        application = TotalMapApplication(
            [],
            settings=Settings(results=ResultsSection(kinds=(kind,))),
            source=OpenedInput(kind=InputKind.FOLDER, path=tmp_path),
            models_folder=tmp_path,
            release=release,
            run_log=RunLog(),
        )
        application.compose()
        names = {node.name for node in application.graph.get_nodes()}
    assert f"write_{kind}" in names


class SkippedWriterOperator(SegWriterOperator):
    """Measures its stage, and ends before it has written anything."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Enters the stage without doing the work."""
        del op_output, context
        op_input.receive("segmentations")
        with self.run_log.stage(self.stage):
            return


class TimedApplication(SilentApplication):
    """Has a timing for a result that was not written."""

    def compose(self) -> None:
        sender = SendingOperator(self, CountCondition(self, 1), name="sender")
        writer = SkippedWriterOperator(
            self,
            settings=self._settings,
            release=self._release,
            run_log=self._run_log,
            name="write_seg",
        )
        self.add_flow(sender, writer, {("segmentations", "segmentations")})


class SendingOperator(SilentOperator):
    """Emits no segmentations."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Emits an empty tuple."""
        del op_input, context
        op_output.emit((), "segmentations")


def test_a_result_writer_that_started_and_did_not_finish_is_an_error(tmp_path: Path) -> None:
    run_log = RunLog()
    with open_release(tmp_path) as release:
        application = TimedApplication(
            [],
            settings=Settings(results=ResultsSection(kinds=(ResultKind.SEG,))),
            source=OpenedInput(kind=InputKind.FOLDER, path=tmp_path),
            models_folder=tmp_path,
            release=release,
            run_log=run_log,
        )
        with pytest.raises(OutputError, match="ended without the results seg"):
            application.run()
    assert "write_seg" in run_log.timings_seconds

import io
from dataclasses import replace
from pathlib import Path

import pytest

from app.run_study import RunOutcome
from cli.console_without_markup import plain_console
from cli.run_summary import summary
from totalmap.dicom.series_selection import judge
from totalmap.dicom.study import read_study
from totalmap.errors import NoSuitableSeries
from totalmap.finding import Assessment, Finding, Severity
from totalmap.run_log import Result, RunLog
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import held_path
from totalmap.writers.status_json import describe_run


def printed(outcome: RunOutcome) -> str:
    file = io.StringIO()
    plain_console(file=file, width=100).print(summary(outcome, Path("out")))
    return file.getvalue()


@pytest.fixture
def run_log(true_segmentation: Segmentation) -> RunLog:
    run_log = RunLog()
    study = read_study(true_segmentation.volume.slices[0].instance.path.parent)
    run_log.judged(judge(study, Settings().selection, Settings().geometry).decisions)
    run_log.warn("a warning")
    with run_log.stage("segment"):
        run_log.segmented(true_segmentation)
    run_log.wrote(Result(kind="seg", path="results/seg.dcm", sop_instance_uid="1.2"))
    return run_log


def test_run_summary_of_a_success_shows_series_structures_times_and_paths(run_log: RunLog) -> None:
    text = printed(RunOutcome(error=None, status=describe_run(run_log, Settings(), None)))
    for expected in (
        "chosen: 40 slices",
        "Liver",
        "Left kidney",
        "Segmenting",
        "out/results/seg.dcm",
        "a warning",
    ):
        assert expected in text


def test_run_summary_shows_a_folder_with_many_results_in_one_line(run_log: RunLog) -> None:
    for number in range(30):
        run_log.wrote(Result(kind="overlay", path=f"results/overlay/image_{number:04}.dcm"))
    text = printed(RunOutcome(error=None, status=describe_run(run_log, Settings(), None)))
    assert "out/results/overlay (30 files)" in text
    assert "image_0007.dcm" not in text
    assert "out/results/seg.dcm" in text


def test_run_summary_shows_the_findings_of_a_rejected_result(
    run_log: RunLog, true_segmentation: Segmentation
) -> None:
    why = Finding(code="MIRRORED", severity=Severity.REJECT, sentence="Left is right.")
    known = Finding(code="TILT", severity=Severity.INFORMATION, sentence="The gantry was tilted.")
    run_log.assessed(true_segmentation.with_assessment(Assessment(findings=(why, known))))
    run_log.hold_back(held_path)
    text = printed(RunOutcome(error=None, status=describe_run(run_log, Settings(), None)))
    assert "reject      MIRRORED         Left is right." in text
    assert "Verdict: reject" in text
    assert "Held back" in text
    assert "out/rejected/seg.dcm.held" in text
    assert "tilted" not in text


def test_run_summary_prints_brackets_as_text(run_log: RunLog) -> None:
    (decision,) = run_log.decisions
    (by_rule,) = decision.by_rule
    by_rule = replace(by_rule, reason="[bold]why[/x]")
    run_log.judged((replace(decision, by_rule=(by_rule,)),))
    text = printed(RunOutcome(error=None, status=describe_run(run_log, Settings(), None)))
    assert "[bold]why[/x]" in text


def test_run_summary_of_a_failure_shows_the_reason_and_no_results(run_log: RunLog) -> None:
    error = NoSuitableSeries("none of 3 series can be segmented")
    text = printed(RunOutcome(error=error, status=describe_run(run_log, Settings(), error)))
    assert "Failed: none of 3 series" in text
    assert "Exit status 65" in text
    assert "seg.dcm" not in text

"""`totalmap run --all`: segments the studies of an input in turn, and prints one summary."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from app.all_studies import StudyRun, run_all_studies, worst_exit_status
from app.run import RunRequest
from cli.progress import ProgressDisplay
from totalmap.dicom.study_choice import StudyEntry
from totalmap.errors import ConfigError


def run_and_summarise(request: RunRequest, display: ProgressDisplay, console: Console) -> int:
    """Segments every study, prints the summary, and returns the worst exit status.

    Raises:
        TotalMapError: No study could be run.
    """
    if request.study is not None:
        raise ConfigError("--study takes one study and --all takes every study: leave one out")

    def announce(study: StudyEntry) -> None:
        console.print(f"Study {study.number} of {study.of}: {study.uid}", soft_wrap=True)

    runs = run_all_studies(request, display, announce, display.stopped)
    console.print(_table(runs))
    for run in runs:
        if run.outcome.error is not None:
            console.print(f"Study {run.study.number} failed: {run.outcome.error}", soft_wrap=True)
    succeeded = sum(run.outcome.error is None for run in runs)
    exit_status = worst_exit_status(runs)
    console.print(f"{succeeded} of {len(runs)} studies were segmented. Exit status {exit_status}.")
    return exit_status


def _table(runs: Iterable[StudyRun]) -> Table:
    table = Table("Study", "Outcome", "Verdict", title="Studies", title_justify="left")
    table.add_column("Structures", justify="right")
    table.add_column("Seconds", justify="right")
    table.add_column("Results in", overflow="fold")
    for run in runs:
        status = run.outcome.status
        exit_status = run.outcome.exit_status
        table.add_row(
            str(run.study.number),
            f"failed ({exit_status})" if exit_status else "segmented",
            "" if exit_status else status.quality.verdict,
            str(len(status.structures)),
            f"{sum(status.timings_seconds.values()):.1f}",
            str(run.output_folder),
        )
    return table

"""Prints the summary of a run, and of the runs of all studies of an input."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from app.all_studies import StudyRun, run_all_studies, worst_exit_status
from app.run_study import RunOutcome, RunRequest
from cli.format_series_and_findings import finding_lines, series_table
from cli.progress import STAGES, ProgressDisplay
from totalmap.dicom.study_choice import StudyEntry
from totalmap.display_names import display_name
from totalmap.errors import ConfigError
from totalmap.finding import Verdict
from totalmap.writers.all_or_nothing import STATUS_NAME
from totalmap.writers.status_json import RunStatus

# A folder with more results, such as an overlay, is one line.
_MOST_FILES = 20
_STYLES = {Verdict.OK: "green", Verdict.REVIEW: "yellow", Verdict.REJECT: "red"}


def print_summary(outcome: RunOutcome, output_folder: Path, console: Console) -> None:
    """Prints the summary of a run."""
    for part in summary(outcome, output_folder).renderables:
        # Long lines are not wrapped, so that a path can be copied.
        console.print(part, soft_wrap=isinstance(part, Text))


def summary(outcome: RunOutcome, output_folder: Path) -> Group:
    """Returns the summary of a run: series, structures, times, verdict and paths."""
    status, lines = outcome.status, []
    tables = [series_table(status.series)] if status.series else []
    lines += [Text(f"Warning: {warning}", style="yellow") for warning in status.warnings]
    if outcome.error is None:
        tables += [_structures_table(status), _timings_table(status)]
        lines += _verdict_lines(status)
        paths = [*_listed([result.path for result in status.results]), STATUS_NAME]
        lines.append(Text("Results:", style="green"))
        lines += [Text(f"  {output_folder / path}") for path in paths]
    else:
        lines.append(Text(f"Failed: {outcome.error}", style="red"))
        lines.append(Text(f"Nothing was released. Exit status {outcome.exit_status}."))
    return Group(*tables, *lines)


def _listed(paths: Sequence[str]) -> list[str]:
    """Returns the paths, and of a folder with many files its own path and their number."""
    folders = [str(PurePosixPath(path).parent) for path in paths]
    count = Counter(folders)
    return list(
        dict.fromkeys(
            path if count[folder] <= _MOST_FILES else f"{folder} ({count[folder]} files)"
            for path, folder in zip(paths, folders, strict=True)
        )
    )


def _verdict_lines(status: RunStatus) -> list[Text]:
    quality = status.quality
    style = _STYLES[quality.verdict]
    lines = [Text(line, style=style) for line in finding_lines(quality.findings)]
    lines.append(Text(f"Verdict: {quality.verdict}", style=style))
    if quality.held:
        lines.append(Text("Held back: the result is not delivered (docs/quality.md).", style=style))
    return lines


def _structures_table(status: RunStatus) -> Table:
    table = Table("Structure", title=f"Structures ({len(status.structures)})", title_justify="left")
    table.add_column("mL", justify="right")
    for structure in status.structures:
        folder = f"{structure.folder}/" if structure.folder else ""
        name = f"{folder}{display_name(structure.name)}"
        table.add_row(name, f"{structure.volume_ml:.1f}")
    return table


def _timings_table(status: RunStatus) -> Table:
    table = Table("Stage", title="Time", title_justify="left")
    table.add_column("Seconds", justify="right")
    for stage, seconds in status.timings_seconds.items():
        table.add_row(STAGES.get(stage, stage), f"{seconds:.2f}")
    table.add_row("Sum", f"{sum(status.timings_seconds.values()):.2f}")
    return table


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
    console.print(_studies_table(runs))
    for run in runs:
        if run.outcome.error is not None:
            console.print(f"Study {run.study.number} failed: {run.outcome.error}", soft_wrap=True)
    succeeded = sum(run.outcome.error is None for run in runs)
    exit_status = worst_exit_status(runs)
    console.print(f"{succeeded} of {len(runs)} studies were segmented. Exit status {exit_status}.")
    return exit_status


def _studies_table(runs: Iterable[StudyRun]) -> Table:
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

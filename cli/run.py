"""`totalmap run`: the application on one folder, with a progress display and a summary."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.command import DEFAULT_MODELS, DEFAULT_SETTINGS
from app.process import restart_with_larger_stack
from app.run import RunOutcome, RunRequest, run_application
from cli.all_studies import run_and_summarise
from cli.console import plain_console
from cli.errors import errors_to_exit_status
from cli.finding_lines import finding_lines
from cli.input_help import INPUT_HELP, STUDY_HELP
from cli.series_table import series_table
from totalmap import log
from totalmap.finding import Verdict
from totalmap.writers.release import STATUS_NAME
from totalmap.writers.status import RunStatus

STAGES = {
    "unpack": "Unpacking the archive",
    "read_study": "Reading headers",
    "read_nifti": "Reading the NIfTI file",
    "select_series": "Choosing a series",
    "build_volume": "Decoding pixels",
    "load_models": "Loading networks",
    "segment": "Segmenting",
    "check_quality": "Judging the result",
    "write_source": "Writing repaired source",
    "write_seg": "Writing DICOM SEG",
    "write_seg_labelmap": "Writing DICOM label map",
    "write_sr": "Writing DICOM SR",
    "write_rtstruct": "Writing RT Structure Set",
    "write_preview": "Writing preview",
    "write_report": "Writing report",
    "write_csv": "Writing measurements",
    "write_nifti": "Writing NIfTI",
}
_STYLES = {Verdict.OK: "green", Verdict.REVIEW: "yellow", Verdict.REJECT: "red"}


def run(
    input_path: Annotated[Path, typer.Argument(help=INPUT_HELP)],
    output_folder: Annotated[Path, typer.Argument(help="Folder for the results.")],
    models: Annotated[Path, typer.Option(help="Models folder.")] = DEFAULT_MODELS,
    config: Annotated[Path, typer.Option(help="Settings file.")] = DEFAULT_SETTINGS,
    study: Annotated[str | None, typer.Option(help=STUDY_HELP)] = None,
    every_study: Annotated[
        bool, typer.Option("--all", help="Segment every study, each into a folder study-001 ...")
    ] = False,
) -> None:
    """Segments a study and shows what was found."""
    restart_with_larger_stack()
    log.configure(level=logging.CRITICAL)
    console = plain_console()
    request = RunRequest(
        input_path=input_path,
        output_folder=output_folder,
        models_folder=models,
        settings_file=config,
        study=study,
    )
    if every_study:
        with errors_to_exit_status(), ProgressDisplay(console) as display:
            sys.exit(run_and_summarise(request, display, console))
    with ProgressDisplay(console) as display:
        outcome = run_application(request, display)
    console.print(summary(outcome, output_folder))
    sys.exit(outcome.exit_status)


class ProgressDisplay:
    """A bar on a terminal, one line a stage elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("Starting", total=None)

    def __enter__(self) -> "ProgressDisplay":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def stage_started(self, stage: str) -> None:
        """Names the stage."""
        description = STAGES.get(stage, stage)
        if not self._console.is_terminal:
            self._console.print(f"{description} ...")
        self._progress.reset(self._task, description=description, total=None)

    def progress(self, done: int, total: int) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=done, total=total)


def summary(outcome: RunOutcome, output_folder: Path) -> Group:
    """Returns what a person wants to see after a run."""
    status, lines = outcome.status, []
    tables = [series_table(status.series)] if status.series else []
    lines += [Text(f"Warning: {warning}", style="yellow") for warning in status.warnings]
    if outcome.error is None:
        tables += [_structures_table(status), _timings_table(status)]
        lines += _verdict_lines(status)
        paths = [*(one.path for one in status.results), STATUS_NAME]
        lines.append(Text("Results:", style="green"))
        lines += [Text(f"  {output_folder / path}") for path in paths]
    else:
        lines.append(Text(f"Failed: {outcome.error}", style="red"))
        lines.append(Text(f"Nothing was released. Exit status {outcome.exit_status}."))
    return Group(*tables, *lines)


def _verdict_lines(status: RunStatus) -> list[Text]:
    quality = status.quality
    style = _STYLES[quality.verdict]
    lines = [Text(line, style=style) for line in finding_lines(quality.findings)]
    lines.append(Text(f"Verdict: {quality.verdict}", style=style))
    if quality.held:
        lines.append(Text("Held back, for nobody to deliver (docs/quality.md).", style=style))
    return lines


def _structures_table(status: RunStatus) -> Table:
    table = Table("Structure", title=f"Structures ({len(status.structures)})", title_justify="left")
    table.add_column("mL", justify="right")
    for structure in status.structures:
        name = f"{structure.folder}/{structure.name}" if structure.folder else structure.name
        table.add_row(name, f"{structure.volume_ml:.1f}")
    return table


def _timings_table(status: RunStatus) -> Table:
    table = Table("Stage", title="Time", title_justify="left")
    table.add_column("Seconds", justify="right")
    for stage, seconds in status.timings_seconds.items():
        table.add_row(STAGES.get(stage, stage), f"{seconds:.2f}")
    table.add_row("All", f"{sum(status.timings_seconds.values()):.2f}")
    return table

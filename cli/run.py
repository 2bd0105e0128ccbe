"""`totalmap run`: segments a study, with a progress display and a summary."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import (
    INPUT_HELP,
    STUDY_HELP,
    Config,
    DeviceName,
    Models,
    StructureNames,
    TaskName,
    VariantName,
    segmentation_settings,
)
from totalmap.defaults import DEFAULT_MODELS, DEFAULT_SETTINGS
from totalmap.finding import Verdict

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from app.run import RunOutcome
    from totalmap.writers.status_json import RunStatus

_STYLES = {Verdict.OK: "green", Verdict.REVIEW: "yellow", Verdict.REJECT: "red"}


def run(
    input_path: Annotated[Path, typer.Argument(help=INPUT_HELP)],
    output_folder: Annotated[Path, typer.Argument(help="Folder for the results.")],
    models: Models = DEFAULT_MODELS,
    config: Config = DEFAULT_SETTINGS,
    task: TaskName = None,
    variant: VariantName = None,
    device: DeviceName = None,
    structures: StructureNames = None,
    study: Annotated[str | None, typer.Option(help=STUDY_HELP)] = None,
    every_study: Annotated[
        bool,
        typer.Option("--all", help="Segment all studies, each into its own folder, study-001 ..."),
    ] = False,
) -> None:
    """Segments a study and writes the results."""
    from cli.segmentation_process import segmentation_process

    with errors_to_exit_status(), segmentation_process() as (console, display):
        from app.run import RunRequest, run_application

        request = RunRequest(
            input_path=input_path,
            output_folder=output_folder,
            models_folder=models,
            settings_file=config,
            study=study,
            overrides=segmentation_settings(task, variant, device, structures),
        )
        if every_study:
            from cli.run_all_studies import run_and_summarise

            sys.exit(run_and_summarise(request, display, console))
        outcome = run_application(request, display, stopped=display.stopped)
    from rich.text import Text

    for part in summary(outcome, output_folder).renderables:
        # Long lines are not wrapped, so that a path can be copied.
        console.print(part, soft_wrap=isinstance(part, Text))
    sys.exit(outcome.exit_status)


def summary(outcome: "RunOutcome", output_folder: Path) -> "Group":
    """Returns the summary of a run: series, structures, times, verdict and paths."""
    from rich.console import Group
    from rich.text import Text

    from cli.result_lines import series_table
    from totalmap.writers.release import STATUS_NAME

    status, lines = outcome.status, []
    tables = [series_table(status.series)] if status.series else []
    lines += [Text(f"Warning: {warning}", style="yellow") for warning in status.warnings]
    if outcome.error is None:
        tables += [_structures_table(status), _timings_table(status)]
        lines += _verdict_lines(status)
        paths = [*(result.path for result in status.results), STATUS_NAME]
        lines.append(Text("Results:", style="green"))
        lines += [Text(f"  {output_folder / path}") for path in paths]
    else:
        lines.append(Text(f"Failed: {outcome.error}", style="red"))
        lines.append(Text(f"Nothing was released. Exit status {outcome.exit_status}."))
    return Group(*tables, *lines)


def _verdict_lines(status: "RunStatus") -> "list[Text]":
    from rich.text import Text

    from cli.result_lines import finding_lines

    quality = status.quality
    style = _STYLES[quality.verdict]
    lines = [Text(line, style=style) for line in finding_lines(quality.findings)]
    lines.append(Text(f"Verdict: {quality.verdict}", style=style))
    if quality.held:
        lines.append(Text("Held back: the result is not delivered (docs/quality.md).", style=style))
    return lines


def _structures_table(status: "RunStatus") -> "Table":
    from rich.table import Table

    from totalmap.display_names import display_name

    table = Table("Structure", title=f"Structures ({len(status.structures)})", title_justify="left")
    table.add_column("mL", justify="right")
    for structure in status.structures:
        folder = f"{structure.folder}/" if structure.folder else ""
        name = f"{folder}{display_name(structure.name)}"
        table.add_row(name, f"{structure.volume_ml:.1f}")
    return table


def _timings_table(status: "RunStatus") -> "Table":
    from rich.table import Table

    from cli.progress import STAGES

    table = Table("Stage", title="Time", title_justify="left")
    table.add_column("Seconds", justify="right")
    for stage, seconds in status.timings_seconds.items():
        table.add_row(STAGES.get(stage, stage), f"{seconds:.2f}")
    table.add_row("All", f"{sum(status.timings_seconds.values()):.2f}")
    return table

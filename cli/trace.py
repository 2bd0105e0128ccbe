"""`totalmap trace`: shows the source, weights and settings of a result."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status

if TYPE_CHECKING:
    from rich.table import Table

    from totalmap.trace_result import Trace


def print_trace(
    result: Annotated[Path, typer.Argument(help="A DICOM file that TotalMAP wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Shows the source, weights and settings of a result.

    The exit status is 65 for a file that TotalMAP did not write. No patient data is shown.
    """
    from cli.console_without_markup import plain_console
    from totalmap.trace_result import trace

    console = plain_console()
    with errors_to_exit_status():
        result_trace = trace(result)
        if as_json:
            console.print(json.dumps(asdict(result_trace), indent=2), soft_wrap=True)
        else:
            console.print(_table(result_trace))


def _table(result_trace: "Trace") -> "Table":
    from rich.table import Table

    origin = result_trace.origin
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Result", f"{result_trace.sop_class}: {result_trace.description}")
    table.add_row("Instance", result_trace.sop_instance_uid)
    table.add_row("Made by", f"TotalMAP {origin.version}")
    table.add_row("Task", f"{origin.task}, variant {origin.variant}")
    how = f"{origin.arithmetic}, search {origin.search}, on {origin.device}"
    table.add_row("Computed by", f"engine {origin.engine}, {how}")
    for weights in origin.weights:
        table.add_row("Weights", f"{weights.dataset}, SHA-256 {weights.sha256}")
        table.add_row("Licence", weights.licence or "not recorded")
    if origin.looked_for:
        labels = f"{len(origin.labels)} structures, labels {origin.looked_for}"
        table.add_row("Looked for", labels)
    table.add_row("Settings", f"SHA-256 {origin.settings_sha256}")
    for correction in origin.corrections:
        table.add_row("Corrected", f"labels {correction.touched} of the SEG before")
        for predecessor in correction.predecessors:
            table.add_row("SEG before", predecessor)
    table.add_row("Study", result_trace.study_instance_uid)
    table.add_row("Refers to", f"{len(result_trace.instances)} instances (all with --json)")
    made = "AI result corrected by a person" if origin.corrections else "AI result"
    table.add_row("Status", f"{made}, unverified")
    return table

"""Defines `totalmap trace`, which shows the origin of a result."""

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
    """Shows the source, weights and settings of a result, and the version that made it.

    The exit status is 65 for a file that TotalMAP did not write. No patient data are shown.
    """
    from cli.console import plain_console
    from totalmap.trace_result import trace

    console = plain_console()
    with errors_to_exit_status():
        found = trace(result)
        if as_json:
            console.print(json.dumps(asdict(found), indent=2), soft_wrap=True)
        else:
            console.print(_table(found))


def _table(found: "Trace") -> "Table":
    from rich.table import Table

    origin = found.origin
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Result", f"{found.sop_class}: {found.description}")
    table.add_row("Instance", found.sop_instance_uid)
    table.add_row("Made by", f"TotalMAP {origin.version}")
    table.add_row("Task", f"{origin.task}, variant {origin.variant}")
    table.add_row("Computed by", f"engine {origin.engine}, {origin.arithmetic}, on {origin.device}")
    for weights in origin.weights:
        table.add_row("Weights", f"{weights.dataset}, SHA-256 {weights.sha256}")
        table.add_row("Licence", weights.licence or "not recorded")
    if origin.looked_for:
        labels = f"{len(origin.labels)} structures, labels {origin.looked_for}"
        table.add_row("Looked for", labels)
    table.add_row("Settings", f"SHA-256 {origin.settings_sha256}")
    table.add_row("Study", found.study_instance_uid)
    table.add_row("Refers to", f"{len(found.instances)} instances (all with --json)")
    table.add_row("Status", "AI result, unverified")
    return table

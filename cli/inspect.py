"""`totalmap inspect`: shows which series of an input would be segmented, and why."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import INPUT_HELP, STUDY_HELP, Config, TaskName, segmentation_settings
from totalmap.default_locations import DEFAULT_SETTINGS


def inspect(
    input_path: Annotated[Path, typer.Argument(help=INPUT_HELP)],
    config: Config = DEFAULT_SETTINGS,
    task: TaskName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    study: Annotated[str | None, typer.Option(help=STUDY_HELP)] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Show the path of each file number.")
    ] = False,
) -> None:
    """Shows all series of an input, which one would be segmented, and why.

    Only headers are read. The exit status is 65 if no series can be segmented.
    """
    from cli.console_without_markup import plain_console
    from cli.print_series_of_input import show_files, show_input
    from totalmap import log
    from totalmap.settings import load_settings

    log.configure(level=logging.CRITICAL)
    with errors_to_exit_status():
        settings = load_settings(config, overrides=segmentation_settings(task))
        if files:
            show_files(input_path, plain_console())
        else:
            show_input(input_path, settings, study, plain_console(), as_json=as_json)

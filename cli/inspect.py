"""`totalmap inspect`: which series of an input would be segmented, and why; nothing is run."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.input_help import INPUT_HELP, STUDY_HELP
from cli.options import Config, TaskName, segmentation_settings
from totalmap.defaults import DEFAULT_SETTINGS


def inspect(
    input_path: Annotated[Path, typer.Argument(help=INPUT_HELP)],
    config: Config = DEFAULT_SETTINGS,
    task: TaskName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    study: Annotated[str | None, typer.Option(help=STUDY_HELP)] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Show which path each number of a file stands for.")
    ] = False,
) -> None:
    """Shows the studies of an input and all their series, which would be segmented, and why.

    Reads headers alone. The exit status is 65 where nothing can be segmented.
    """
    from cli.console import plain_console
    from cli.inspection import show_files, show_input
    from totalmap import log
    from totalmap.settings import load_settings

    log.configure(level=logging.CRITICAL)
    with errors_to_exit_status():
        settings = load_settings(config, overrides=segmentation_settings(task))
        if files:
            show_files(input_path, plain_console())
        else:
            show_input(input_path, settings, study, plain_console(), as_json=as_json)

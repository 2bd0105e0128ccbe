"""`totalmap verify`: makes a result anew and says whether it is the same."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.command import DEFAULT_MODELS, DEFAULT_SETTINGS
from app.process import restart_with_larger_stack
from app.run import RunRequest
from app.verify import verify
from cli.console import plain_console
from cli.errors import errors_to_exit_status
from cli.run import ProgressDisplay
from totalmap import log

DIFFERENT = 1


def print_verification(
    result: Annotated[Path, typer.Argument(help="A DICOM file that TotalMAP wrote.")],
    source: Annotated[Path, typer.Option(help="The study it was made from: a folder or a ZIP.")],
    models: Annotated[Path, typer.Option("--models", "-m", help="Models folder.")] = DEFAULT_MODELS,
    config: Annotated[Path, typer.Option(help="Settings file.")] = DEFAULT_SETTINGS,
) -> None:
    """Segments the source again and compares the result with the new one, attribute by attribute.

    The exit status is 0 if they are the same, 1 if not, and that of a run where the run fails.
    """
    restart_with_larger_stack()
    log.configure(level=logging.CRITICAL)
    console = plain_console()
    request = RunRequest(
        input_path=source, output_folder=Path(), models_folder=models, settings_file=config
    )
    with errors_to_exit_status():
        with ProgressDisplay(console) as display:
            verification = verify(result, request, display)
        if verification.is_same:
            same = f"The same: {result} was made from this source with these weights."
            console.print(same, soft_wrap=True)
            return
        console.print(f"Different: {result}")
        for difference in verification.differences:
            console.print(f"  {difference}", soft_wrap=True)
    sys.exit(DIFFERENT)

"""`totalmap verify`: reproduces a result and compares it with the new one."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import (
    Config,
    DeviceName,
    Models,
    SearchName,
    StructureNames,
    TaskName,
    VariantName,
    segmentation_settings,
)
from totalmap.default_locations import DEFAULT_MODELS, DEFAULT_SETTINGS
from totalmap.errors import ExitStatus


def print_verification(
    result: Annotated[Path, typer.Argument(help="A DICOM file that TotalMAP wrote.")],
    source: Annotated[
        Path, typer.Option(help="The study of the result: a folder or a ZIP archive.")
    ],
    models: Models = DEFAULT_MODELS,
    config: Config = DEFAULT_SETTINGS,
    task: TaskName = None,
    variant: VariantName = None,
    device: DeviceName = None,
    structures: StructureNames = None,
    search: SearchName = None,
) -> None:
    """Segments the source again and compares the new result with the given one.

    The exit status is 0 if all attributes are the same and 1 if not. If the run fails, it is the
    exit status of the run.
    """
    from cli.prepare_process import segmentation_process

    with errors_to_exit_status():
        with segmentation_process() as (console, display):
            from app.reproduce import reproduce
            from app.run_study import RunRequest

            request = RunRequest(
                input_path=source,
                output_folder=Path(),
                models_folder=models,
                settings_file=config,
                overrides=segmentation_settings(task, variant, device, structures, search),
            )
            reproduction = reproduce(result, request, display, display.stopped)
        if reproduction.is_same:
            same = f"The same: {result} was made from this source with these weights."
            if reproduction.is_of_correction:
                same = f"The same: the labels of {result} are those of its correction by a person."
            console.print(same, soft_wrap=True)
            return
        console.print(f"Different: {result}")
        for difference in reproduction.differences:
            console.print(f"  {difference}", soft_wrap=True)
    sys.exit(ExitStatus.DIFFERENT)

"""`totalmap run`: segments a study, with a progress display and a summary."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import (
    INPUT_HELP,
    STUDY_HELP,
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
from totalmap.import_without_garbage_collection import no_collection_during_imports


def run(
    input_path: Annotated[Path, typer.Argument(help=INPUT_HELP)],
    output_folder: Annotated[Path, typer.Argument(help="Folder for the results.")],
    models: Models = DEFAULT_MODELS,
    config: Config = DEFAULT_SETTINGS,
    task: TaskName = None,
    variant: VariantName = None,
    device: DeviceName = None,
    structures: StructureNames = None,
    search: SearchName = None,
    study: Annotated[str | None, typer.Option(help=STUDY_HELP)] = None,
    every_study: Annotated[
        bool,
        typer.Option("--all", help="Segment all studies, each into its own folder, study-001 ..."),
    ] = False,
) -> None:
    """Segments a study and writes the results."""
    from cli.prepare_process import segmentation_process

    with errors_to_exit_status(), segmentation_process() as (console, display):
        with no_collection_during_imports():
            from app.run_study import RunRequest, run_application
            from cli.run_summary import print_summary, run_and_summarise

        request = RunRequest(
            input_path=input_path,
            output_folder=output_folder,
            models_folder=models,
            settings_file=config,
            study=study,
            overrides=segmentation_settings(task, variant, device, structures, search),
        )
        if every_study:
            sys.exit(run_and_summarise(request, display, console))
        outcome = run_application(request, display, stopped=display.stopped)
    print_summary(outcome, output_folder, console)
    sys.exit(outcome.exit_status)

"""`totalmap inspect`: which series of a folder would be segmented, and why; nothing is run."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import Config, TaskName, segmentation_settings
from totalmap.defaults import DEFAULT_SETTINGS


def inspect(
    input_folder: Annotated[Path, typer.Argument(help="Folder with the DICOM study.")],
    config: Config = DEFAULT_SETTINGS,
    task: TaskName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Shows every series of a folder, which one would be segmented, and why.

    Reads headers alone. The exit status is 65 where nothing can be segmented.
    """
    from cli.console import plain_console
    from cli.series_table import series_table
    from totalmap import log
    from totalmap.dicom.select import judge, selected
    from totalmap.dicom.study import read_study
    from totalmap.settings import load_settings
    from totalmap.writers.series_status import series_status

    log.configure(level=logging.CRITICAL)
    console = plain_console()
    with errors_to_exit_status():
        settings = load_settings(config, overrides=segmentation_settings(task))
        repair = settings.study.missing_uids == "repair"
        study = read_study(input_folder, repair_missing_uids=repair)
        judgement = judge(study, settings.selection, settings.geometry)
        series = [series_status(verdict) for verdict in judgement.verdicts]
        if as_json:
            console.print(json.dumps([asdict(one) for one in series], indent=2), soft_wrap=True)
        else:
            console.print(series_table(series))
            if study.ignored_files:
                console.print(f"{study.ignored_files} files are not DICOM: ignored")
            for warning in study.warnings:
                console.print(f"Warning: {warning}", soft_wrap=True)
        selected(judgement)

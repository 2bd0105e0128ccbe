"""Defines the options that several commands share: one name, letter and help text for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

INPUT_HELP = "A DICOM folder, a ZIP archive of one, a DICOM file, or a NIfTI file."
STUDY_HELP = "Number (see inspect) or Study Instance UID of the study, if the input holds several."

Models = Annotated[Path, typer.Option("--models", "-m", help="Models folder.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="Settings file.")]
TaskName = Annotated[
    str | None,
    typer.Option("--task", help="TotalSegmentator's task; default: that of the settings."),
]
VariantName = Annotated[
    str | None,
    typer.Option(
        "--variant", help="Resolution: full, fast or fastest; default: that of the settings."
    ),
]
SearchName = Annotated[
    str | None,
    typer.Option(
        "--search",
        help="Where each network searches, whole or boxes; default: that of the settings.",
    ),
]
DeviceName = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu or cuda; default: that of the settings."),
]
StructureNames = Annotated[
    list[str] | None,
    typer.Option(
        "--structures",
        help="Structures to segment, as liver,spleen; default: those of the settings. Repeatable.",
    ),
]


def segmentation_settings(
    task: str | None = None,
    variant: str | None = None,
    device: str | None = None,
    structures: Sequence[str] | None = None,
    search: str | None = None,
) -> dict[str, dict[str, object]]:
    """Returns the options that were given, as the section `segmentation` of the settings."""
    names = [name.strip() for text in structures or () for name in text.split(",")]
    given = {
        "task": task,
        "variant": variant,
        "device": device,
        "structures": [name for name in names if name] if structures else None,
        "search": search,
    }
    return {"segmentation": {key: value for key, value in given.items() if value is not None}}

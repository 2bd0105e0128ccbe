"""Options that several commands have: one name, one letter and one help text for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Models = Annotated[Path, typer.Option("--models", "-m", help="Models folder.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="Settings file.")]
TaskName = Annotated[
    str | None,
    typer.Option("--task", help="TotalSegmentator's task; else that of the settings."),
]
VariantName = Annotated[
    str | None,
    typer.Option("--variant", help="Resolution: full, fast or fastest; else as the settings say."),
]
DeviceName = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu or cuda; else as the settings say."),
]
StructureNames = Annotated[
    list[str] | None,
    typer.Option(
        "--structures",
        help="Structures to look for, as liver,spleen; else as the settings say. Repeatable.",
    ),
]


def segmentation_settings(
    task: str | None = None,
    variant: str | None = None,
    device: str | None = None,
    structures: Sequence[str] | None = None,
) -> dict[str, dict[str, object]]:
    """Returns what was given of these options, as a section of the settings file."""
    names = [name.strip() for text in structures or () for name in text.split(",")]
    given = {
        "task": task,
        "variant": variant,
        "device": device,
        "structures": [name for name in names if name] if structures else None,
    }
    return {"segmentation": {key: value for key, value in given.items() if value is not None}}

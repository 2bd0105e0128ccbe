"""`totalmap models ...`: the record of weights."""

from pathlib import Path
from typing import Annotated

import typer

from app.__main__ import DEFAULT_MODELS
from cli.console import plain_console
from cli.errors import errors_to_exit_status
from totalmap import log
from totalmap.engine.download import RELEASES_URL, install
from totalmap.engine.tasks import load_task
from totalmap.engine.weights import Manifest, adopt
from totalmap.settings import Variant

app = typer.Typer(help="Records and fetches weights.", no_args_is_help=True)
console = plain_console()


@app.command("adopt")
def adopt_command(
    folder: Annotated[Path, typer.Argument(help="Folder that holds Dataset... folders.")],
    source: Annotated[str, typer.Option(help="Where the weights come from.")] = "adopted",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "unknown",
    notice: Annotated[str, typer.Option(help="A warning to show with every result.")] = "",
) -> None:
    """Records the SHA-256 of the weights in a folder of TotalSegmentator's layout."""
    log.configure()
    with errors_to_exit_status():
        _show(folder, adopt(folder, source=source, licence=licence, notice=notice))


@app.command("install")
def install_command(
    task: Annotated[str, typer.Argument(help="Task, for example total.")],
    variant: Annotated[
        Variant | None, typer.Option(help="Resolution; fast where the task has it, else full.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Models folder.")] = DEFAULT_MODELS,
    url: Annotated[str, typer.Option(help="Where the archives lie, or a mirror.")] = RELEASES_URL,
) -> None:
    """Downloads TotalSegmentator's weights, those of rough networks too, and records them."""
    log.configure()
    with errors_to_exit_status():
        _show(folder, install(load_task(task, variant), folder, url))


def _show(folder: Path, manifest: Manifest) -> None:
    for record in manifest.models:
        for file in record.files:
            console.print(f"{file.sha256}  {folder / file.path}", soft_wrap=True)
    console.print(f"{len(manifest.models)} models are on record in {folder}", soft_wrap=True)

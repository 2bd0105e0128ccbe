"""`totalmap models ...`: the record of weights."""

from pathlib import Path
from typing import Annotated

import typer

from app.command import DEFAULT_MODELS
from cli.console import plain_console
from cli.errors import errors_to_exit_status
from totalmap import log
from totalmap.dicom.select import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.engine.download import RELEASES_URL, install
from totalmap.engine.tasks import load_task
from totalmap.engine.weights import ADOPTED, BF16_MIN_DICE, Manifest, adopt
from totalmap.settings import GeometrySection, SelectionRule, SelectionSection, Variant

app = typer.Typer(help="Records and fetches weights.", no_args_is_help=True)
console = plain_console()


@app.command("adopt")
def adopt_command(
    folder: Annotated[Path, typer.Argument(help="Folder that holds Dataset... folders.")],
    source: Annotated[str, typer.Option(help="Where the weights come from.")] = ADOPTED,
    licence: Annotated[
        str | None,
        typer.Option(
            help="Licence of your own weights, its SPDX identifier. Without it: that of "
            "TotalSegmentator's weights of the same name."
        ),
    ] = None,
    notice: Annotated[str, typer.Option(help="A warning to show with every result.")] = "",
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Record this Dataset... folder anew, and no other; may be repeated."),
    ] = None,
    bf16_on: Annotated[
        Path | None,
        typer.Option(help="A CT study: measure on it whether the weights may be run in bf16."),
    ] = None,
) -> None:
    """Records the SHA-256 of the weights in a folder of TotalSegmentator's layout."""
    log.configure()
    with errors_to_exit_status():
        manifest = adopt(
            folder, source=source, licence=licence, notice=notice, datasets=dataset or ()
        )
        if bf16_on:
            # Here and not above: torch takes seconds to import.
            from totalmap.engine.agreement import measure_bf16

            manifest = measure_bf16(folder, _volume(bf16_on))
        _show(folder, manifest)


def _volume(folder: Path) -> Volume:
    """Returns the series that the application would choose, CT or MR."""
    rule = SelectionRule(modalities=("CT", "MR"))
    policy = GeometrySection()
    judgement = judge(read_study(folder), SelectionSection(rules=(rule,)), policy)
    return build_volume(selected(judgement)[0], policy)


@app.command("install")
def install_command(
    task: Annotated[str, typer.Argument(help="Task, for example total.")],
    variant: Annotated[
        Variant | None, typer.Option(help="Resolution; fast where the task has it, else full.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Models folder.")] = DEFAULT_MODELS,
    url: Annotated[str, typer.Option(help="Where the archives lie, or a mirror.")] = RELEASES_URL,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option(help="A licence that is not free for any use, as CC-BY-NC-4.0."),
    ] = None,
) -> None:
    """Downloads TotalSegmentator's weights, those of rough networks too, and records them."""
    log.configure()
    with errors_to_exit_status():
        _show(folder, install(load_task(task, variant), folder, url, accept_licence or ()))


def _show(folder: Path, manifest: Manifest) -> None:
    for record in manifest.models:
        console.print(f"{record.dataset}: licence {record.licence}", soft_wrap=True)
        for file in record.files:
            console.print(f"{file.sha256}  {folder / file.path}", soft_wrap=True)
        if record.bf16:
            verdict = "may be run" if record.bf16.is_good else "is refused"
            console.print(
                f"bf16 {verdict} with {record.dataset}: Dice of {record.bf16.structures} "
                f"structures at least {record.bf16.min_dice:.4f} ({record.bf16.structure}), "
                f"required {BF16_MIN_DICE}",
                soft_wrap=True,
            )
    console.print(f"{len(manifest.models)} models are on record in {folder}", soft_wrap=True)

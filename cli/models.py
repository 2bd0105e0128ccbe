"""`totalmap models ...`: the record of weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import Models
from totalmap.defaults import ADOPTED, DEFAULT_MODELS, RELEASES_URL

if TYPE_CHECKING:
    from totalmap.dicom.volume import Volume
    from totalmap.engine.weights_manifest import Manifest

app = typer.Typer(help="Lists, records and fetches weights.", no_args_is_help=True)


@app.command("list")
def list_command(
    models: Models = DEFAULT_MODELS,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file and compare its SHA-256.")
    ] = False,
) -> None:
    """Lists the tasks, and which of their weights are installed.

    Installed: how many of the networks that take part, with those of the tasks that a task needs.
    Verified: `on record` where the SHA-256 is on record; with --verify it is compared, which takes
    some seconds, and then `yes` or `changed`.
    """
    with errors_to_exit_status():
        import logging

        from cli.console import plain_console
        from cli.models_table import models_table
        from totalmap import log
        from totalmap.engine.installed_weights import list_weights

        log.configure(level=logging.CRITICAL)
        console = plain_console()
        console.print(models_table(list_weights(models, is_verifying=verify)))
        console.print(f"Models folder: {models}", soft_wrap=True)


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
    from totalmap import log
    from totalmap.engine.weights_manifest import adopt

    log.configure()
    with errors_to_exit_status():
        manifest = adopt(
            folder, source=source, licence=licence, notice=notice, datasets=dataset or ()
        )
        if bf16_on:
            # Here and not above: torch takes seconds to import.
            from totalmap.engine.bf16_agreement import measure_bf16

            manifest = measure_bf16(folder, _volume(bf16_on))
        _show(folder, manifest)


def _volume(folder: Path) -> "Volume":
    """Returns the series that the application would choose, CT or MR."""
    from totalmap.dicom.series_selection import judge, selected
    from totalmap.dicom.study import read_study
    from totalmap.dicom.volume import build_volume
    from totalmap.selection_settings import SelectionRule, SelectionSection
    from totalmap.settings import GeometrySection

    rule = SelectionRule(modalities=("CT", "MR"))
    policy = GeometrySection()
    judgement = judge(read_study(folder), SelectionSection(rules=(rule,)), policy)
    return build_volume(selected(judgement)[0], policy)


@app.command("install")
def install_command(
    task: Annotated[str, typer.Argument(help="Task, for example total.")],
    variant: Annotated[
        str | None,
        typer.Option(
            help="Resolution: full, fast or fastest; else fast where the task has it, else full."
        ),
    ] = None,
    models: Models = DEFAULT_MODELS,
    url: Annotated[str, typer.Option(help="Where the archives lie, or a mirror.")] = RELEASES_URL,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option(help="A licence that is not free for any use, as CC-BY-NC-4.0."),
    ] = None,
) -> None:
    """Downloads TotalSegmentator's weights, those of rough networks too, and records them."""
    from totalmap import log
    from totalmap.engine.tasks import load_task
    from totalmap.engine.weights_download import install
    from totalmap.settings import parse_variant

    log.configure()
    with errors_to_exit_status():
        wanted = parse_variant(variant) if variant is not None else None
        _show(models, install(load_task(task, wanted), models, url, accept_licence or ()))


def _show(folder: Path, manifest: "Manifest") -> None:
    from cli.console import plain_console
    from totalmap.engine.weights_manifest import BF16_MIN_DICE

    console = plain_console()
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

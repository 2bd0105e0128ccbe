"""`totalmap models ...`: lists, records and downloads weights."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.options import Config, Models
from totalmap.default_locations import ADOPTED, DEFAULT_MODELS, DEFAULT_SETTINGS, RELEASES_URL
from totalmap.environment_variables import prepare_threads

if TYPE_CHECKING:
    from rich.table import Table

    from totalmap.dicom.volume import Volume
    from totalmap.engine.find_exact_shortcuts import ShortcutReport
    from totalmap.engine.installed_weights import TaskWeights
    from totalmap.engine.weights_manifest import Manifest

Task = Annotated[str, typer.Argument(help="Task, for example total.")]
TaskVariant = Annotated[
    str | None,
    typer.Option(
        "--variant",
        help="Resolution: full, fast or fastest; default: fast if the task has it, or full.",
    ),
]

BYTES_PER_MB = 1_000_000

app = typer.Typer(help="Lists, records and downloads weights.", no_args_is_help=True)


@app.command("list")
def list_command(
    models: Models = DEFAULT_MODELS,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file and compare its SHA-256.")
    ] = False,
) -> None:
    """Lists the tasks and their installed weights.

    Installed: how many networks of the task are installed, and of the tasks that it needs.
    Verified: `on record` if the manifest has the SHA-256. With --verify the files are read, which
    takes some seconds; the column then shows `yes` or `changed`.
    """
    with errors_to_exit_status():
        import logging

        from cli.console_without_markup import plain_console
        from totalmap import log
        from totalmap.engine.installed_weights import list_weights

        log.configure(level=logging.CRITICAL)
        console = plain_console()
        console.print(_weights_table(list_weights(models, is_verifying=verify)))
        console.print(f"Models folder: {models}", soft_wrap=True)


def _weights_table(weights: "Iterable[TaskWeights]") -> "Table":
    """Returns a table with a line for each variant of each task."""
    from rich.table import Table

    table = Table()
    table.add_column("Task", no_wrap=True)
    for title in ("Variant", "Installed", "Verified"):
        table.add_column(title, no_wrap=True)
    table.add_column("Licence", overflow="fold")
    table.add_column("MB", justify="right")
    for entry in weights:
        table.add_row(
            entry.task.name,
            entry.task.variant,
            _installed(entry),
            entry.record or "",
            entry.licence,
            f"{entry.size_bytes / BYTES_PER_MB:.1f}" if entry.installed else "",
        )
    return table


def _installed(weights: "TaskWeights") -> str:
    if weights.installed == weights.needed:
        return "yes"
    return f"{weights.installed} of {weights.needed}" if weights.installed else "no"


@app.command("adopt")
def adopt_command(
    folder: Annotated[Path, typer.Argument(help="Folder with Dataset... folders.")],
    source: Annotated[str, typer.Option(help="Source of the weights.")] = ADOPTED,
    licence: Annotated[
        str | None,
        typer.Option(
            help="SPDX identifier of the licence of your own weights; default: the licence of "
            "TotalSegmentator's weights with the same name."
        ),
    ] = None,
    notice: Annotated[str, typer.Option(help="Warning that is shown with every result.")] = "",
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Record only this Dataset... folder again. Repeatable."),
    ] = None,
    bf16_on: Annotated[
        Path | None,
        typer.Option(help="CT study on which bf16 is compared with exact arithmetic."),
    ] = None,
    boxes_on: Annotated[
        Path | None,
        typer.Option(help="CT study on which search boxes is compared with search whole."),
    ] = None,
) -> None:
    """Records the SHA-256 of weights in TotalSegmentator's folder layout."""
    from totalmap import log
    from totalmap.engine.weights_manifest import adopt

    log.configure()
    with errors_to_exit_status():
        manifest = adopt(
            folder, source=source, licence=licence, notice=notice, datasets=dataset or ()
        )
        if bf16_on or boxes_on:
            prepare_threads()
        # Imported only if needed: torch takes seconds.
        if bf16_on:
            from totalmap.engine.bf16_agreement import measure_bf16

            manifest = measure_bf16(folder, _volume(bf16_on))
        if boxes_on:
            from totalmap.engine.box_agreement import measure_boxes

            manifest = measure_boxes(folder, _volume(boxes_on))
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
    task: Task,
    variant: TaskVariant = None,
    models: Models = DEFAULT_MODELS,
    url: Annotated[
        str, typer.Option(help="Address of the archives, for example of a mirror.")
    ] = RELEASES_URL,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option(help="Accept a licence that is not free for any use, as CC-BY-NC-4.0."),
    ] = None,
) -> None:
    """Downloads TotalSegmentator's weights of a task and records their SHA-256."""
    from totalmap import log
    from totalmap.engine.tasks import load_task
    from totalmap.engine.weights_download import install
    from totalmap.settings import parse_variant

    log.configure()
    with errors_to_exit_status():
        wanted = parse_variant(variant) if variant is not None else None
        _show(models, install(load_task(task, wanted), models, url, accept_licence or ()))


def _show(folder: Path, manifest: "Manifest") -> None:
    from cli.console_without_markup import plain_console
    from totalmap.engine.weights_manifest import BF16_MIN_DICE, BOXES_MIN_DICE

    console = plain_console()
    for record in manifest.models:
        console.print(f"{record.dataset}: licence {record.licence}", soft_wrap=True)
        for file in record.files:
            console.print(f"{file.sha256}  {folder / file.path}", soft_wrap=True)
        if record.bf16:
            verdict = "is allowed" if record.bf16.is_good else "is refused"
            console.print(
                f"bf16 {verdict} with {record.dataset}: Dice of {record.bf16.structures} "
                f"structures at least {record.bf16.min_dice:.4f} ({record.bf16.structure}), "
                f"required {BF16_MIN_DICE}",
                soft_wrap=True,
            )
        if record.boxes:
            verdict = "are allowed" if record.boxes.is_good else "are refused"
            console.print(
                f"boxes {verdict} with {record.dataset}: Dice of {len(record.boxes.dice)} "
                f"structures at least {record.boxes.min_dice:.4f} ({record.boxes.worst}), "
                f"required {BOXES_MIN_DICE}",
                soft_wrap=True,
            )
            for structure, dice in record.boxes.dice.items():
                console.print(f"  {dice:.4f} {structure}", soft_wrap=True)
    console.print(f"{len(manifest.models)} models are on record in {folder}", soft_wrap=True)


@app.command("shortcuts")
def shortcuts_command(
    task: Task = "total",
    variant: TaskVariant = None,
    models: Models = DEFAULT_MODELS,
    config: Config = DEFAULT_SETTINGS,
    anew: Annotated[
        bool, typer.Option("--anew", help="Forget what was proven before, and compare again.")
    ] = False,
) -> None:
    """Shows which shortcuts of exact arithmetic hold on this machine, and keeps it for later runs.

    Labels are exact in any case; runs are fastest where all shortcuts hold (docs/speed.md).
    """
    from totalmap import log

    log.configure()
    prepare_threads()  # what is proven holds for one number of threads
    with errors_to_exit_status():
        # Imported here: torch takes seconds.
        from totalmap.engine.find_exact_shortcuts import compare_shortcuts
        from totalmap.engine.tasks import load_task
        from totalmap.private_cache import PrivateCache, cache_home
        from totalmap.settings import load_settings, parse_variant

        settings = load_settings(config).segmentation
        wanted = parse_variant(variant) if variant is not None else None
        cache = PrivateCache(cache_home(settings.cache_folder))
        _show_shortcuts(compare_shortcuts(load_task(task, wanted), models, cache, anew=anew))


def _show_shortcuts(report: "ShortcutReport") -> None:
    from rich.table import Table

    from cli.console_without_markup import plain_console

    table = Table()
    for title in ("Shortcut", "Layer", "Operand", "Holds"):
        table.add_column(title, overflow="fold")
    for fact in report.facts:
        table.add_row(fact.name, fact.layer, fact.operand, "yes" if fact.holds else "no")
    console = plain_console()
    console.print(table)
    held = sum(fact.holds for fact in report.facts)
    for line in (
        f"{held} of {len(report.facts)} shortcuts hold with {report.processor}, "
        f"{report.instructions}, {report.threads} threads, torch {report.torch_version}",
        f"Kept in {report.folder}" if report.folder else "Not kept: there is no cache folder",
    ):
        console.print(line, soft_wrap=True)

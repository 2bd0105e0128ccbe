"""Prints the agreement of two segmentations as a table for people."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from totalmap.display_names import display_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from totalmap.agreement.compare_masks import Agreement, UnpairedStructure

_DIGITS = 3  # significant


def print_agreement(agreement: "Agreement", console: "Console") -> None:
    """Prints the table, the structures of one side only, and notes."""
    if agreement.structures:
        console.print(_table(agreement))
    for line in _lines(agreement):
        console.print(line, soft_wrap=True)


def shown(value: float | None) -> str:
    """Returns a number with three significant digits, such as 0.912, 45.3 or 1230."""
    if value is None:
        return "-"
    rounded = float(f"{value:.{_DIGITS}g}")
    whole_digits = len(str(int(abs(rounded)))) if abs(rounded) >= 1 else 0
    if not whole_digits:
        return f"{rounded:#.{_DIGITS}g}" if abs(rounded) >= 1e-3 else f"{rounded:.{_DIGITS}g}"
    return f"{rounded:.{max(_DIGITS - whole_digits, 0)}f}"


def _table(agreement: "Agreement") -> "Table":
    from rich.table import Table

    with_surfaces = agreement.tolerance_mm is not None
    surfaces = (f"NSD {agreement.tolerance_mm:g} mm", "HD95 mm") if with_surfaces else ()
    table = Table(box=None, pad_edge=False)
    table.add_column("Structure")
    for title in ("Dice", *surfaces, "A mL", "B mL", "added mL", "removed mL"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in agreement.structures:
        distances = (row.nsd, row.hd95_mm) if with_surfaces else ()
        volumes = row.volume_a_ml, row.volume_b_ml, row.added_ml, row.removed_ml
        table.add_row(display_name(row.name), *map(shown, (row.dice, *distances, *volumes)))
    return table


def _lines(agreement: "Agreement") -> Iterator[str]:
    count = len(agreement.structures)
    yield f"{count} structures compared: A is {agreement.form_a}, B is {agreement.form_b}."
    yield f"Grid: {agreement.grid}."
    for side, unpaired in (("A", agreement.only_in_a), ("B", agreement.only_in_b)):
        if unpaired:
            yield f"Only in {side}, not compared: {_names(unpaired)}."
    if agreement.surface_library:
        yield f"NSD and HD95 as {agreement.surface_library} defines them."
    for note in agreement.notes:
        yield f"Note: {note}."


def _names(unpaired: "Sequence[UnpairedStructure]") -> str:
    return ", ".join(
        f"{display_name(structure.name)} ({shown(structure.volume_ml)} mL)"
        for structure in unpaired
    )

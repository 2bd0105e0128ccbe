"""The verdict on every series, as a table for a terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from totalmap.writers.series_status import SeriesStatus


def series_table(series: "Iterable[SeriesStatus]") -> Table:
    """Returns one line for each series, or for each volume of a series that holds several."""
    table = Table("", "Series", "Modality", "Images", "Why", title="Series", title_justify="left")
    for one in series:
        name = f"{one.number if one.number is not None else '-'} {one.description}"
        mark = "*" if one.chosen else ""
        table.add_row(mark, name, one.modality, str(one.slices or one.instances), one.reason)
    return table

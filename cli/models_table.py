"""Shows which weights are installed, as a table for a terminal."""

from collections.abc import Iterable

from rich.table import Table

from totalmap.engine.installed_weights import TaskWeights

BYTES_PER_MB = 1_000_000


def models_table(weights: Iterable[TaskWeights]) -> Table:
    """Returns one line for each variant of each task."""
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


def _installed(weights: TaskWeights) -> str:
    if weights.installed == weights.needed:
        return "yes"
    return f"{weights.installed} of {weights.needed}" if weights.installed else "no"

"""Finds the results of a run."""

from pathlib import Path

from totalmap.writers.all_or_nothing import held_path


def result_in(output: Path, name: str) -> Path:
    """Returns the path of a result, also if it is held back.

    Quality control rightly rejects results of random networks, and of the demo model on a real CT.
    """
    path = f"results/{name}"
    held = output / held_path(path)
    return held if held.exists() else output / path

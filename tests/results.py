"""Where a run has put its results."""

from pathlib import Path

from totalmap.writers.release import held_path


def result_in(output: Path, name: str) -> Path:
    """Returns where a result is, also one that is held back.

    What networks of random weights make, and the demo model of a real CT, is rightly not believed.
    """
    path = f"results/{name}"
    held = output / held_path(path)
    return held if held.exists() else output / path

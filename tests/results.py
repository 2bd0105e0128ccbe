"""Where a run has put its results."""

from pathlib import Path


def results_in(output: Path) -> Path:
    """Returns the folder of the results, also of those that are held back.

    What networks of random weights make, and the demo model of a real CT, is rightly not believed.
    """
    (folder,) = [one for one in (output / "results", output / "rejected") if one.exists()]
    return folder

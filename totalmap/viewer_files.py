"""Names the files that the viewer in the browser loads (`totalmap.writers.viewer_data`)."""

import re

DESCRIPTION = "description.json"
LABELS = "labels.gz"
STRUCTURES = "structures.json"
# The last file.
FINISHED = "finished.json"
# In place of the others, the reason why they could not be written.
FAILED = "failed.json"

_BLOCK = "voxels-{:03}.gz"
_LOADED = re.compile(r"(description|structures|finished)\.json|(labels|voxels-\d{3,6})\.gz")


def block_name(number: int) -> str:
    """Returns the name of a block of slices."""
    return _BLOCK.format(number)


def is_loaded_by_viewer(name: str) -> bool:
    """Returns whether a name is one of a file that the viewer loads."""
    return _LOADED.fullmatch(name) is not None

"""From the networks' labels to those of the task."""

import numpy as np
from numpy.typing import NDArray


def lay_over(
    combined: NDArray[np.uint8], part: NDArray[np.uint8], label_table: tuple[int, ...]
) -> None:
    """Writes a network's labels, translated to the task's, over `combined` in place.

    A later network wins where two claim a voxel, as in TotalSegmentator's
    nnUNet_predict_image.
    """
    translated = np.asarray(label_table, dtype=np.uint8)[part]
    np.copyto(combined, translated, where=translated != 0)

"""From the networks' logits to the labels of the task."""

import numpy as np
import torch
from numpy.typing import NDArray


def labels_from_logits(logits: torch.Tensor) -> NDArray[np.uint8]:
    """Returns the channel with the largest logit, the first one where several are equal.

    Args:
        logits: (channel, z, y, x) float16.
    """
    labels: NDArray[np.uint8] = logits.argmax(0).to(torch.uint8).numpy()
    return labels


def lay_over(
    combined: NDArray[np.uint8], part: NDArray[np.uint8], label_table: tuple[int, ...]
) -> None:
    """Writes a network's labels, translated to the task's, over `combined` in place.

    A later network wins where two claim a voxel, as in TotalSegmentator's
    nnUNet_predict_image.
    """
    translated = np.asarray(label_table, dtype=np.uint8)[part]
    np.copyto(combined, translated, where=translated != 0)

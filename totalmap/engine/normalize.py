"""Scales intensities as the network was trained.

Source: nnunetv2.preprocessing.normalization.default_normalization_schemes.
"""

import numpy as np
from numpy.typing import NDArray

from totalmap.engine.plans import CtNormalization, Normalization

# Of `max(std, eps)` for float32.
SMALLEST_STD = 1e-8


def normalize(image: NDArray[np.float32], normalization: Normalization) -> NDArray[np.float32]:
    """Returns the scaled image; the given one is left as it is.

    Args:
        image: (z, y, x) within the box of all that is not 0. For a z-score it has to be a view of
            the C-contiguous whole image, as nnU-Net has it: numpy adds float32 in an order that
            depends on the memory layout, so the mean of a copy differs in the last digits.
    """
    if isinstance(normalization, CtNormalization):
        scaled = np.clip(image, normalization.lower, normalization.upper)
        mean, std = normalization.mean, normalization.std
    else:
        mean, std = image.mean(), image.std()
        scaled = image.copy()
    scaled -= mean
    scaled /= max(std, SMALLEST_STD)
    return scaled

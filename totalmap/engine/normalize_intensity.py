"""Scales intensities as in the training of the network.

Source: nnunetv2.preprocessing.normalization.default_normalization_schemes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.engine.nnunet_plans import CtNormalization, Normalization

# nnU-Net divides by `max(std, 1e-8)`.
SMALLEST_STD = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Clips values to the limits, if any, subtracts the mean and divides by std."""

    limits: tuple[float, float] | None
    mean: float | np.float32
    std: float | np.float32

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Returns the scaled values as a new array."""
        scaled = values.astype(np.float32)
        if self.limits:
            np.clip(scaled, *self.limits, out=scaled)
        scaled -= self.mean
        scaled /= max(self.std, SMALLEST_STD)
        return scaled


def scaling(
    image: NDArray[np.generic], box: tuple[slice, ...], normalization: Normalization
) -> Scaling:
    """Returns the scaling of an image.

    Args:
        image: (z, y, x), whole.
        box: The part that is not 0; a z-score uses only this part.
        normalization: That of the network.
    """
    if isinstance(normalization, CtNormalization):
        limits = normalization.lower, normalization.upper
        return Scaling(limits=limits, mean=normalization.mean, std=normalization.std)
    # A view of the whole image, as in nnU-Net: numpy adds float32 in an order that depends on the
    # memory layout, so the mean of a copy would differ in the last digits.
    seen = np.ascontiguousarray(image, dtype=np.float32)[box]
    return Scaling(limits=None, mean=seen.mean(), std=seen.std())

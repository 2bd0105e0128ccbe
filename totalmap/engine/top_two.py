"""The largest and the second largest mean logit of each voxel, channel by channel.

A running maximum reads each channel once while it lies in the processor's cache, and has no
branches. It takes half the time of torch.max, which looks for the place of the maximum voxel by
voxel, and the second largest comes almost free (benchmarks/confidence_seconds.py).
"""

from dataclasses import dataclass

import torch

from totalmap.errors import OutputError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopTwo:
    """What wins at each voxel, and by how much.

    Attributes:
        labels: (z, y, x) uint8, the channel of the largest value; the first of equal ones.
        margins: (z, y, x) float32, the largest less the second largest, 0 where they are equal.
    """

    labels: torch.Tensor
    margins: torch.Tensor


def top_two(sums: torch.Tensor, weights: torch.Tensor) -> TopTwo:
    """Returns the winners among weighted sums of logits.

    Means are rounded to float16, as in the original; all that is done with them in float32 is to
    compare them, which is exact.

    Args:
        sums: (z, channel, y, x) float16, at most 256 channels.
        weights: (z, 1, y, x) float16, by which each sum is divided.

    Raises:
        OutputError: A largest value is not finite.
    """
    weights = weights[:, 0]
    half = sums[:, 0] / weights
    best = half.float()
    second = torch.full_like(best, torch.finfo(torch.half).min)  # finite, whatever there is
    labels = torch.zeros_like(best)
    mean, other = torch.empty_like(best), torch.empty_like(best)
    for channel in range(1, sums.shape[1]):
        mean.copy_(torch.div(sums[:, channel], weights, out=half))
        torch.maximum(second, torch.minimum(best, mean, out=other), out=second)
        torch.maximum(best, mean, out=other)
        # 1 where the channel wins: then its number is the largest so far.
        torch.maximum(labels, mean.gt_(best).mul_(channel), out=labels)
        best, other = other, best
    if not torch.isfinite(best).all():
        raise OutputError("the network's logits are not finite; nothing can be said")
    return TopTwo(labels=labels.to(torch.uint8), margins=best.sub_(second))

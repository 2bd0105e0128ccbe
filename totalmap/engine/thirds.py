"""A very large image is segmented in three parts along z.

Source: totalsegmentator.nnunet.nnUNet_predict_image, do_triple_split. It saves memory there; here
it is done because the tiles lie elsewhere, and with them a few labels.
"""

from dataclasses import dataclass
from math import prod

SPLIT_ABOVE_VOXELS = 512 * 512 * 900
SPLIT_ABOVE_PLANES = 200
MARGIN_PLANES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Planes of an image.

    Attributes:
        seen: Those that are segmented together.
        kept: Those whose labels are taken.
    """

    seen: slice
    kept: slice

    @property
    def kept_of_seen(self) -> slice:
        """Which planes are kept, counted within those that are seen."""
        return slice(self.kept.start - self.seen.start, self.kept.stop - self.seen.start)


def is_split(shape: tuple[int, ...], above_voxels: int = SPLIT_ABOVE_VOXELS) -> bool:
    """Whether TotalSegmentator splits an image (z, y, x) for a task of several networks."""
    return prod(shape) > above_voxels and shape[0] > SPLIT_ABOVE_PLANES


def thirds(planes: int) -> tuple[Part, ...]:
    """Returns the three parts of an image with so many planes."""
    first, second = planes // 3, planes // 3 * 2
    return (
        Part(seen=slice(0, first + MARGIN_PLANES), kept=slice(0, first)),
        Part(
            seen=slice(first + 1 - MARGIN_PLANES, second + MARGIN_PLANES),
            kept=slice(first, second),
        ),
        Part(seen=slice(second + 1 - MARGIN_PLANES, planes), kept=slice(second, planes)),
    )


def whole(planes: int) -> tuple[Part, ...]:
    """Returns the one part of an image that is not split."""
    return (Part(seen=slice(0, planes), kept=slice(0, planes)),)

"""Counts the voxels that structures of two segmentations share, of all pairs in one pass."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.agreement.structure_masks import LabelArray, Place, StructureMasks
from totalmap.environment_variables import processor_threads

_SLAB = 4  # slices: the codes of a slab stay in the caches of a processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Voxels of a structure.

    Attributes:
        a: Voxels in A.
        b: Voxels in B.
        both: Voxels in A and B.
    """

    a: int
    b: int
    both: int

    @property
    def dice(self) -> float | None:
        """Dice coefficient, 0..1: 0 if one mask is empty; None if both are."""
        total = self.a + self.b
        return 2 * self.both / total if total else None


def count_overlap(a: StructureMasks, b: StructureMasks) -> Mapping[str, Overlap]:
    """Returns the overlap of each structure of A or B; one without a place has no voxel there.

    Args:
        a: A.
        b: B, on the grid of A.
    """
    counts = {
        (m, n): joint_counts(of_a, of_b)
        for m, of_a in enumerate(a.layers)
        for n, of_b in enumerate(b.layers)
    }

    voxels_a = [counts[m, 0].sum(axis=1) for m in range(len(a.layers))]
    voxels_b = [counts[0, n].sum(axis=0) for n in range(len(b.layers))]

    def overlap(name: str) -> Overlap:
        in_a, in_b = a.places.get(name), b.places.get(name)
        both = 0
        if in_a and in_b:
            of_layers = counts[in_a.layer, in_b.layer]
            if in_a.label < of_layers.shape[0] and in_b.label < of_layers.shape[1]:
                both = int(of_layers[in_a.label, in_b.label])
        return Overlap(a=_voxels(voxels_a, in_a), b=_voxels(voxels_b, in_b), both=both)

    return {name: overlap(name) for name in dict.fromkeys((*a.places, *b.places))}


def joint_counts(a: LabelArray, b: LabelArray) -> NDArray[np.int64]:
    """Returns how many voxels have each pair of labels, (label in A, label in B).

    Args:
        a: (k, j, i).
        b: (k, j, i).
    """
    highest_a, highest_b = int(a.max(initial=0)), int(b.max(initial=0))
    width = highest_b + 1
    size = (highest_a + 1) * width

    def count(begin: int) -> NDArray[np.int64]:
        codes = a[begin : begin + _SLAB].astype(np.intp)
        codes *= width
        codes += b[begin : begin + _SLAB]
        return np.bincount(codes.ravel(), minlength=size).astype(np.int64, copy=False)

    total = np.zeros(size, dtype=np.int64)
    with ThreadPoolExecutor(processor_threads()) as pool:
        for counted in pool.map(count, range(0, len(a), _SLAB)):
            total += counted
    return total.reshape(highest_a + 1, width)


def _voxels(of_layers: Sequence[NDArray[np.int64]], place: Place | None) -> int:
    if place is None or place.label >= len(of_layers[place.layer]):
        return 0
    return int(of_layers[place.layer][place.label])

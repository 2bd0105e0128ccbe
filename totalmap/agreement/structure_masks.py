"""Holds the masks of all structures of a segmentation, in as few arrays as possible."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import Geometry, to_equidistant
from totalmap.dicom.patient_comparison import Patient

LabelArray = NDArray[np.unsignedinteger[Any]]
Index = tuple[slice | int, ...]

FILLED_GAPS = "slices are missing or unevenly spaced: each place has the nearest slice"


class Place(NamedTuple):
    """Where the mask of a structure is: the voxels of a layer with this label."""

    layer: int
    label: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StructureMasks:
    """The masks of the structures of a segmentation, in patient space.

    Attributes:
        form: SEG, RTSTRUCT or NIfTI.
        layers: Arrays (k, j, i) of labels on the grid of `geometry`; 0 is background. Structures
            that overlap are in different layers.
        places: The layer and label of each structure, by TotalSegmentator's name, or by its name
            in the file. Structures without a voxel are those that were looked for and not found.
        geometry: The grid; its slices are evenly spaced.
        covers_all_slices: Whether slices beyond the grid are known to be not segmented. A SEG
            without its images holds only slices with structures.
        patients: The patients of the DICOM objects; empty for NIfTI.
        frames_of_reference: Their Frame of Reference UIDs; empty for NIfTI.
        notes: Sentences about how the masks were read.
    """

    form: str
    layers: tuple[LabelArray, ...]
    places: Mapping[str, Place]
    geometry: Geometry
    covers_all_slices: bool = True
    patients: tuple[Patient, ...] = ()
    frames_of_reference: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


class MaskLayers:
    """Collects masks that may overlap.

    A structure that overlaps another one moves to the next layer where it has room, so that no
    voxel is lost.
    """

    def __init__(self, shape: tuple[int, int, int], largest_label: int) -> None:
        self._shape = shape
        self._dtype = np.min_scalar_type(largest_label)
        self._layer_of: dict[int, int] = {}
        self.arrays: list[LabelArray] = [np.zeros(shape, dtype=self._dtype)]

    def layer_of(self, label: int) -> int:
        """Returns the index of the layer of a structure."""
        return self._layer_of.get(label, 0)

    def add(self, part: Index, mask: NDArray[np.bool_], label: int) -> None:
        """Adds voxels to a structure.

        Args:
            part: The part of the grid.
            mask: The voxels, in the shape of the part.
            label: Label of the structure.
        """
        layer = self.layer_of(label)
        if not self._has_room(layer, part, mask, label):
            layer = self._move(label, part, mask)
        self.arrays[layer][part][mask] = label

    def add_labels(self, part: Index, mask: NDArray[np.bool_], labels: LabelArray) -> None:
        """Adds voxels of several structures, which do not overlap each other.

        Args:
            part: The part of the grid.
            mask: The voxels, in the shape of the part.
            labels: (n,) their labels, in the order of the array.
        """
        if len(self.arrays) == 1 and not self.arrays[0][part].any():
            self.arrays[0][part][mask] = labels
            return
        values = np.zeros(mask.shape, dtype=self._dtype)
        values[mask] = labels
        for label in np.unique(labels):
            self.add(part, values == label, int(label))

    def _has_room(self, layer: int, part: Index, mask: NDArray[np.bool_], label: int) -> bool:
        present = self.arrays[layer][part][mask]
        return not ((present != 0) & (present != label)).any()

    def _move(self, label: int, part: Index, mask: NDArray[np.bool_]) -> int:
        """Moves a structure to the next layer where it and more voxels have room."""
        before = self.layer_of(label)
        own = self.arrays[before] == label
        for layer in range(before + 1, len(self.arrays) + 1):
            if layer == len(self.arrays):
                self.arrays.append(np.zeros(self._shape, dtype=self._dtype))
            if self._has_room(layer, (), own, label) and self._has_room(layer, part, mask, label):
                break
        self.arrays[before][own] = 0
        self.arrays[layer][own] = label
        self._layer_of[label] = layer
        return layer


def evenly_spaced(
    layers: tuple[LabelArray, ...], geometry: Geometry
) -> tuple[tuple[LabelArray, ...], Geometry, tuple[str, ...]]:
    """Returns layers with a slice at every step of the stack, their grid, and a note about it.

    Args:
        layers: (k, j, i) on the grid of `geometry`.
    """
    if geometry.is_equidistant:
        return layers, geometry, ()
    filled = tuple(to_equidistant(layer, geometry)[0] for layer in layers)
    return filled, to_equidistant(layers[0], geometry)[1], (FILLED_GAPS,)

"""Finds the field of view of a volume: the part of its array that is not padding."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import Geometry
from totalmap.dicom.pixels import Voxels
from totalmap.environment_variables import processor_threads
from totalmap.structures import Face

Places = NDArray[np.intp]
Runs = NDArray[np.int32]
"""The first and the last voxel of each line without padding; first > last if there are none."""

# Padding of circles, tilts and rotations fills at least this share of the corners of the slices.
_PADDED_CORNERS = 0.05
_SLAB = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldOfView:
    """The part of an array that is not padding. It is convex, as it is for every scanner.

    Attributes:
        along_k: (j, i, 2) runs of the lines from the first slice to the last.
        along_j: (k, i, 2) runs of the columns.
        along_i: (k, j, 2) runs of the rows.
    """

    geometry: Geometry
    along_k: Runs
    along_j: Runs
    along_i: Runs

    def holds(self, point_lps: NDArray[np.float64], margin_mm: float) -> bool:
        """Returns whether a point, mm in LPS, lies inside, at least a margin from every edge."""
        i, j, step = (np.linalg.inv(self.geometry.affine_lps) @ [*point_lps, 1.0])[:3]
        k = np.abs(np.subtract(self.geometry.slice_steps, step)).argmin()
        place = np.array([[k, round(j), round(i)]])
        if (place < 0).any() or (place >= self.geometry.shape).any():
            return False
        for axis, at in enumerate((step, j, i)):
            first, last = self._lines(axis, place)[0]
            if first > last:
                return False
            low, high = self._on_axis(axis, first), self._on_axis(axis, last)
            margin = margin_mm / self._spacing_mm[axis]
            if not low + margin <= at <= high - margin:
                return False
        return True

    def edge(self, labels: NDArray[Any] | None = None) -> Iterator[tuple[Face, Places]]:
        """Yields for each side of the field of view the voxels next to it, (n, 3) as k, j, i.

        A round field of view has all sides, too: each voxel belongs to the side of the array that
        it is closest to. The padding next to these voxels counts too, since resampled labels reach
        over an edge by a voxel.

        Args:
            labels: (k, j, i); lines that end without a label are left out, which saves most of the
                time. None: no line is left out.
        """
        for axis, pair in enumerate(self.geometry.faces):
            runs = (self.along_k, self.along_j, self.along_i)[axis]
            lines = np.argwhere(runs[..., 0] <= runs[..., 1])
            for end, face in enumerate(pair):
                places = np.insert(lines, axis, runs[(*lines.T, end)], axis=1)
                if labels is not None:
                    places = places[self._is_labelled(axis, end, places, labels)]
                places = places[self._is_closest(axis, end, places)]
                outside, inside_array = self._outside(axis, end, places)
                yield face, np.concatenate([places, outside[inside_array]])

    def _outside(self, axis: int, end: int, places: Places) -> tuple[Places, NDArray[np.bool_]]:
        """Returns the next places beyond an end of lines, and whether they are in the array."""
        outside = places.copy()
        outside[:, axis] += 2 * end - 1
        return outside, (outside[:, axis] >= 0) & (outside[:, axis] < self.geometry.shape[axis])

    def _is_labelled(
        self, axis: int, end: int, places: Places, labels: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Returns whether places at an end of lines, or the next places, have a label."""
        found: NDArray[np.bool_] = labels[tuple(places.T)] != 0
        outside, inside_array = self._outside(axis, end, places)
        found[inside_array] |= labels[tuple(outside[inside_array].T)] != 0
        return found

    @property
    def _spacing_mm(self) -> tuple[float, float, float]:
        """Spacing along k (a step of the stack), j and i."""
        i, j, step = self.geometry.spacing_mm
        return step, j, i

    def _on_axis(self, axis: int, index: int) -> float:
        """Returns the position of an index on an axis: in steps of the stack along k."""
        return float(self.geometry.slice_steps[index] if axis == 0 else index)

    def _is_closest(self, axis: int, end: int, places: Places) -> NDArray[np.bool_]:
        """Returns whether no other line ends at a voxel with less padding behind it.

        Args:
            places: (n, 3) as k, j, i, each at this end of its line along the axis.
        """
        depths = [self._depth_mm(along, places) for along in range(3)]
        own = depths[axis][end]
        others = [depth.min(axis=0) for along, depth in enumerate(depths) if along != axis]
        is_closest: NDArray[np.bool_] = (own == 0) | (own <= np.minimum(*others))
        return is_closest

    def _depth_mm(self, axis: int, places: Places) -> NDArray[np.float64]:
        """Returns the padding that begins before and behind voxels, (2, n) mm; infinite without."""
        first, last = self._lines(axis, places).T
        at, size, spacing = places[:, axis], self.geometry.shape[axis], self._spacing_mm[axis]
        before = np.where(at == first, first * spacing, np.inf)
        behind = np.where(at == last, (size - 1 - last) * spacing, np.inf)
        return np.stack([before, behind])

    def _lines(self, axis: int, places: Places) -> Runs:
        """Returns the runs, (n, 2), of the lines along an axis through voxels."""
        k, j, i = places.T
        lines: Runs = (self.along_k[j, i], self.along_j[k, i], self.along_i[k, j])[axis]
        return lines


def field_of_view(values: Voxels, geometry: Geometry) -> FieldOfView:
    """Returns the field of view of a volume.

    Padding has the value that fills the corners of the slices, and reaches from the edge of the
    array inwards without interruption. Air is no padding, since noise interrupts it.

    Args:
        values: (k, j, i) on the grid of `geometry`.
    """
    padding = _padding(values)
    if padding is None:
        return _whole(geometry)
    starts = range(0, len(values), _SLAB)
    with ThreadPoolExecutor(processor_threads()) as pool:
        slabs = list(pool.map(lambda start: _slab_runs(values, start, padding), starts))
    stacks, columns, rows = zip(*slabs, strict=True)
    along_k = np.stack(
        [
            np.min([runs[..., 0] for runs in stacks], 0),
            np.max([runs[..., 1] for runs in stacks], 0),
        ],
        axis=-1,
    )
    if (along_k[..., 0] > along_k[..., 1]).all():  # one value everywhere: there is no image
        return _whole(geometry)
    return FieldOfView(
        geometry=geometry,
        along_k=along_k,
        along_j=np.concatenate(columns),
        along_i=np.concatenate(rows),
    )


def _padding(values: Voxels) -> float | None:
    """Returns the value of the padding; None if the corners of the slices differ."""
    corners = values[:, :: max(values.shape[1] - 1, 1), :: max(values.shape[2] - 1, 1)]
    found, counts = np.unique(corners, return_counts=True)
    most = counts.argmax()
    return float(found[most]) if counts[most] >= _PADDED_CORNERS * corners.size else None


def _whole(geometry: Geometry) -> FieldOfView:
    n_k, n_j, n_i = geometry.shape
    return FieldOfView(
        geometry=geometry,
        along_k=np.full((n_j, n_i, 2), (0, n_k - 1), dtype=np.int32),
        along_j=np.full((n_k, n_i, 2), (0, n_j - 1), dtype=np.int32),
        along_i=np.full((n_k, n_j, 2), (0, n_i - 1), dtype=np.int32),
    )


def _slab_runs(values: Voxels, start: int, padding: float) -> tuple[Runs, Runs, Runs]:
    """Returns the runs along k, j and i of some slices, those along k within the slab."""
    image = values[start : start + _SLAB] != padding
    along_k = _runs(image.transpose(1, 2, 0))
    is_empty = along_k[..., 0] > along_k[..., 1]
    along_k += np.int32(start)
    along_k[is_empty] = len(values), -1
    return along_k, _runs(image.transpose(0, 2, 1)), _runs(image)


def _runs(image: NDArray[np.bool_]) -> Runs:
    """Returns the first and the last True along the last axis; its length and -1 without one."""
    lines = np.ascontiguousarray(image)
    size = lines.shape[-1]
    first = lines.argmax(axis=-1)
    last = size - 1 - lines[..., ::-1].argmax(axis=-1)
    has_none = ~np.take_along_axis(lines, first[..., None], axis=-1)[..., 0]
    first[has_none], last[has_none] = size, -1
    return np.stack([first, last], axis=-1).astype(np.int32)

"""Presents label statistics to the rules: by structure name, and along the spine."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from totalmap.measure.label_statistics import LabelStatistics
from totalmap.quality.plausibility.anatomy_table import LEFT, LOWEST_VERTEBRA, RIGHT, vertebra_name
from totalmap.structures import FEW_VOXELS, Face, Structure

Point = NDArray[np.float64]
"""(3,) mm in LPS: x to the left, y to the back, z to the head."""

# The scale is extrapolated by so many levels beyond the last vertebra that was found.
_REACH_LEVELS = 4.0
_MINIMUM_VERTEBRAE = 3
_STEPS_AT_ENDS = 3
_ENDS = frozenset({Face.SUPERIOR, Face.INFERIOR})
_CORD, _SACRUM = "spinal_cord", "sacrum"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpineScale:
    """Heights of the vertebral levels, from vertebrae that are whole.

    Attributes:
        levels: (n,) numbers of vertebrae, from head to foot.
        z_mm: (n,) heights of their centres, LPS, descending.
    """

    levels: NDArray[np.float64]
    z_mm: NDArray[np.float64]

    def level_at(self, z_mm: float) -> float | None:
        """Returns the level at a height; None if it is too far from all vertebrae."""
        level = float(np.interp(-z_mm, -self._z_mm, self._levels))
        at_end = level in (self._levels[0], self._levels[-1])
        return None if at_end else level

    def z_at(self, level: float) -> float | None:
        """Returns the height of a level; None if it is too far from all vertebrae."""
        if not self._levels[0] <= level <= self._levels[-1]:
            return None
        return float(np.interp(level, self._levels, self._z_mm))

    def step_at(self, level: float) -> float:
        """Returns the height of a vertebra, with its disc, in mm."""
        steps = -np.diff(self.z_mm) / np.diff(self.levels)
        return float(np.interp(level, (self.levels[1:] + self.levels[:-1]) / 2, steps))

    @property
    def _levels(self) -> NDArray[np.float64]:
        first, last = self.levels[0] - _REACH_LEVELS, self.levels[-1] + _REACH_LEVELS
        return np.concatenate([[first], self.levels, [last]])

    @property
    def _z_mm(self) -> NDArray[np.float64]:
        n = min(_STEPS_AT_ENDS, len(self.levels) - 1)
        upper = (self.z_mm[0] - self.z_mm[n]) / (self.levels[n] - self.levels[0])
        lower = (self.z_mm[-1 - n] - self.z_mm[-1]) / (self.levels[-1] - self.levels[-1 - n])
        above, below = self.z_mm[0] + _REACH_LEVELS * upper, self.z_mm[-1] - _REACH_LEVELS * lower
        return np.concatenate([[above], self.z_mm, [below]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """The structures that were found, with their statistics.

    Attributes:
        table: The label statistics.
        labels: The label of every structure that was looked for, by name.
        names: The structures that were found, except very small ones, by label.
    """

    table: LabelStatistics
    labels: dict[str, int]
    names: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def centre(self, name: str) -> Point:
        """Returns the centre of mass of a structure that was found."""
        centre: Point = self.table.centre_lps[self.labels[name]]
        return centre

    def end(self, name: str, face: Face) -> Point:
        """Returns the middle of the voxels that reach furthest to a side."""
        end: Point = self.table.ends_lps[self.labels[name], tuple(Face).index(face)]
        return end

    def faces(self, name: str) -> tuple[Face, ...]:
        """Returns the sides of the field of view that a structure touches."""
        return self.table.faces[self.labels[name]]

    def volume_ml(self, name: str) -> float:
        """Returns the volume of a structure."""
        return float(self.table.volume_ml[self.labels[name]])

    def second_share(self, name: str) -> float:
        """Returns the share of a structure that its second largest piece has."""
        label = self.labels[name]
        return float(self.table.second[label] / max(self.table.counted[label], 1))

    def is_complete(self, name: str) -> bool:
        """Returns whether no side of the field of view cuts a structure."""
        return not self.faces(name)

    def is_cut_at_a_side(self, name: str) -> bool:
        """Returns whether a structure is cut at its left, right, front or back."""
        return bool(set(self.faces(name)) - _ENDS)

    def reaches_whole_height(self, name: str) -> bool:
        """Returns whether a structure is cut neither above nor below."""
        return not _ENDS & set(self.faces(name))

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs (left, right) of which both were found."""
        lefts = (name for name in self.names if LEFT in name)
        couples = ((left, left.replace(LEFT, RIGHT)) for left in lefts)
        return tuple((left, right) for left, right in couples if right in self)

    @cached_property
    def vertebrae(self) -> tuple[int, ...]:
        """The numbers of the vertebrae that were found, C1 (1) to L5 (24)."""
        return vertebrae_in(self._found)

    @cached_property
    def scale(self) -> SpineScale | None:
        """The scale of vertebrae; None if they are too few, or not in order."""
        whole = [n for n in self.vertebrae if self.reaches_whole_height(vertebra_name(n))]
        z = np.array([self.centre(vertebra_name(n))[2] for n in whole])
        if len(whole) < _MINIMUM_VERTEBRAE or (np.diff(z) >= 0).any():
            return None
        return SpineScale(levels=np.array(whole, dtype=float), z_mm=z)

    @cached_property
    def length_mm(self) -> float:
        """Length of the body in view, from head to foot, in mm."""
        geometry = self.table.field.geometry
        last = np.array([geometry.shape[2] - 1, geometry.shape[1] - 1, geometry.slice_steps[-1]])
        return float((np.abs(geometry.affine_lps[2, :3]) * last).max())

    def spine_at(self, z_mm: float) -> tuple[float, float] | None:
        """Returns x and y of the middle of the spine at a height, in mm; None without a spine."""
        if not len(self._spine):
            return None
        x, y = (float(np.interp(z_mm, self._spine[:, 2], self._spine[:, axis])) for axis in (0, 1))
        return x, y

    @cached_property
    def _spine(self) -> NDArray[np.float64]:
        """Points on the spine, (n, 3), upwards."""
        names = [vertebra_name(number) for number in self.vertebrae]
        names = names or [name for name in (_CORD, _SACRUM) if name in self]
        points = np.array([self.centre(name) for name in names]).reshape(-1, 3)
        return points[points[:, 2].argsort()]

    @cached_property
    def _found(self) -> frozenset[str]:
        return frozenset(self.names)


def vertebrae_in(names: Container[str]) -> tuple[int, ...]:
    """Returns the numbers of the vertebrae that are among names, downwards."""
    numbers = range(1, LOWEST_VERTEBRA + 1)
    return tuple(number for number in numbers if vertebra_name(number) in names)


def body_of(table: LabelStatistics, structures: Iterable[Structure]) -> Body:
    """Returns the table by the names of the structures that were looked for.

    The table ends at the last label that was found; the labels of other structures may be larger.
    """
    rows = len(table.voxels)
    labels = {structure.name: structure.label for structure in structures if structure.label > 0}
    found = (
        name for name, label in labels.items() if label < rows and table.voxels[label] >= FEW_VOXELS
    )
    return Body(table=table, labels=labels, names=tuple(found))

"""Defines the solids of which a body is made, in body coordinates (mm; x left, y back, z head)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .frame import Points

Mask = NDArray[np.bool_]
Bounds = NDArray[np.float64]
Vector = tuple[float, float, float]

EVERYWHERE_MM = 1e4
PROFILE_STEP_MM = 0.25


class Solid(Protocol):
    """A set of points in space."""

    @property
    def bounds(self) -> Bounds:
        """(2, 3): the lowest and the highest x, y, z of its points, in mm."""
        ...

    def contains(self, points: Points) -> Mask:
        """Returns which points lie inside; same shape as the points' arrays."""
        ...


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid; with boxiness between 0 and 1 its sides get flatter and its corners fuller."""

    centre: Vector
    radii: Vector
    turn: NDArray[np.float64] | None = None  # (3, 3), from body axes to the ellipsoid's own
    boxiness: float = 0.0

    @property
    def bounds(self) -> Bounds:
        centre = np.asarray(self.centre)
        if self.turn is None:
            reach = np.asarray(self.radii)
        elif self.boxiness:
            reach = np.abs(self.turn.T) @ np.asarray(self.radii)
        else:
            reach = np.sqrt((self.turn.T**2) @ np.square(self.radii))
        return np.stack([centre - reach, centre + reach])

    def contains(self, points: Points) -> Mask:
        u, v, w = (p - np.float32(c) for p, c in zip(points, self.centre, strict=True))
        if self.turn is not None:
            m = self.turn.astype(np.float32)
            u, v, w = (m[r, 0] * u + m[r, 1] * v + m[r, 2] * w for r in range(3))
        squares = [
            np.square(a * np.float32(1.0 / r)) for a, r in zip((u, v, w), self.radii, strict=True)
        ]
        return _within(squares, self.boxiness)

    def grown(self, by_mm: float) -> Ellipsoid:
        """Returns the ellipsoid with its radii changed by so many mm."""
        a, b, c = (max(r + by_mm, 0.5) for r in self.radii)
        return Ellipsoid(self.centre, (a, b, c), self.turn, self.boxiness)


@dataclass(frozen=True, slots=True)
class Capsule:
    """A straight piece of tube with round ends, its radius changing linearly."""

    start: Vector
    stop: Vector
    start_radius: float
    stop_radius: float

    @property
    def bounds(self) -> Bounds:
        ends = np.array([self.start, self.stop])
        radii = np.array([[self.start_radius], [self.stop_radius]])
        return np.stack([(ends - radii).min(axis=0), (ends + radii).max(axis=0)])

    def contains(self, points: Points) -> Mask:
        axis = np.subtract(self.stop, self.start).astype(np.float32)
        u, v, w = (p - np.float32(c) for p, c in zip(points, self.start, strict=True))
        along = (u * axis[0] + v * axis[1] + w * axis[2]) / np.float32(max(axis @ axis, 1e-6))
        np.clip(along, 0.0, 1.0, out=along)
        distance2 = np.square(u - along * axis[0])
        distance2 += np.square(v - along * axis[1])
        distance2 += np.square(w - along * axis[2])
        radius = np.float32(self.start_radius) + along * np.float32(
            self.stop_radius - self.start_radius
        )
        return np.asarray(distance2 < np.square(radius))

    def grown(self, by_mm: float) -> Capsule:
        """Returns the capsule with its radii changed by so many mm."""
        first, last = self.start_radius + by_mm, self.stop_radius + by_mm
        return Capsule(self.start, self.stop, max(first, 0.5), max(last, 0.5))


def tube(points: Sequence[Vector], radii: Sequence[float]) -> tuple[Capsule, ...]:
    """Returns a bent tube through the points as a chain of capsules."""
    return tuple(
        Capsule(points[n], points[n + 1], radii[n], radii[n + 1]) for n in range(len(points) - 1)
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A body of elliptic cross-sections stacked along z.

    Half widths and centre are given at the heights `z` (ascending, mm) and linear in between.
    """

    z: tuple[float, ...]
    half_x: tuple[float, ...]
    half_y: tuple[float, ...]
    centre_x: tuple[float, ...]
    centre_y: tuple[float, ...]
    boxiness: float = 0.0
    _tables: list[NDArray[np.float32]] = field(default_factory=list, repr=False, compare=False)

    @property
    def bounds(self) -> Bounds:
        x, y = np.asarray(self.centre_x), np.asarray(self.centre_y)
        a, b = np.asarray(self.half_x), np.asarray(self.half_y)
        return np.array(
            [
                [(x - a).min(), (y - b).min(), self.z[0]],
                [(x + a).max(), (y + b).max(), self.z[-1]],
            ]
        )

    def contains(self, points: Points) -> Mask:
        x, y, z = points
        if not self._tables:
            heights = np.arange(self.z[0], self.z[-1] + PROFILE_STEP_MM, PROFILE_STEP_MM)
            for values in (self.half_x, self.half_y, self.centre_x, self.centre_y):
                self._tables.append(np.interp(heights, self.z, values).astype(np.float32))
        step = ((z - np.float32(self.z[0])) * np.float32(1.0 / PROFILE_STEP_MM)).astype(np.int32)
        np.clip(step, 0, len(self._tables[0]) - 1, out=step)
        half_x, half_y, centre_x, centre_y = (table[step] for table in self._tables)
        squares = [np.square((x - centre_x) / half_x), np.square((y - centre_y) / half_y)]
        inside = _within(squares, self.boxiness)
        inside &= (z > self.z[0]) & (z < self.z[-1])
        return inside

    def grown(self, by_mm: float) -> Column:
        """Returns the column with its half widths changed by so many mm, and the same heights."""
        return Column(
            self.z,
            tuple(max(a + by_mm, 1.0) for a in self.half_x),
            tuple(max(b + by_mm, 1.0) for b in self.half_y),
            self.centre_x,
            self.centre_y,
            self.boxiness,
        )


@dataclass(frozen=True, slots=True)
class Above:
    """The points above (or below) a curved sheet z = height + slopes . d + bends . d^2.

    d is the distance (x, y) from `at`, in mm.
    """

    height: float
    slopes: tuple[float, float] = (0.0, 0.0)
    bends: tuple[float, float] = (0.0, 0.0)
    at: tuple[float, float] = (0.0, 0.0)
    below: bool = False

    @property
    def bounds(self) -> Bounds:
        return np.array([[-EVERYWHERE_MM] * 3, [EVERYWHERE_MM] * 3])

    def contains(self, points: Points) -> Mask:
        x, y, z = points
        u, v = x - np.float32(self.at[0]), y - np.float32(self.at[1])
        sheet = np.float32(self.height) + np.float32(self.slopes[0]) * u
        sheet += np.float32(self.slopes[1]) * v
        if any(self.bends):
            sheet += np.float32(self.bends[0]) * u * u + np.float32(self.bends[1]) * v * v
        return z < sheet if self.below else z >= sheet

    def flipped(self) -> Above:
        """Returns the other side of the same sheet."""
        return Above(self.height, self.slopes, self.bends, self.at, not self.below)

    def raised(self, by_mm: float) -> Above:
        """Returns the same side of a sheet so many mm higher."""
        return Above(self.height + by_mm, self.slopes, self.bends, self.at, self.below)


@dataclass(frozen=True, slots=True)
class Both:
    """The points that lie inside all of several solids."""

    solids: tuple[Solid, ...]

    @property
    def bounds(self) -> Bounds:
        boxes = np.stack([solid.bounds for solid in self.solids])
        return np.stack([boxes[:, 0].max(axis=0), boxes[:, 1].min(axis=0)])

    def contains(self, points: Points) -> Mask:
        inside = self.solids[0].contains(points)
        for solid in self.solids[1:]:
            inside &= solid.contains(points)
        return inside


def both(*solids: Solid) -> Both:
    """Returns the intersection of the solids."""
    return Both(solids)


def _within(squares: list[NDArray[np.float32]], boxiness: float) -> Mask:
    """Returns where (1 - boxiness) * sum(s) + boxiness * sum(s^2) < 1."""
    total = squares[0].copy()
    for square in squares[1:]:
        total += square
    if boxiness:
        total *= np.float32(1.0 - boxiness)
        for square in squares:
            total += np.float32(boxiness) * np.square(square)
    return np.asarray(total < 1.0)

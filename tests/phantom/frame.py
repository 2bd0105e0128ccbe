"""Maps patient coordinates smoothly to the body's own, undeformed coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""x, y and z of many points, body coordinates in mm, three arrays of one shape."""

N_WAVES = 7
WAVELENGTH_MM = (190.0, 420.0)
AMPLITUDE_MM = 1.6  # of one wave along one axis; seven of them move a point by some 3 mm
BODY_SCALE = (0.90, 1.12)
AXIS_SCALE = (0.95, 1.05)
TILT_DEGREES = 2.5
MAX_TILT_DEGREES = 6.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Body coordinates as a function of patient coordinates: linear, plus a few plane waves.

    body(p) = linear @ p + sum over n of amplitudes[n] * sin(wave_vectors[n] . p + phases[n])

    Patient coordinates p are DICOM LPS in mm. Body coordinates point the same way (x to the
    patient's left, y to the back, z to the head) with the top of the sacrum at z = 0.

    A plane wave on a grid is a product of one factor along k and one over (j, i), so the
    coordinates of a whole block of voxels are ONE matrix product, on a grid of any orientation.
    """

    linear: NDArray[np.float64]
    wave_vectors: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    phases: NDArray[np.float64]

    @classmethod
    def random(cls, rng: np.random.Generator) -> Frame:
        """Returns a random body size, a slight tilt and a smooth deformation."""
        scale = rng.uniform(*BODY_SCALE) * rng.uniform(*AXIS_SCALE, size=3)
        tilt = np.clip(rng.normal(0.0, TILT_DEGREES, 3), -MAX_TILT_DEGREES, MAX_TILT_DEGREES)
        directions = rng.normal(size=(N_WAVES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths_mm = rng.uniform(*WAVELENGTH_MM, size=(N_WAVES, 1))
        return cls(
            linear=np.diag(1.0 / scale) @ rotation(*np.radians(tilt)),
            wave_vectors=directions * (2.0 * np.pi / lengths_mm),
            amplitudes=rng.normal(0.0, AMPLITUDE_MM, (N_WAVES, 3)),
            phases=rng.uniform(0.0, 2.0 * np.pi, N_WAVES),
        )

    def grid_factors(
        self, affine_lps: NDArray[np.float64], shape_kji: tuple[int, int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the two factors whose product is the body coordinates of a grid.

        Args:
            affine_lps: (4, 4), index (i, j, k, 1) -> LPS mm.
            shape_kji: the grid's size.

        Returns:
            along_k of shape (k, n) and in_plane of shape (3, n, j * i): along_k @ in_plane[c] is
            body coordinate c, float32, in mm.
        """
        n_k, n_j, n_i = shape_kji
        step_i, step_j, step_k, origin = (affine_lps[:3, c] for c in range(4))
        k = np.arange(n_k, dtype=np.float64)[:, None]
        j = np.arange(n_j, dtype=np.float64)[:, None]
        i = np.arange(n_i, dtype=np.float64)[None, :]
        waves_k = k * (self.wave_vectors @ step_k)
        along_k = np.hstack([np.ones_like(k), k, np.sin(waves_k), np.cos(waves_k)])

        in_plane = np.empty((3, along_k.shape[1], n_j * n_i), np.float32)
        for axis in range(3):
            row = self.linear[axis]
            in_plane[axis, 0] = (row @ origin + j * (row @ step_j) + i * (row @ step_i)).ravel()
            in_plane[axis, 1] = row @ step_k
        for n, vector in enumerate(self.wave_vectors):
            phase = self.phases[n] + vector @ origin + j * (vector @ step_j) + i * (vector @ step_i)
            cosine, sine = np.cos(phase).ravel(), np.sin(phase).ravel()
            for axis in range(3):
                in_plane[axis, 2 + n] = self.amplitudes[n, axis] * cosine
                in_plane[axis, 2 + N_WAVES + n] = self.amplitudes[n, axis] * sine
        return along_k.astype(np.float32), in_plane

    def index_bounds(
        self,
        bounds_mm: NDArray[np.float64],
        affine_lps: NDArray[np.float64],
        shape_kji: tuple[int, int, int],
    ) -> NDArray[np.int64]:
        """Returns for each of n boxes of body coordinates a block of a grid that covers it.

        Args:
            bounds_mm: (n, 2, 3), lowest and highest x, y, z of each box, body coordinates.
            affine_lps: (4, 4), index (i, j, k, 1) -> LPS mm.
            shape_kji: the grid's size.

        Returns:
            (n, 2, 3): first and one past the last index, in the order k, j, i.
        """
        to_index = np.linalg.inv(self.linear @ affine_lps[:3, :3])
        centre = 0.5 * (bounds_mm[:, 0] + bounds_mm[:, 1])
        reach = 0.5 * (bounds_mm[:, 1] - bounds_mm[:, 0]) + np.abs(self.amplitudes).sum(axis=0)
        centre_ijk = (centre - self.linear @ affine_lps[:3, 3]) @ to_index.T
        reach_ijk = reach @ np.abs(to_index).T
        first = np.floor(centre_ijk - reach_ijk)[:, ::-1]
        last = np.ceil(centre_ijk + reach_ijk)[:, ::-1] + 1
        blocks: NDArray[np.int64] = np.clip(np.stack([first, last], axis=1), 0, shape_kji).astype(
            np.int64
        )
        return blocks


def rotation(about_x: float, about_y: float, about_z: float) -> NDArray[np.float64]:
    """Returns the (3, 3) rotation about x, then y, then z; angles in radians."""
    cx, sx = np.cos(about_x), np.sin(about_x)
    cy, sy = np.cos(about_y), np.sin(about_y)
    cz, sz = np.cos(about_z), np.sin(about_z)
    turn_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    turn_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    turn_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    turn: NDArray[np.float64] = turn_z @ turn_y @ turn_x
    return turn

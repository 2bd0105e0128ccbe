"""Makes a random body in patient coordinates, and samples it on any grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .drawing import Chance, Painting, Part
from .frame import Frame, Points
from .organs import make_blood, paint_belly, paint_chest, paint_pelvic_organs
from .scanner import AIR_HU, HU_RANGE, SOFT, Scanner, blurred, noise_slice, table_mask
from .skeleton import (
    make_bones,
    make_spine,
    paint_back_muscles,
    paint_pelvis,
    paint_ribs,
    paint_spine,
)
from .torso import make_trunk, paint_torso
from .vessels import paint_vessels

SLAB_VOXELS = 4_000_000  # bounds the memory of the temporary arrays to about 200 MB
TABLE_SHELL_HU = -80.0
TABLE_FOAM_HU = -930.0
TABLE_GAP_MM = 4.0


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A body: painted parts in body coordinates, and the frame that places and deforms them.

    Patient coordinates are DICOM LPS in mm. The top of the sacrum lies near z = 0, the diaphragm
    near z = 230, the top of the lungs near z = 455, the hip joints near z = -95.
    """

    seed: int
    frame: Frame
    parts: tuple[Part, ...]
    table_y_mm: float

    @classmethod
    def random(cls, seed: int) -> Anatomy:
        """Returns the body of a seed."""
        rng = np.random.default_rng(seed)
        frame = Frame.random(rng)
        chance = Chance(rng)
        painting = Painting()
        trunk, spine = make_trunk(chance), make_spine(chance)
        bones, blood = make_bones(chance), make_blood(chance)
        paint_torso(painting, chance, trunk)
        paint_belly(painting, chance, trunk, blood)
        paint_pelvic_organs(painting, chance)
        paint_chest(painting, chance, trunk, blood)
        paint_back_muscles(painting, chance, spine)
        paint_vessels(painting, chance, blood)
        paint_ribs(painting, chance, spine, trunk, bones)
        paint_spine(painting, chance, spine, bones)
        paint_pelvis(painting, chance, bones)
        skin_back = float(painting.parts[0].solids[0].bounds[1, 1])
        table = skin_back / frame.linear[1, 1] + TABLE_GAP_MM
        return cls(seed=seed, frame=frame, parts=tuple(painting.parts), table_y_mm=float(table))

    def sample(
        self,
        affine_lps: NDArray[np.float64],
        shape_kji: tuple[int, int, int],
        *,
        scanner: Scanner | None = SOFT,
        first_slice: int = 0,
    ) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Returns a CT of the body and its labels on a grid.

        Args:
            affine_lps: (4, 4), index (i, j, k, 1) -> LPS mm; i counts columns along a row, j rows,
                k slices. Any orientation and spacing.
            shape_kji: slices, rows, columns.
            scanner: blur and noise; None gives the bare tissue.
            first_slice: the number of slice k = 0 in its series; each number has its own noise.

        Returns:
            (hu, labels), both (k, j, i): int16 HU, and uint8 class numbers of TotalSegmentator's
            task `total`. Labels are the exact label at each voxel's centre.
        """
        affine = np.asarray(affine_lps, np.float64)
        hu = np.empty(shape_kji, np.int16)
        labels = np.zeros(shape_kji, np.uint8)
        along_k, in_plane = self.frame.grid_factors(affine, shape_kji)
        bounds = np.stack([solid.bounds for part in self.parts for solid in part.solids])
        blocks = self.frame.index_bounds(bounds, affine, shape_kji)
        depth = max(1, SLAB_VOXELS // (shape_kji[1] * shape_kji[2]))
        for start in range(0, shape_kji[0], depth):
            stop = min(start + depth, shape_kji[0])
            points = _slab_points(along_k[start:stop], in_plane, shape_kji)
            slab = self._paint(points, blocks, start, labels[start:stop])
            self._add_table(slab, affine, start)
            self._finish(slab, affine, first_slice + start, scanner, hu[start:stop])
        return hu, labels

    def _paint(
        self,
        points: Points,
        blocks: NDArray[np.int64],
        start: int,
        labels: NDArray[np.uint8],
    ) -> NDArray[np.float32]:
        """Paints all parts on a slab that begins at slice `start`; fills labels, returns HU.

        blocks is (solids, 2, 3): where on the whole grid each solid can be, (k, j, i).
        """
        hu = np.full(labels.shape, AIR_HU, np.float32)
        on_slab = blocks - np.array([start, 0, 0])
        on_slab = on_slab.clip(0, labels.shape)
        solids = ((part, solid) for part in self.parts for solid in part.solids)
        x, y, z = points
        for (part, solid), (first, last) in zip(solids, on_slab, strict=True):
            if (first >= last).any():
                continue
            block = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
            inside = solid.contains((x[block], y[block], z[block]))
            hu[block][inside] = part.hu
            if part.label is not None:
                labels[block][inside] = part.label
        return hu

    def _add_table(self, hu: NDArray[np.float32], affine: NDArray[np.float64], start: int) -> None:
        """Paints the patient table where there is air."""
        n_k, n_j, n_i = hu.shape
        k = np.arange(start, start + n_k, dtype=np.float32)[:, None, None]
        j = np.arange(n_j, dtype=np.float32)[None, :, None]
        i = np.arange(n_i, dtype=np.float32)[None, None, :]
        x, y = (
            np.float32(affine[r, 0]) * i
            + np.float32(affine[r, 1]) * j
            + np.float32(affine[r, 2]) * k
            + np.float32(affine[r, 3])
            for r in (0, 1)
        )
        shell, foam = table_mask(x, y, self.table_y_mm)
        air = hu <= AIR_HU
        hu[shell & air] = TABLE_SHELL_HU
        hu[foam & air] = TABLE_FOAM_HU

    def _finish(
        self,
        tissue: NDArray[np.float32],
        affine: NDArray[np.float64],
        first_slice: int,
        scanner: Scanner | None,
        out: NDArray[np.int16],
    ) -> None:
        """Turns a slab of tissue HU into an image: texture, blur, noise, rounding to int16."""
        image = tissue
        if scanner is not None:
            spacing = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
            image = blurred(image, (spacing[0], spacing[1], spacing[2]), scanner)
            for k in range(len(image)):
                noise = noise_slice(self.seed, first_slice + k, image.shape[1:], scanner)
                image[k] += noise
        np.clip(np.rint(image), *HU_RANGE, out=image)
        out[...] = image


def _slab_points(
    along_k: NDArray[np.float32],
    in_plane: NDArray[np.float32],
    shape_kji: tuple[int, int, int],
) -> Points:
    """Returns the body coordinates of a slab of slices."""
    shape = (len(along_k), *shape_kji[1:])
    x, y, z = ((along_k @ in_plane[axis]).reshape(shape) for axis in range(3))
    return x, y, z

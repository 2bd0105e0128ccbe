"""Computes how far the surfaces of two masks are apart: NSD at a tolerance, and HD95.

The definitions are those of DeepMind's surface-distance (Nikolov et al., J Med Internet Res
2021;23(7):e26151): a surface is a set of surface elements ("surfels"), one at each corner where
voxels of the mask meet others, each with its area in mm2. A distance goes from a surfel to the
nearest surfel of the other surface. The tables and the two metrics are those of the package. Only
the search for distances is our own: it gives the same distances as
`surface_distance.compute_surface_distances` faster, since surfels that both surfaces have lie at
distance 0, and a k-d tree finds the nearest surfel of the others.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree
from surface_distance import lookup_tables, metrics

from totalmap.agreement.structure_masks import StructureMasks
from totalmap.dicom.geometry import Box, Geometry
from totalmap.environment_variables import processor_threads

PACKAGE = "surface-distance"
_PERCENTILE = 95
_INSIDE = 255  # the code of a corner whose eight voxels all belong to the mask

Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceAgreement:
    """How well the surfaces of a structure agree.

    Attributes:
        nsd: Normalized surface distance (surface Dice), 0..1: the share of both surfaces that
            lies within the tolerance of the other. None if both masks are empty, 0 if one is.
        hd95_mm: The larger of the two distances below which 95 % of the area of one surface
            lies from the other, in mm. None if a mask is empty.
    """

    nsd: float | None
    hd95_mm: float | None


def library_version() -> str:
    """Returns name and version of the package with the definitions."""
    return f"{PACKAGE} {version(PACKAGE)}"


def step_vectors_mm(geometry: Geometry) -> Matrix:
    """Returns (3, 3): rows with the step in mm along k, j and i.

    They are along the axes unless the stack is tilted, as the package assumes.
    """
    if geometry.is_grid:
        return np.diag(geometry.spacing_mm[::-1])
    vectors: Matrix = geometry.affine_lps[:3, 2::-1].T
    return vectors


def compare_surfaces(
    a: StructureMasks,
    b: StructureMasks,
    names: Mapping[str, tuple[bool, bool]],
    tolerance_mm: float,
) -> dict[str, SurfaceAgreement]:
    """Returns the agreement of the surfaces of structures; they are compared in parallel.

    Args:
        a: A.
        b: B, on the grid of A.
        names: The structures, each with whether A and whether B has a voxel of it.
        tolerance_mm: The tolerance of NSD.
    """
    full = [name for name, present in names.items() if all(present)]
    pairs = _pairs(a, b, full)
    steps = step_vectors_mm(a.geometry)
    areas = surfel_areas(steps)
    compare = partial(_compare, a, b, steps=steps, areas=areas, tolerance_mm=tolerance_mm)
    # The largest first, so that no thread is left alone with one.
    ordered = sorted(full, key=lambda name: -_size(pairs[name]))
    with ThreadPoolExecutor(processor_threads()) as pool:
        compared = pool.map(lambda name: compare(name, pairs[name]), ordered)
        found = dict(zip(ordered, compared, strict=True))
    return {
        name: found.get(name, SurfaceAgreement(nsd=0.0 if any(present) else None, hd95_mm=None))
        for name, present in names.items()
    }


def surface_agreement(
    a: Mask, b: Mask, steps: Matrix, areas: NDArray[np.float64], tolerance_mm: float
) -> SurfaceAgreement:
    """Returns the agreement of two masks that are not empty.

    Args:
        a: (k, j, i).
        b: (k, j, i).
        steps: (3, 3) as `step_vectors_mm` gives them.
        areas: (256,) as `surfel_areas` gives them.
        tolerance_mm: The tolerance of NSD.
    """
    distances = surface_distances(a, b, steps, areas)
    return SurfaceAgreement(
        nsd=float(metrics.compute_surface_dice_at_tolerance(distances, tolerance_mm)),
        hd95_mm=float(metrics.compute_robust_hausdorff(distances, _PERCENTILE)),
    )


def surface_distances(
    a: Mask, b: Mask, steps: Matrix, areas: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Returns what `surface_distance.compute_surface_distances` returns for A as ground truth.

    Args:
        a: (k, j, i), not empty.
        b: (k, j, i), not empty.
        steps: (3, 3) as `step_vectors_mm` gives them.
        areas: (256,) as `surfel_areas` gives them.
    """
    codes_a, codes_b = _corner_codes(a), _corner_codes(b)
    is_surface_a = (codes_a != 0) & (codes_a != _INSIDE)
    is_surface_b = (codes_b != 0) & (codes_b != _INSIDE)
    result = {}
    for names, own, other, codes in (
        (("distances_gt_to_pred", "surfel_areas_gt"), is_surface_a, is_surface_b, codes_a),
        (("distances_pred_to_gt", "surfel_areas_pred"), is_surface_b, is_surface_a, codes_b),
    ):
        distances, of_surfels = _distances(own, other, steps), areas[codes[own]]
        order = np.lexsort((of_surfels, distances))
        result[names[0]], result[names[1]] = distances[order], of_surfels[order]
    return result


def surfel_areas(steps: Matrix) -> NDArray[np.float64]:
    """Returns (256,) the area in mm2 of the surface at a corner, by the code of its eight voxels.

    Args:
        steps: (3, 3) as `step_vectors_mm` gives them.
    """
    spacing = np.linalg.norm(steps, axis=1)
    if np.array_equal(steps, np.diag(spacing)):
        areas: NDArray[np.float64] = lookup_tables.create_table_neighbour_code_to_surface_area(
            spacing
        )
        return areas
    # Areas are vectors, which a shear maps by the matrix of cofactors.
    cofactors = np.linalg.det(steps) * np.linalg.inv(steps).T
    normals = lookup_tables._NEIGHBOUR_CODE_TO_NORMALS
    return np.array(
        [np.linalg.norm(np.array(of_code) @ cofactors, axis=1).sum() for of_code in normals]
    )


def _corner_codes(mask: Mask) -> NDArray[np.uint8]:
    """Returns the code of each corner of voxels: a bit for each of the eight voxels around it.

    The result has one corner more than voxels along each axis. The first voxel is the highest
    bit, as in `lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL`.
    """
    codes = np.pad(mask, 1).view(np.uint8)
    codes = 2 * codes[:, :, :-1] + codes[:, :, 1:]
    codes = 4 * codes[:, :-1] + codes[:, 1:]
    return 16 * codes[:-1] + codes[1:]


def _distances(own: Mask, other: Mask, steps: Matrix) -> NDArray[np.float64]:
    """Returns the distance of each surfel to the other surface in mm, in the order of the array."""
    distances = np.zeros(np.count_nonzero(own))
    is_apart = ~other[own]
    if not is_apart.any():
        return distances
    points = np.argwhere(own & ~other)
    targets = np.argwhere(other)
    # Lattice points have many equal coordinates: trees that are not balanced are built faster.
    tree = cKDTree(targets @ steps, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(points @ steps)
    apart = (points - targets[nearest]).astype(np.float64) @ steps
    distances[is_apart] = np.sqrt((apart * apart).sum(axis=1))
    return distances


def _compare(
    a: StructureMasks, b: StructureMasks, name: str, box: Box, **of_grid: Matrix | float
) -> SurfaceAgreement:
    in_a, in_b = a.places[name], b.places[name]
    return surface_agreement(
        a.layers[in_a.layer][box] == in_a.label,
        b.layers[in_b.layer][box] == in_b.label,
        **of_grid,  # type: ignore[arg-type]  # each has the type of its name
    )


def _pairs(a: StructureMasks, b: StructureMasks, names: list[str]) -> dict[str, Box]:
    """Returns the box around both masks of each structure."""
    boxes_a, boxes_b = _boxes(a), _boxes(b)
    return {name: _around(boxes_a[a.places[name]], boxes_b[b.places[name]]) for name in names}


def _boxes(masks: StructureMasks) -> dict[tuple[int, int], Box]:
    """Returns the box around each label of each layer, by layer and label."""
    with ThreadPoolExecutor(processor_threads()) as pool:
        return {
            (layer, label): box
            for layer, found in enumerate(pool.map(find_objects, masks.layers))
            for label, box in enumerate(found, start=1)
            if box is not None
        }


def _around(first: Box, second: Box) -> Box:
    k, j, i = (
        slice(min(one.start, two.start), max(one.stop, two.stop))
        for one, two in zip(first, second, strict=True)
    )
    return k, j, i


def _size(box: Box) -> int:
    k, j, i = (part.stop - part.start for part in box)
    return int(k * j * i)

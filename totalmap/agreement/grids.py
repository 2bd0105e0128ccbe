"""Puts two segmentations onto one grid."""

from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from totalmap.agreement.structure_masks import LabelArray, StructureMasks
from totalmap.dicom.frame_positions import SAME_PLACE
from totalmap.dicom.geometry import Affine, Geometry
from totalmap.errors import UnsupportedGeometry

RESAMPLED = "resampled onto the grid of A by the nearest voxel; its own grid has {grid}"


def is_same_grid(a: Geometry, b: Geometry) -> bool:
    """Returns whether the voxels of two grids lie at the same places, in the same order."""
    axes = _axes(a, b)
    return axes is not None and np.array_equal(axes, np.eye(4)) and a.shape == b.shape


def describe(geometry: Geometry) -> str:
    """Returns the size, the voxels and the first voxel of a grid in words."""
    k, j, i = geometry.shape
    voxel = " x ".join(f"{mm:.4g}" for mm in geometry.spacing_mm)
    first = ", ".join(f"{mm:.1f}" for mm in geometry.affine_lps[:3, 3])
    return f"{i} x {j} x {k} voxels of {voxel} mm from ({first}) mm LPS"


def on_one_grid(
    a: StructureMasks, b: StructureMasks, *, resample: bool
) -> tuple[StructureMasks, StructureMasks]:
    """Returns both segmentations on one grid.

    Axes in another order or direction are turned, and a SEG without its images is extended by
    slices without structures; neither changes a voxel.

    Args:
        a: Decides the grid.
        b: The other segmentation.
        resample: Whether B may be resampled onto another grid.

    Raises:
        UnsupportedGeometry: The grids differ and `resample` is false.
    """
    turned = _turned(b, a.geometry)
    if turned is not None:
        extended = _extended(a, *turned)
        if extended is not None:
            return extended
    if not resample:
        raise UnsupportedGeometry(
            f"the grids differ: A has {describe(a.geometry)}, B has {describe(b.geometry)}; "
            "--resample compares them on the grid of A"
        )
    return a, _resampled(b, a.geometry)


def _axes(a: Geometry, b: Geometry) -> Affine | None:
    """Returns the (4, 4) matrix of whole numbers that maps (i, j, k, 1) of B to those of A.

    None if no corner of B may be farther than a tenth of a voxel from a voxel of A.
    """
    exact = np.linalg.inv(a.affine_lps) @ b.affine_lps
    whole: Affine = np.rint(exact)
    turns = np.abs(whole[:3, :3])
    if not ((turns.sum(axis=0) == 1).all() and (turns.sum(axis=1) == 1).all()):
        return None
    ends = [(0, size - 1) for size in reversed(b.shape)]
    corners = np.array([[*corner, 1] for corner in product(*ends)]).T
    return whole if np.abs((exact - whole) @ corners).max() <= SAME_PLACE else None


def _turned(b: StructureMasks, wanted: Geometry) -> tuple[StructureMasks, NDArray[np.intp]] | None:
    """Returns B with the axes of a grid, and the index (k, j, i) of its first voxel there."""
    axes = _axes(wanted, b.geometry)
    if axes is None:
        return None
    source_axis = np.abs(axes[:3, :3]).argmax(axis=1)  # of each axis i, j, k of the wanted grid
    is_reversed = axes[range(3), source_axis] < 0
    sizes = np.array(b.geometry.shape[::-1])[source_axis]
    first = (axes[:3, 3] - is_reversed * (sizes - 1)).astype(np.intp)

    def turn(layer: LabelArray) -> LabelArray:
        view = layer.transpose(2, 1, 0).transpose(source_axis)
        flipped = view[tuple(slice(None, None, -1 if back else 1) for back in is_reversed)]
        return flipped.transpose(2, 1, 0)

    affine = wanted.affine_lps.copy()
    affine[:, 3] = affine @ [*first, 1.0]
    i, j, k = (int(size) for size in sizes)
    geometry = Geometry.regular(affine, (k, j, i))
    layers = tuple(turn(layer) for layer in b.layers)
    return replace(b, layers=layers, geometry=geometry), first[::-1]


def _extended(
    a: StructureMasks, b: StructureMasks, first: NDArray[np.intp]
) -> tuple[StructureMasks, StructureMasks] | None:
    """Returns both with the same slices; None if their grids differ otherwise.

    Args:
        a: A.
        b: B, with the axes of A.
        first: (k, j, i) of the first voxel of B on the grid of A.
    """
    if first[1:].any() or a.geometry.shape[1:] != b.geometry.shape[1:]:
        return None
    begins = 0, int(first[0])
    ends = a.geometry.shape[0], begins[1] + b.geometry.shape[0]
    begin, end = min(begins), max(ends)
    extended = []
    for masks, own_begin, own_end in zip((a, b), begins, ends, strict=True):
        before, after = own_begin - begin, end - own_end
        if (before or after) and masks.covers_all_slices:
            return None
        extended.append(_with_slices(masks, before, after))
    return extended[0], replace(extended[1], geometry=extended[0].geometry)


def _with_slices(masks: StructureMasks, before: int, after: int) -> StructureMasks:
    if not (before or after):
        return masks
    layers = tuple(np.pad(layer, ((before, after), (0, 0), (0, 0))) for layer in masks.layers)
    affine = masks.geometry.affine_lps.copy()
    affine[:, 3] = affine @ [0.0, 0.0, -before, 1.0]
    return replace(masks, layers=layers, geometry=Geometry.regular(affine, layers[0].shape))


def _resampled(masks: StructureMasks, wanted: Geometry) -> StructureMasks:
    """Returns masks on another grid: each voxel gets the label of the nearest voxel."""
    from scipy.ndimage import affine_transform

    to_source = np.linalg.inv(masks.geometry.affine_lps) @ wanted.affine_lps
    kji = to_source[np.ix_([2, 1, 0, 3], [2, 1, 0, 3])]
    layers = tuple(
        affine_transform(
            layer, kji[:3, :3], kji[:3, 3], wanted.shape, order=0, mode="grid-constant"
        )
        for layer in masks.layers
    )
    note = RESAMPLED.format(grid=describe(masks.geometry))
    return replace(masks, layers=layers, geometry=wanted, notes=(*masks.notes, note))

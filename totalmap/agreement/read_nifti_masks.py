"""Reads the masks of NIfTI files: a file of labels, or a folder with a file for each structure."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from totalmap.agreement.grids import is_same_grid
from totalmap.agreement.nifti_label_names import read_label_names, stem
from totalmap.agreement.structure_masks import LabelArray, MaskLayers, Place, StructureMasks
from totalmap.dicom.geometry import Geometry
from totalmap.display_names import known_name
from totalmap.errors import InputError
from totalmap.nifti import read_nifti
from totalmap.settings import GeometrySection

# What a voxel of a mask is at least, also in a map of probabilities.
_HALF = 0.5


def read_nifti_labels(path: Path) -> StructureMasks:
    """Returns the masks of a file of labels.

    Raises:
        InputError: The file can't be read, holds no labels, or their names can't be read.
        UnsupportedGeometry: As in `totalmap.nifti.read_nifti`.
    """
    values, geometry = _read(path)
    labels = _labels(values)
    counts = np.bincount(labels.ravel())
    names, notes = read_label_names(path, len(counts) - 1)
    present = (int(label) for label in np.flatnonzero(counts) if label)
    names = {label: f"label {label}" for label in present} | names
    return StructureMasks(
        form="NIfTI",
        layers=(labels,),
        places={name: Place(0, label) for label, name in names.items()},
        geometry=geometry,
        notes=notes,
    )


def read_nifti_masks(paths: Sequence[Path]) -> StructureMasks:
    """Returns the masks of files with one structure each, whose names are those of the files.

    TotalSegmentator writes such a folder. A voxel belongs to the structure from 0.5.

    Raises:
        InputError: A file can't be read or holds labels, or the files have several grids.
        UnsupportedGeometry: As in `totalmap.nifti.read_nifti`.
    """
    first: Geometry | None = None
    for label, path in enumerate(paths, start=1):
        values, geometry = _read(path)
        if first is None:
            first, masks = geometry, MaskLayers(geometry.shape, len(paths))
        if not is_same_grid(first, geometry):
            raise InputError(f"NIfTI file {label} of {len(paths)} has another grid than the first")
        if values.max() > 1 or values.min() < 0:
            raise InputError(
                f"NIfTI file {label} of {len(paths)} holds values beyond 0 and 1, so it is no mask "
                "of one structure: name a file of labels by itself"
            )
        masks.add((), values >= _HALF, label)
    names = [known_name(stem(path)) or stem(path) for path in paths]
    if first is None or len(set(names)) < len(names):
        raise InputError("two NIfTI files of the folder name the same structure")
    places = {name: Place(masks.layer_of(n), n) for n, name in enumerate(names, start=1)}
    return StructureMasks(form="NIfTI", layers=tuple(masks.arrays), places=places, geometry=first)


def _read(path: Path) -> tuple[NDArray[np.int16] | NDArray[np.float32], Geometry]:
    volume = read_nifti(path, "CT", GeometrySection())
    return volume.voxels, volume.geometry


def _labels(values: NDArray[np.int16] | NDArray[np.float32]) -> LabelArray:
    highest = values.max()
    if values.min() < 0 or (values.dtype.kind == "f" and (values % 1).any()):
        raise InputError(
            "the NIfTI file holds values that are no labels: labels are whole numbers from 0 on"
        )
    return np.ascontiguousarray(values, dtype=np.min_scalar_type(int(highest)))

"""Makes masks and segmentations for tests of agreement."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from totalmap.agreement.structure_masks import Place, StructureMasks
from totalmap.dicom.geometry import Geometry

Mask = NDArray[np.bool_]
SHAPE = (20, 24, 28)


def random_pair(seed: int) -> tuple[Mask, Mask, tuple[float, float, float]]:
    """Returns two similar masks (k, j, i) with smooth borders, and a spacing in mm."""
    generator = np.random.default_rng(seed)
    field = gaussian_filter(generator.normal(size=SHAPE), 2)
    other = field + 0.3 * gaussian_filter(generator.normal(size=SHAPE), 2)
    k, j, i = generator.uniform(0.5, 3.0, 3)
    a, b = (values > np.quantile(values, 0.8) for values in (field, other))
    return a, b, (float(k), float(j), float(i))


def grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Geometry:
    """Returns an axial grid whose first voxel is at (-10, -20, 30) mm; spacing along k, j, i."""
    affine = np.diag([*spacing_mm[::-1], 1.0])
    affine[:3, 3] = -10.0, -20.0, 30.0
    return Geometry.regular(affine, shape)


def masks_of(
    labels: NDArray[np.uint8],
    names: Mapping[int, str],
    geometry: Geometry | None = None,
    **attributes: object,
) -> StructureMasks:
    """Returns a segmentation of labels (k, j, i)."""
    return StructureMasks(
        form="NIfTI",
        layers=(labels,),
        places={name: Place(0, label) for label, name in names.items()},
        geometry=geometry or grid(labels.shape, (1.0, 1.0, 1.0)),
        **attributes,  # type: ignore[arg-type]  # each has the type of its name
    )


def mask_of(masks: StructureMasks, name: str) -> Mask:
    """Returns the mask (k, j, i) of a structure."""
    place = masks.places[name]
    mask: Mask = masks.layers[place.layer] == place.label
    return mask

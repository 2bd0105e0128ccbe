"""Orientations of images (Image Orientation (Patient), LPS) in which studies come."""

import numpy as np

from tests.phantom.study import AXIAL, CORONAL, SAGITTAL

Orientation = tuple[float, float, float, float, float, float]

_SLANT = np.cos(np.radians(15.0)), np.sin(np.radians(15.0))

ORIENTATIONS: dict[str, Orientation] = {
    "axial": AXIAL,
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "feet first": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "on the left side": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "oblique": (_SLANT[0], _SLANT[1], 0.0, -_SLANT[1], _SLANT[0], 0.0),
}

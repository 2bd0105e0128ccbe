"""A cut in colour: windowed grey values, structures in their own colours over them."""

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import Segmentation
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.preview.cuts import Cut

Rgb = NDArray[np.uint8]

# The soft tissue window of a CT: centre 40 HU, width 400 HU.
CT_WINDOW_HU = (-160.0, 240.0)
# The units of an MR are the scanner's own: from nearly the darkest to nearly the brightest.
MR_PERCENTILES = (1.0, 99.0)
_MR_SAMPLES = 64

_OPACITY = 0.4


def grey_window(volume: Volume) -> tuple[float, float]:
    """Returns the values that are shown black and white."""
    if volume.modality == "CT":
        return CT_WINDOW_HU
    steps = [-(-length // _MR_SAMPLES) for length in volume.voxels.shape]
    low, high = np.percentile(
        volume.voxels[tuple(slice(None, None, n) for n in steps)], MR_PERCENTILES
    )
    return float(low), float(max(high, low + 1))


def palette(segmentation: Segmentation) -> Rgb:
    """Returns the colour of each label, (label, 3); black for what is none.

    Raises:
        OutputError: A structure has no colour.
    """
    highest = max(one.label for one in segmentation.structures)
    colours = np.zeros((highest + 1, 3), dtype=np.uint8)
    for one in segmentation.structures:
        colours[one.label] = structure_code(one.name).rgb
    return colours


def painted(cut: Cut, window: tuple[float, float], colours: Rgb) -> Rgb:
    """Returns a cut as (rows, columns, 3): structures are tinted, their contours are opaque."""
    low, high = window
    grey = (np.clip((cut.values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    image = np.repeat(grey[:, :, None], 3, axis=2)
    labelled = cut.labels > 0
    colour = colours[cut.labels[labelled]]
    image[labelled] = ((1 - _OPACITY) * image[labelled] + _OPACITY * colour).astype(np.uint8)
    contours = _contours(cut.labels)
    image[contours] = colours[cut.labels[contours]]
    return image


def _contours(labels: Labels) -> NDArray[np.bool_]:
    """Returns the pixels of structures beside which there is something else."""
    contours = np.zeros(labels.shape, dtype=bool)
    beside, below = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    contours[:, 1:] |= beside
    contours[:, :-1] |= beside
    contours[1:] |= below
    contours[:-1] |= below
    contours &= labels > 0
    return contours

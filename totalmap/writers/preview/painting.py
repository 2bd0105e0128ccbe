"""Paints views in grey with the structures in colour."""

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import Segmentation
from totalmap.writers.dicom.codes import BodySystem, structure_code
from totalmap.writers.preview.view_sampling import SampledView

Rgb = NDArray[np.uint8]
Window = tuple[float, float]
"""The values that are shown in black and in white."""

# The soft tissue window of a CT: centre 40 HU, width 400 HU.
CT_WINDOW_HU = (-160.0, 240.0)
# The lung window: centre -600 HU, width 1500 HU.
LUNG_WINDOW_HU = (-1350.0, 150.0)
# The units of an MR are the scanner's own: the window runs from nearly the darkest to nearly the
# brightest value.
MR_PERCENTILES = (1.0, 99.0)
_MR_SAMPLES = 64
_OPACITY = 0.4
_LUNG_OPACITY = 0.2
_LUNG = "lung"


def grey_window(volume: Volume) -> Window:
    """Returns the values that are shown in black and in white."""
    if volume.modality == "CT":
        return CT_WINDOW_HU
    steps = [-(-length // _MR_SAMPLES) for length in volume.voxels.shape]
    low, high = np.percentile(
        volume.voxels[tuple(slice(None, None, n) for n in steps)], MR_PERCENTILES
    )
    return float(low), float(max(high, low + 1))


def palette(segmentation: Segmentation) -> Rgb:
    """Returns the colour of each label, (label, 3); black for unused numbers.

    Raises:
        OutputError: A structure has no colour.
    """
    highest = max(structure.label for structure in segmentation.structures)
    colours = np.zeros((highest + 1, 3), dtype=np.uint8)
    for structure in segmentation.structures:
        colours[structure.label] = structure_code(structure.name).rgb
    return colours


def lung_labels(segmentation: Segmentation) -> frozenset[int]:
    """Returns the labels that are shown in a lung window: those of the lungs in a CT."""
    if segmentation.volume.modality != "CT":
        return frozenset()
    return frozenset(
        structure.label
        for structure in segmentation.structures
        if structure.name.startswith(_LUNG)
        and structure_code(structure.name).system is BodySystem.RESPIRATORY
    )


def painted(
    view: SampledView, window: Window, colours: Rgb, lungs: frozenset[int] = frozenset()
) -> Rgb:
    """Returns a view in colour, (rows, columns, 3): tinted structures with opaque contours.

    Args:
        view: Values and labels.
        window: The window of everything but the lungs.
        colours: The colour of each label, (label, 3).
        lungs: Labels that are shown in the lung window.
    """
    grey = _grey(view.values, window)
    is_lung = np.isin(view.labels, list(lungs))
    grey[is_lung] = _grey(view.values[is_lung], LUNG_WINDOW_HU)
    image = np.repeat(grey[:, :, None], 3, axis=2)
    labelled = view.labels > 0
    opacity = np.where(is_lung, _LUNG_OPACITY, _OPACITY)[labelled][:, None]
    colour = colours[view.labels[labelled]]
    image[labelled] = ((1 - opacity) * image[labelled] + opacity * colour).astype(np.uint8)
    contours = contour_pixels(view.labels)
    image[contours] = colours[view.labels[contours]]
    return image


def _grey(values: NDArray[np.float32], window: Window) -> NDArray[np.uint8]:
    low, high = window
    grey: NDArray[np.uint8] = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return grey


def contour_pixels(labels: Labels) -> NDArray[np.bool_]:
    """Returns a mask of the pixels of structures that touch another structure or none."""
    contours = np.zeros(labels.shape, dtype=bool)
    beside, below = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    contours[:, 1:] |= beside
    contours[:, :-1] |= beside
    contours[1:] |= below
    contours[:-1] |= below
    contours &= labels > 0
    return contours

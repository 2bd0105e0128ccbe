"""Chooses the grey window of each slice by the structures that lie in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from totalmap.segmentation import Segmentation
from totalmap.structures import Structure
from totalmap.writers.dicom.codes import BodySystem, structure_code
from totalmap.writers.preview.painting import CT_WINDOW_HU, grey_window


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A range of values, shown from black to white.

    Attributes:
        name: The key of its name in the catalogues; empty for MR, whose values have no unit.
        low: The value that is shown in black, HU in CT.
        high: The value that is shown in white.
    """

    name: str
    low: float
    high: float


SOFT_TISSUE = Window(name="overlay.soft_tissue_window", low=CT_WINDOW_HU[0], high=CT_WINDOW_HU[1])
# The usual lung window has a width of 1500 HU and shows the air around the patient in grey. This
# one begins at air.
LUNG = Window(name="overlay.lung_window", low=-1000.0, high=150.0)
BRAIN = Window(name="overlay.brain_window", low=0.0, high=80.0)
BONE = Window(name="overlay.bone_window", low=-500.0, high=1300.0)

# Of the pixels with a structure in a slice: the share of lung or brain that makes its region, and
# the share of bones, which lie in every region.
_REGION_SHARE = 1 / 3
_BONE_SHARE = 0.9
# The window does not change for less than this, so that scrolling does not flicker.
SHORTEST_RUN_MM = 20.0
# A slice is judged by about so many pixels a side.
_SAMPLES = 128

_LUNG_PREFIX = "lung"
_NERVOUS_OUTSIDE_THE_BRAIN = ("spinal_cord", "eye", "optic_nerve", "auditory_canal")
_SKELETAL_WITHOUT_BONE = ("skeletal_muscle",)
_TEETH = ("teeth_", "_fdi")


class _Tissue(IntEnum):
    NONE = 0
    LUNG = 1
    BRAIN = 2
    BONE = 3
    OTHER = 4


def slice_windows(segmentation: Segmentation) -> tuple[Window, ...]:
    """Returns the window of each slice.

    In CT, of the pixels of a slice that belong to a structure:

    - a third or more are lung: the lung window;
    - a third or more are brain: the brain window;
    - nine tenths or more are bones or teeth: the bone window;
    - else the soft tissue window.

    A slice without structures has the window of the nearest slice with some. A window that would
    hold for less than 20 mm is that of its longer neighbour. In MR, all slices have one window.

    Raises:
        OutputError: A structure is not in the table of codes.
    """
    volume = segmentation.volume
    if volume.modality != "CT":
        low, high = grey_window(volume)
        return (Window(name="", low=low, high=high),) * len(volume.voxels)
    tissue_of = _tissues(segmentation)
    judged = [_window_of(tissue_of[_sampled(labels)]) for labels in segmentation.labels]
    positions_mm = np.asarray(volume.geometry.slice_steps) * volume.geometry.spacing_mm[2]
    return tuple(_steady(_filled(judged, positions_mm), positions_mm))


def _sampled(labels: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    rows, columns = (-(-length // _SAMPLES) for length in labels.shape)
    return labels[::rows, ::columns]


def _tissues(segmentation: Segmentation) -> NDArray[np.uint8]:
    """Returns the tissue of each label."""
    highest = max(structure.label for structure in segmentation.structures)
    tissues = np.zeros(highest + 1, dtype=np.uint8)
    for structure in segmentation.structures:
        tissues[structure.label] = _tissue(structure)
    return tissues


def _tissue(structure: Structure) -> _Tissue:
    name, system = structure.name, structure_code(structure.name).system
    if name.startswith(_LUNG_PREFIX):
        return _Tissue.LUNG
    if system is BodySystem.NERVOUS and not name.startswith(_NERVOUS_OUTSIDE_THE_BRAIN):
        return _Tissue.BRAIN
    if system is BodySystem.SKELETAL and name not in _SKELETAL_WITHOUT_BONE:
        return _Tissue.BONE
    return _Tissue.BONE if any(part in name for part in _TEETH) else _Tissue.OTHER


def _window_of(tissues: NDArray[np.uint8]) -> Window | None:
    """Returns the window of a slice by the tissues of its pixels; None if it shows none."""
    counts = np.bincount(tissues.ravel(), minlength=len(_Tissue))
    shown = counts[1:].sum()
    if not shown:
        return None
    if counts[_Tissue.LUNG] >= _REGION_SHARE * shown:
        return LUNG
    if counts[_Tissue.BRAIN] >= _REGION_SHARE * shown:
        return BRAIN
    return BONE if counts[_Tissue.BONE] >= _BONE_SHARE * shown else SOFT_TISSUE


def _filled(windows: Sequence[Window | None], positions_mm: NDArray[np.float64]) -> list[Window]:
    """Returns the windows, where there is none that of the nearest slice with one."""
    known = {k: window for k, window in enumerate(windows) if window is not None}
    if not known:
        return [SOFT_TISSUE] * len(windows)
    indices = np.array(list(known))
    distances = np.abs(positions_mm[:, None] - positions_mm[indices])
    return [known[int(k)] for k in indices[distances.argmin(axis=1)]]


def _steady(windows: list[Window], positions_mm: NDArray[np.float64]) -> list[Window]:
    """Returns the windows without short runs, each of which joins its longer neighbour."""
    step_mm = float(np.diff(positions_mm).min(initial=np.inf))
    while True:
        runs = [len(list(run)) for _, run in groupby(windows)]
        ends = np.cumsum(runs)
        starts = ends - runs
        lengths_mm = positions_mm[ends - 1] - positions_mm[starts] + step_mm
        shortest = int(lengths_mm.argmin())
        if len(runs) == 1 or lengths_mm[shortest] >= SHORTEST_RUN_MM:
            return windows
        neighbours = [n for n in (shortest - 1, shortest + 1) if 0 <= n < len(runs)]
        longer = max(neighbours, key=lambda n: lengths_mm[n])
        start, end = int(starts[shortest]), int(ends[shortest])
        windows = [*windows[:start], *[windows[starts[longer]]] * (end - start), *windows[end:]]

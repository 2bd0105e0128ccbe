"""Reads the masks of an RT Structure Set: fills its contours on the slices of their images.

Contours are filled by the even-odd rule in each slice, as TotalMAP's own writer expects it: a
contour within another one cuts a hole, and a keyhole (PS3.3 C.8.8.6.3) does the same.
"""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from totalmap.agreement.read_seg_masks import POLICY
from totalmap.agreement.structure_masks import MaskLayers, Place, StructureMasks, evenly_spaced
from totalmap.dicom.fill_contours import filled
from totalmap.dicom.frame_positions import SAME_PLACE
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.header import BROKEN_FILE
from totalmap.dicom.patient_comparison import read_patient
from totalmap.dicom.study import Study
from totalmap.display_names import known_name, known_names
from totalmap.errors import InputError
from totalmap.existing_seg import source_of
from totalmap.result_options import RoiNames
from totalmap.writers.rtstruct.roi_names import roi_name

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_DATA = Tag("ContourData")
_Contour = tuple[int, NDArray[np.float64]]
"""The slice k, and (n, 2) column i and row j of the corners."""


def read_rtstruct_masks(path: Path, source: Study | None) -> StructureMasks:
    """Returns the masks of a structure set, on the grid of the images that it refers to.

    Args:
        path: The structure set.
        source: The study with these images.

    Raises:
        InputError: The file is damaged, the images are missing, or contours do not lie on them.
    """
    if source is None:
        raise InputError(
            "an RTSTRUCT holds contours and no grid of voxels: name the folder of its images with "
            "--source"
        )
    try:
        structure_set = pydicom.dcmread(path)
        return _masks(structure_set, source)
    except (*BROKEN_FILE, InvalidDicomError) as error:
        raise InputError(f"the RTSTRUCT is broken ({type(error).__name__})") from error


def _masks(structure_set: Dataset, source: Study) -> StructureMasks:
    series = frozenset(_referenced_series(structure_set))
    geometry = source_of(series, source, POLICY).audit.geometry
    names = {int(roi.ROINumber): _name(roi) for roi in structure_set.StructureSetROISequence}
    numbers = {name: label for label, name in enumerate(dict.fromkeys(names.values()), start=1)}
    masks = MaskLayers(geometry.shape, len(numbers))
    skipped = 0
    for roi in structure_set.get("ROIContourSequence", ()):
        contours = [item for item in roi.get("ContourSequence", ()) if _is_closed(item)]
        skipped += len(roi.get("ContourSequence", ())) - len(contours)
        if contours:
            part, mask = _fill(contours, geometry)
            masks.add(part, mask, numbers[names[int(roi.ReferencedROINumber)]])
    layers, geometry, notes = evenly_spaced(tuple(masks.arrays), geometry)
    if skipped:
        notes = (*notes, f"{skipped} points or open lines of the RTSTRUCT were left out")
    return StructureMasks(
        form="RTSTRUCT",
        layers=layers,
        places={name: Place(masks.layer_of(label), label) for name, label in numbers.items()},
        geometry=geometry,
        patients=(read_patient(structure_set),),
        frames_of_reference=frozenset(
            str(item.FrameOfReferenceUID) for item in _frames_of_reference(structure_set)
        ),
        notes=notes,
    )


def _frames_of_reference(structure_set: Dataset) -> Iterable[Dataset]:
    found: Iterable[Dataset] = structure_set.get("ReferencedFrameOfReferenceSequence", ())
    return found


def _referenced_series(structure_set: Dataset) -> Iterator[str]:
    for frame_of_reference in _frames_of_reference(structure_set):
        for study in frame_of_reference.get("RTReferencedStudySequence", ()):
            for series in study.get("RTReferencedSeriesSequence", ()):
                yield str(series.SeriesInstanceUID)


def _name(roi: Dataset) -> str:
    """Returns TotalSegmentator's name of a structure, else its ROI Name.

    Our writer keeps the name in ROI Description, since an ROI Name may be shortened.
    """
    given = str(roi.get("ROIName", "")).strip()
    for text in (str(roi.get("ROIDescription", "")), given):
        if known := known_name(text):
            return known
    for naming in RoiNames:
        for name in known_names():
            if roi_name(name, naming) == given:
                return name
    return given or f"ROI {roi.ROINumber}"


def _is_closed(contour: Dataset) -> bool:
    return str(contour.get("ContourGeometricType", "")) in _CLOSED


def _fill(
    contours: Iterable[Dataset], geometry: Geometry
) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """Returns the box around contours within the images, and the mask in it."""
    to_index = np.linalg.inv(geometry.affine_lps).astype(np.float64)
    steps = np.asarray(geometry.slice_steps)
    on_slices = [_on_slice(_positions(item), to_index, steps) for item in contours]
    points = np.concatenate([corners for _, corners in on_slices])
    ends = np.cumsum([len(corners) for _, corners in on_slices])
    slices = np.array([k for k, _ in on_slices])
    low = np.array([slices.min(), *np.floor(points.min(axis=0))[::-1]]).astype(int)
    high = np.array([slices.max(), *np.ceil(points.max(axis=0))[::-1]]).astype(int) + 1
    size = high - low
    mask = filled(
        points - low[[2, 1]], ends, slices - low[0], (int(size[0]), int(size[1]), int(size[2]))
    )
    first = np.maximum(low, 0)
    last = np.maximum(np.minimum(high, geometry.shape), first)
    inside = tuple(map(slice, first - low, last - low))
    return tuple(map(slice, first, last)), mask[inside]


def _on_slice(
    positions: NDArray[np.float64], to_index: NDArray[np.float64], steps: NDArray[np.float64]
) -> _Contour:
    """Returns the slice of a contour, and its corners in columns and rows.

    Raises:
        InputError: The contour does not lie in the plane of a slice.
    """
    index = positions @ to_index[:3, :3].T + to_index[:3, 3]
    k = int(np.abs(steps - index[:, 2].mean()).argmin())
    if np.abs(index[:, 2] - steps[k]).max() > SAME_PLACE:
        raise InputError(
            "a contour of the RTSTRUCT does not lie on a slice of its images: it was drawn on "
            "images of another distance or orientation"
        )
    return k, index[:, :2]


def _positions(contour: Dataset) -> NDArray[np.float64]:
    """Returns (n, 3) mm in LPS without an object for each number, of which there are a million."""
    text = contour.get_item(_DATA).value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # for text that is no number
        positions = np.fromstring(text, sep="\\")
    if not positions.size or len(positions) != 3 * int(contour.NumberOfContourPoints):
        raise InputError("a contour of the RTSTRUCT has another number of points than it says")
    return positions.reshape(-1, 3)

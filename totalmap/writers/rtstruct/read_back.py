"""Compares an RT Structure Set that was written with the labels: fills its contours to masks."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from totalmap.dicom.fill_contours import Points, filled
from totalmap.dicom.geometry import Plane
from totalmap.dicom.volume import Volume
from totalmap.display_names import in_sentence
from totalmap.environment_variables import processor_threads
from totalmap.errors import OutputError
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import Segmentation
from totalmap.structures import Structure
from totalmap.writers.dicom.read_back_positions import is_placed
from totalmap.writers.rtstruct.contours import positions_lps
from totalmap.writers.rtstruct.header import numbered

# Rounded positions could change few of many voxels; in fact, all masks are exact.
MIN_DICE = 0.999
# With an explicit VR, a decimal string has at most 65,534 bytes (PS3.5 7.1.2). An archive that
# stores longer ones with an explicit VR writes them as unknown (UN), and readers lose the contour.
LONGEST_CONTOUR = 65_532
_IMAGE, _DATA = Tag("ContourImageSequence"), Tag("ContourData")
_NUMBER_OF_POINTS = Tag("NumberOfContourPoints")
# Positions are rounded to a thousandth of a millimetre.
_OFF_PLANE_MM = 0.002


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outlines:
    """All contours of a structure, with the fields of `filled`."""

    points: Points
    ends: NDArray[np.intp]
    slices: NDArray[np.intp]


def compare_rtstruct(
    written: Dataset, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> None:
    """Compares the filled contours with the labels, and their positions with the inference grid.

    Args:
        written: The structure set, as pydicom reads it.
        segmentation: The source of the structure set.
        structures: The expected structures, by ROI Number, from 1.

    Raises:
        OutputError: The mask of a structure differs, a structure has no contours, or a contour
            lies on no source image, or not where the network put the structure.
    """
    voxels = {found.structure.label: found.voxels for found in segmentation.found()}
    missing = dict(numbered(structures))
    # Contours are filled while those of the next structure are read.
    with ThreadPoolExecutor(processor_threads()) as pool:
        compared: list[Future[NDArray[np.intp]]] = []
        for number, outlines in _rois(written, segmentation):
            structure = missing.pop(number, None)
            if structure is None:
                raise OutputError(
                    "the RTSTRUCT has contours of an ROI that is not one of its structures"
                )
            count = voxels[structure.label]
            compared.append(
                pool.submit(_compare_structure, outlines, structure, segmentation.labels, count)
            )
        samples = [pixels.result() for pixels in compared]
    if missing:
        raise OutputError(f"the RTSTRUCT has no contours of {len(missing)} structures")
    _compare_placement(np.concatenate(samples), segmentation)


def _compare_structure(
    outlines: _Outlines, structure: Structure, labels: Labels, voxels: int
) -> NDArray[np.intp]:
    """Compares the filled contours of a structure with its labels; returns some of its pixels.

    Args:
        outlines: The contours.
        structure: The structure.
        labels: (k, j, i).
        voxels: Number of voxels of the structure.

    Raises:
        OutputError: The mask differs, or a contour leaves its image.
    """
    mask, box = _filled(outlines, labels.shape)
    common = int(np.count_nonzero(mask & (labels[box] == structure.label)))
    dice = 2 * common / (int(np.count_nonzero(mask)) + voxels)
    if dice < MIN_DICE:
        raise OutputError(
            f"the contours of the {in_sentence(structure.name)} in the RTSTRUCT differ from "
            f"its labels: Dice {dice:.4f}, at least {MIN_DICE} is required"
        )
    return _outermost(mask, box, structure.label)


def _filled(
    outlines: _Outlines, shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], tuple[slice, ...]]:
    """Returns the mask of a structure in the box around its contours, and this box.

    Raises:
        OutputError: A contour leaves its image.
    """
    i, j = outlines.points.T
    lowest = np.array([outlines.slices.min(), j.min(), i.min()])
    highest = np.array([outlines.slices.max(), j.max(), i.max()])
    # Lines run at most half a pixel outside the centres of the outermost pixels of an image.
    if (lowest <= -1).any() or (highest >= shape).any():
        raise OutputError("a contour of the RTSTRUCT leaves its image")
    low = np.maximum(np.floor(lowest), 0).astype(int)
    high = np.minimum(np.ceil(highest) + 1, shape).astype(int)
    k, rows, columns = (int(size) for size in high - low)
    points = outlines.points - low[[2, 1]]
    mask = filled(points, outlines.ends, outlines.slices - low[0], (k, rows, columns))
    return mask, tuple(map(slice, low, high))


def _outermost(mask: NDArray[np.bool_], box: tuple[slice, ...], label: int) -> NDArray[np.intp]:
    """Returns (n, 4) label, k, j and i of the first and of the last pixel in each slice."""
    flat = mask.reshape(len(mask), -1)
    (k,) = np.nonzero(flat.any(axis=1))
    last = flat.shape[1] - 1 - flat[k, ::-1].argmax(axis=1)
    j, i = np.unravel_index(np.concatenate([flat[k].argmax(axis=1), last]), mask.shape[1:])
    starts = [part.start for part in box]
    ends = np.stack([np.tile(k, 2), j, i], axis=1) + starts
    return np.insert(ends, 0, label, axis=1)


def _compare_placement(samples: NDArray[np.intp], segmentation: Segmentation) -> None:
    """Compares pixels with the labels on the inference grid at their positions.

    Args:
        samples: (n, 4) label, k, j and i of labelled pixels.
        segmentation: The labels.

    Raises:
        OutputError: The network put another label at the position of a pixel.
    """
    samples = samples[np.argsort(samples[:, 1], kind="stable")]
    label, k, j, i = samples.T
    of_slice, first = np.unique(k, return_index=True)
    points = np.split(np.stack([i, j], axis=1), first[1:])
    positions = [
        positions_lps(segmentation.volume.slices[index].plane, of_points)
        for index, of_points in zip(of_slice, points, strict=True)
    ]
    fits = is_placed(np.concatenate(positions), label, segmentation.inference)
    if not fits.all():
        raise OutputError(
            f"{np.count_nonzero(~fits)} of {len(fits)} voxels within contours of the RTSTRUCT lie "
            "where the network put another label, the first of label "
            f"{label[int(np.argmin(fits))]}"
        )


def _rois(written: Dataset, segmentation: Segmentation) -> Iterator[tuple[int, _Outlines]]:
    """Yields the ROI Number and the contours of each ROI, in columns and rows of its slices.

    Raises:
        OutputError: A contour lies on no source image.
    """
    images = _Images(segmentation.volume)
    to_grid = [_ToGrid.of(slice_.plane) for slice_ in segmentation.volume.slices]
    for roi in written.ROIContourSequence:
        slices = [images.slice_of(contour) for contour in roi.ContourSequence]
        points = [
            to_grid[k].points(_positions(contour))
            for k, contour in zip(slices, roi.ContourSequence, strict=True)
        ]
        outlines = _Outlines(
            points=np.concatenate(points),
            ends=np.cumsum([len(of_contour) for of_contour in points]),
            slices=np.array(slices),
        )
        yield int(roi.ReferencedROINumber), outlines


class _Images:
    """Finds the slices that contours lie on.

    There are many contours and few images, so pydicom reads each reference to an image only once.
    """

    def __init__(self, volume: Volume) -> None:
        self._slice_of_key = {slice_.key: k for k, slice_ in enumerate(volume.slices)}
        self._slice_of_item: dict[bytes, int] = {}

    def slice_of(self, contour: Dataset) -> int:
        """Returns the index k of the slice that a contour refers to.

        Raises:
            OutputError: The slice is not one of the volume.
        """
        item: bytes = contour.get_item(_IMAGE).value
        if item not in self._slice_of_item:
            (image,) = contour.ContourImageSequence
            key = str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))
            if key not in self._slice_of_key:
                raise OutputError(
                    "a contour of the RTSTRUCT refers to an image that is not a source"
                )
            self._slice_of_item[item] = self._slice_of_key[key]
        return self._slice_of_item[item]


def _positions(contour: Dataset) -> NDArray[np.float64]:
    """Returns (n, 3) mm without pydicom, which makes an object of each of a million numbers.

    Their number is read without pydicom, too: there are thousands of contours.

    Raises:
        OutputError: The number of points is not the stated one, or the text is too long for an
            explicit VR.
    """
    text = contour.get_item(_DATA).value
    if len(text) > LONGEST_CONTOUR:
        raise OutputError(
            f"a contour of the RTSTRUCT has {len(text)} bytes, more than the {LONGEST_CONTOUR} "
            "that fit an explicit VR"
        )
    positions = np.fromstring(text, sep="\\")
    if len(positions) != 3 * int(contour.get_item(_NUMBER_OF_POINTS).value):
        raise OutputError("a contour of the RTSTRUCT has another number of points than it says")
    return positions.reshape(-1, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ToGrid:
    """Computes column and row of positions on an image.

    Attributes:
        origin: (3,) centre of the first pixel, mm in LPS.
        inverse: (3, 3), maps mm in LPS from the origin to column, row, and mm from the plane.
    """

    origin: NDArray[np.float64]
    inverse: NDArray[np.float64]

    @classmethod
    def of(cls, plane: Plane) -> "_ToGrid":
        rows_mm, columns_mm = plane.pixel_spacing_mm
        row = np.multiply(plane.cosines[:3], columns_mm)
        column = np.multiply(plane.cosines[3:], rows_mm)
        inverse = np.linalg.inv(np.stack([row, column, plane.normal], axis=1))
        return cls(origin=np.asarray(plane.position_mm), inverse=inverse)

    def points(self, positions_mm: NDArray[np.float64]) -> Points:
        """Returns (n, 2) column and row of (n, 3) positions.

        Raises:
            OutputError: A position lies off the plane of the image.
        """
        index = (positions_mm - self.origin) @ self.inverse.T
        if np.abs(index[:, 2]).max() > _OFF_PLANE_MM:
            raise OutputError("a contour of the RTSTRUCT lies off the image that it refers to")
        return index[:, :2]

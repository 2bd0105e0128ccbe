"""Reads an RT Structure Set, fills its contours, and compares the masks with the labels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from totalmap.dicom.geometry import Plane
from totalmap.dicom.volume import Volume
from totalmap.errors import OutputError
from totalmap.segmentation import Segmentation
from totalmap.structures import Structure
from totalmap.writers.rtstruct.contours import Points, positions_lps
from totalmap.writers.rtstruct.filling import filled
from totalmap.writers.rtstruct.header import numbered
from totalmap.writers.seg.placement import is_placed

# What the rounding of positions could cost a mask of many voxels; in fact, all are exact.
MIN_DICE = 0.999
# Positions are rounded to a thousandth of a millimetre.
_OFF_PLANE_MM = 0.002


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outlines:
    """All contours of a structure; see `filled`."""

    points: Points
    ends: NDArray[np.intp]
    slices: NDArray[np.intp]


def check_rtstruct(
    written: Dataset, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> None:
    """Fills the contours of a structure set and compares them with the labels, and their places.

    Raises:
        OutputError: The masks of a structure differ, a structure has no contours, a contour
            lies on no source image, or not where the network put it.
    """
    voxels = {one.structure.label: one.voxels for one in segmentation.found()}
    missing = dict(numbered(structures))
    samples: list[NDArray[np.intp]] = []
    for number, outlines in _rois(written, segmentation):
        structure = missing.pop(number, None)
        if structure is None:
            raise OutputError("the RTSTRUCT has contours of something that is no structure of it")
        mask, box = _filled(outlines, segmentation.labels.shape)
        label = structure.label
        common = int(np.count_nonzero(mask & (segmentation.labels[box] == label)))
        dice = 2 * common / (int(np.count_nonzero(mask)) + voxels[label])
        if dice < MIN_DICE:
            raise OutputError(
                f"the contours of {structure.name} in the RTSTRUCT differ from its labels: "
                f"Dice {dice:.4f}, at least {MIN_DICE} is wanted"
            )
        samples.append(_ends(mask, box, label))
    if missing:
        raise OutputError(f"the RTSTRUCT has no contours of {len(missing)} structures")
    _check_placement(np.concatenate(samples), segmentation)


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
    # Lines run half a pixel around the outermost pixels of an image, and not beside the next ones.
    if (lowest <= -1).any() or (highest >= shape).any():
        raise OutputError("a contour of the RTSTRUCT leaves its image")
    low = np.maximum(np.floor(lowest), 0).astype(int)
    high = np.minimum(np.ceil(highest) + 1, shape).astype(int)
    k, rows, columns = (int(size) for size in high - low)
    points = outlines.points - low[[2, 1]]
    mask = filled(points, outlines.ends, outlines.slices - low[0], (k, rows, columns))
    return mask, tuple(map(slice, low, high))


def _ends(mask: NDArray[np.bool_], box: tuple[slice, ...], label: int) -> NDArray[np.intp]:
    """Returns (n, 4) label, k, j and i of the first and of the last pixel in each slice."""
    flat = mask.reshape(len(mask), -1)
    (k,) = np.nonzero(flat.any(axis=1))
    last = flat.shape[1] - 1 - flat[k, ::-1].argmax(axis=1)
    j, i = np.unravel_index(np.concatenate([flat[k].argmax(axis=1), last]), mask.shape[1:])
    starts = [one.start for one in box]
    ends = np.stack([np.tile(k, 2), j, i], axis=1) + starts
    return np.insert(ends, 0, label, axis=1)


def _check_placement(samples: NDArray[np.intp], segmentation: Segmentation) -> None:
    """Compares pixels with the labels on the inference grid at their positions.

    Raises:
        OutputError: A pixel lies where the network saw something else.
    """
    samples = samples[np.argsort(samples[:, 1], kind="stable")]
    label, k, j, i = samples.T
    of_slice, first = np.unique(k, return_index=True)
    points = np.split(np.stack([i, j], axis=1), first[1:])
    positions = [
        positions_lps(segmentation.volume.slices[one].plane, some)
        for one, some in zip(of_slice, points, strict=True)
    ]
    fits = is_placed(np.concatenate(positions), label, segmentation.inference)
    if not fits.all():
        raise OutputError(
            f"{np.count_nonzero(~fits)} of {len(fits)} voxels within contours of the RTSTRUCT lie "
            "where the network saw something else, the first of label "
            f"{label[int(np.argmin(fits))]}"
        )


def _rois(written: Dataset, segmentation: Segmentation) -> Iterator[tuple[int, _Outlines]]:
    """Yields the ROI Number and the contours of each ROI, on the grid of its slices.

    Raises:
        OutputError: A contour lies on no source image.
    """
    images = _Images(segmentation.volume)
    to_grid = [_ToGrid.of(one.plane) for one in segmentation.volume.slices]
    for roi in written.ROIContourSequence:
        slices = [images.slice_of(contour) for contour in roi.ContourSequence]
        points = [
            to_grid[k].points(_positions(contour))
            for k, contour in zip(slices, roi.ContourSequence, strict=True)
        ]
        outlines = _Outlines(
            points=np.concatenate(points),
            ends=np.cumsum([len(one) for one in points]),
            slices=np.array(slices),
        )
        yield int(roi.ReferencedROINumber), outlines


class _Images:
    """Knows which slices contours lie on.

    There are many contours and few images: what pydicom has read once it need not read again.
    """

    def __init__(self, volume: Volume) -> None:
        self._slice_of_key = {one.key: k for k, one in enumerate(volume.slices)}
        self._slice_of_item: dict[bytes, int] = {}

    def slice_of(self, contour: Dataset) -> int:
        """Returns the slice k that a contour refers to.

        Raises:
            OutputError: It is none of the volume.
        """
        item: bytes = contour.get_item("ContourImageSequence").value
        if item not in self._slice_of_item:
            (image,) = contour.ContourImageSequence
            key = str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))
            if key not in self._slice_of_key:
                raise OutputError("a contour of the RTSTRUCT refers to an image that is no source")
            self._slice_of_item[item] = self._slice_of_key[key]
        return self._slice_of_item[item]


def _positions(contour: Dataset) -> NDArray[np.float64]:
    """Returns (n, 3) mm; pydicom would make an object of each of a million numbers."""
    text = contour.get_item("ContourData").value
    positions = np.fromstring(text, sep="\\")
    if len(positions) != 3 * int(contour.NumberOfContourPoints):
        raise OutputError("a contour of the RTSTRUCT has not as many points as it says")
    return positions.reshape(-1, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ToGrid:
    """Finds column and row of positions on an image.

    Attributes:
        origin: (3,) centre of the first pixel, mm in LPS.
        inverse: (3, 3), maps mm in LPS from the origin to column, row, and mm off the plane.
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

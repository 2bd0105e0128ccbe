"""Turns the instances of a series into voxels in HU with their geometry, or says why not."""

from dataclasses import dataclass

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from totalmap.dicom.geometry import Affine, Geometry, slice_affine, slice_normal
from totalmap.dicom.identity import text
from totalmap.dicom.study import BROKEN_FILE, Instance, Series
from totalmap.errors import IncompleteSeries, UnreadableInstance, UnsupportedGeometry

# Above what writing positions with two decimals can do, far below a missing slice.
POSITION_TOLERANCE_MM = 0.05
# Above what writing cosines with four decimals can do.
COSINE_TOLERANCE = 1e-4

Voxels = NDArray[np.int16] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """The voxels of a series.

    Attributes:
        voxels: (k, j, i) = (slices, rows, columns), HU for CT; int16, or float32 where a
            rescale is fractional or leaves the range of int16.
        geometry: Where the voxels lie, LPS.
        instances: The source of each slice k, in the order of the array.
    """

    voxels: Voxels
    geometry: Geometry
    instances: tuple[Instance, ...]


def build_volume(series: Series) -> Volume:
    """Sorts the slices along their normal, audits them, and decodes their pixels.

    Raises:
        UnsupportedGeometry: Orientation, pixel spacing or matrix differ within the series, or
            the slices are shifted against each other.
        IncompleteSeries: Slices are missing or doubled.
        UnreadableInstance: The pixels of an instance can't be decoded.
    """
    instances = _sorted_slices(series)
    affine = _audited_affine(instances)
    header = instances[0].header
    geometry = Geometry(
        affine_lps=affine, shape=(len(instances), int(header.Rows), int(header.Columns))
    )
    slices = [_decode(instance) for instance in instances]
    return Volume(voxels=_stack(slices), geometry=geometry, instances=instances)


def _sorted_slices(series: Series) -> tuple[Instance, ...]:
    """Returns the instances along the normal, after checking that they share one grid."""
    first = series.instances[0].header
    orientation = np.asarray(first.ImageOrientationPatient, dtype=np.float64)
    for instance in series.instances:
        header = instance.header
        if (header.Rows, header.Columns) != (first.Rows, first.Columns):
            raise UnsupportedGeometry(
                f"series {series.uid}: slices of {header.Rows}x{header.Columns} and of "
                f"{first.Rows}x{first.Columns} pixels"
            )
        other = np.asarray(header.ImageOrientationPatient, dtype=np.float64)
        if np.abs(other - orientation).max() > COSINE_TOLERANCE:
            raise UnsupportedGeometry(f"series {series.uid}: slices of different orientation")
        if header.get("PixelSpacing") != first.get("PixelSpacing"):
            raise UnsupportedGeometry(f"series {series.uid}: slices of different pixel spacing")
        if text(header, "FrameOfReferenceUID") != text(first, "FrameOfReferenceUID"):
            raise UnsupportedGeometry(
                f"series {series.uid}: slices of different frames of reference"
            )
    normal = slice_normal(first.ImageOrientationPatient)
    return tuple(
        sorted(
            series.instances,
            key=lambda instance: (float(normal @ _position(instance)), instance.sop_instance_uid),
        )
    )


def _position(instance: Instance) -> NDArray[np.float64]:
    return np.asarray(instance.header.ImagePositionPatient, dtype=np.float64)


def _audited_affine(instances: tuple[Instance, ...]) -> Affine:
    """Returns the affine of equidistant slices, after checking that they are equidistant."""
    header = instances[0].header
    if not header.get("PixelSpacing"):
        raise UnsupportedGeometry(f"series {header.SeriesInstanceUID}: no Pixel Spacing")
    positions = np.stack([_position(instance) for instance in instances])
    normal = slice_normal(header.ImageOrientationPatient)
    distances = np.diff(positions @ normal)
    _audit_distances(str(header.SeriesInstanceUID), distances)
    step = (positions[-1] - positions[0]) / (len(instances) - 1)
    shift_mm = float(np.linalg.norm(step - normal * (step @ normal))) * (len(instances) - 1)
    expected = positions[0] + np.arange(len(instances))[:, None] * step
    deviation_mm = float(np.abs(positions - expected).max())
    if shift_mm > POSITION_TOLERANCE_MM or deviation_mm > POSITION_TOLERANCE_MM:
        raise UnsupportedGeometry(
            f"series {header.SeriesInstanceUID}: slices are not stacked along their normal "
            f"(gantry tilt or shift of {max(shift_mm, deviation_mm):.2f} mm, at most "
            f"{POSITION_TOLERANCE_MM} mm); tilted series are not supported yet"
        )
    return slice_affine(header.ImageOrientationPatient, header.PixelSpacing, positions[0], step)


def _audit_distances(series_uid: str, distances: NDArray[np.float64]) -> None:
    typical = float(np.median(distances))
    smallest, largest = float(distances.min()), float(distances.max())
    if smallest < POSITION_TOLERANCE_MM:
        doubled = int((distances < POSITION_TOLERANCE_MM).sum())
        raise IncompleteSeries(
            f"series {series_uid}: {doubled} slices lie at the position of another one; "
            "the series holds more than one volume"
        )
    if largest - smallest > 2 * POSITION_TOLERANCE_MM:
        raise IncompleteSeries(
            f"series {series_uid}: distances of slices vary from {smallest:.2f} to "
            f"{largest:.2f} mm "
            f"(typical {typical:.2f} mm, at most {2 * POSITION_TOLERANCE_MM:g} mm of difference): "
            "slices are missing"
        )


def _decode(instance: Instance) -> Voxels:
    """Returns (rows, columns) rescaled values (Modality LUT, PS3.3 C.11.1)."""
    try:
        dataset = pydicom.dcmread(instance.path)
        stored = pixel_array(dataset)
    except (*BROKEN_FILE, OSError) as error:
        raise UnreadableInstance(
            f"pixels of {instance.path.name} can't be decoded ({type(error).__name__}): "
            "the file is damaged or its transfer syntax is not supported"
        ) from error
    if stored.ndim != 2:
        raise UnsupportedGeometry(
            f"{instance.path.name} holds an array of shape {stored.shape}, expected rows x columns"
        )
    return _rescale(stored, dataset)


def _rescale(stored: NDArray[np.generic], dataset: Dataset) -> Voxels:
    slope = float(dataset.get("RescaleSlope", 1.0) or 1.0)
    intercept = float(dataset.get("RescaleIntercept", 0.0) or 0.0)
    if slope.is_integer() and intercept.is_integer():
        whole = stored.astype(np.int64) * int(slope) + int(intercept)
        limits = np.iinfo(np.int16)
        if whole.min() >= limits.min and whole.max() <= limits.max:
            return whole.astype(np.int16)
        return whole.astype(np.float32)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _stack(slices: list[Voxels]) -> Voxels:
    """Returns (k, j, i); int16 if all slices are."""
    common = np.int16 if all(one.dtype == np.int16 for one in slices) else np.float32
    volume: Voxels = np.empty((len(slices), *slices[0].shape), dtype=common)
    for k, one in enumerate(slices):
        volume[k] = one
    return volume

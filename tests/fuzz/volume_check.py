"""Compares a volume with its files, which pydicom reads again; it shares no code with totalmap."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from totalmap.dicom.slices import Slice
from totalmap.dicom.volume import Volume

TOLERANCE_MM = 0.3
# totalmap turns padding above this value into air.
DENSEST_HU = 3071
AIR_HU = -1024
UNDEFINED = b"\xff\xff\xff\xff"


class WrongVolume(AssertionError):
    """A volume differs from its files."""


def check_volume(volume: Volume) -> None:
    """Compares every voxel and the corners of every slice with the source.

    Raises:
        WrongVolume: They differ.
    """
    if len(volume.slices) != len(volume.voxels) or len({s.key for s in volume.slices}) < len(
        volume.slices
    ):
        raise WrongVolume("slices and voxels do not fit together")
    datasets: dict[str, Dataset] = {}
    for k, item in enumerate(volume.slices):
        path = str(item.instance.path)
        if path not in datasets:
            datasets[path] = _read(item.instance.path)
        _check_voxels(volume, k, datasets[path], item)
        _check_corners(volume, k, datasets[path], item)


def _read(path: Path) -> Dataset:
    """Reads a file up to its pixels, and native pixels with them.

    Data behind the pixels and the stated length of the pixels may be wrong.
    """
    with path.open("rb") as file:
        dataset = read_partial(file, stop_when=lambda tag, _, __: tag == Tag("PixelData"))
        at = file.tell()
        head = file.read(12)
        has_vr = head[4:6].isalpha()
        is_encapsulated = (head[8:] if has_vr else head[4:8]) == UNDEFINED
        if is_encapsulated or _syntax(dataset) == DeflatedExplicitVRLittleEndian:
            file.seek(0)
            return read_partial(file, stop_when=lambda tag, _, __: tag > Tag("PixelData"))
        file.seek(at + (12 if has_vr else 8))
        dataset.PixelData = file.read()
        return dataset


def _syntax(dataset: Dataset) -> UID:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    is_known = isinstance(syntax, UID) and syntax.is_transfer_syntax
    return syntax if is_known else ImplicitVRLittleEndian


def _check_voxels(volume: Volume, k: int, dataset: Dataset, item: Slice) -> None:
    stored = _stored(dataset, item.frame.number)
    slope = _number(dataset, item, "RescaleSlope", 1.0)
    intercept = _number(dataset, item, "RescaleIntercept", 0.0)
    expected = _exact(stored * slope + intercept, volume.voxels.dtype)
    wrong = expected != volume.voxels[k]
    if wrong.any() and dataset.Modality == "CT" and "PixelPaddingValue" in dataset:
        ends = _padding(dataset)
        is_padding = (stored >= min(ends)) & (stored <= max(ends))
        wrong &= ~(is_padding & (volume.voxels[k] == AIR_HU))
    if wrong.any():
        raise WrongVolume(f"{np.count_nonzero(wrong)} voxels of slice {k} differ from the file")


def _exact(values: NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    if np.issubdtype(dtype, np.integer) and (values != values.astype(dtype)).any():
        raise WrongVolume(f"the values do not fit into {dtype}")
    return values.astype(dtype)


def _padding(dataset: Dataset) -> tuple[int, int]:
    """Returns the range of padding, which may be written unsigned where the pixels are signed."""
    first = dataset.PixelPaddingValue
    ends = [int(value) for value in (first, dataset.get("PixelPaddingRangeLimit", first))]
    if dataset.PixelRepresentation == 1:
        half = 1 << (dataset.BitsAllocated - 1)
        ends = [(end + half) % (2 * half) - half for end in ends]
    return ends[0], ends[1]


def _stored(dataset: Dataset, number: int) -> NDArray[np.int64]:
    """Returns the stored values of a frame, (rows, columns), from 1."""
    syntax = _syntax(dataset)
    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    if dataset["PixelData"].is_undefined_length:  # compressed, whatever syntax the file names
        coded, _ = get_decoder(syntax).as_array(dataset, index=number - 1, raw=True)
        values = coded.astype(np.int64)
    else:
        order = ">" if dataset.original_encoding == (False, False) else "<"
        size = rows * columns * bits // 8
        content = dataset.PixelData[(number - 1) * size : number * size]
        values = np.frombuffer(content, f"{order}u{bits // 8}").astype(np.int64)
    used = int(dataset.BitsStored)
    values = values.reshape(rows, columns) & ((1 << used) - 1)
    if dataset.PixelRepresentation == 1:
        values -= (values >> (used - 1)) << used
    return values


def _check_corners(volume: Volume, k: int, dataset: Dataset, item: Slice) -> None:
    position = _values(dataset, item, "ImagePositionPatient")
    cosines = _values(dataset, item, "ImageOrientationPatient")
    between_rows, between_columns = _values(dataset, item, "PixelSpacing")
    steps = volume.geometry.slice_steps
    for j in (0, int(dataset.Rows) - 1):
        for i in (0, int(dataset.Columns) - 1):
            true = position + cosines[:3] * between_columns * i + cosines[3:] * between_rows * j
            ours = (volume.geometry.affine_lps @ [i, j, steps[k], 1.0])[:3]
            distance = float(np.linalg.norm(true - ours))
            if not distance <= TOLERANCE_MM:
                raise WrongVolume(f"a corner of slice {k} lies {distance:.2f} mm off")


def _number(dataset: Dataset, item: Slice, keyword: str, default: float) -> float:
    values = _values(dataset, item, keyword)
    return float(values[0]) if len(values) else default


def _values(dataset: Dataset, item: Slice, keyword: str) -> NDArray[np.float64]:
    """Returns an attribute of a frame: its own, the shared, or the file's; empty without any."""
    for place in _places(dataset, item.frame.number):
        value = place.get(keyword)
        if value is not None and value != "":
            return np.atleast_1d(np.asarray(value, dtype=np.float64))
    return np.empty(0)


def _places(dataset: Dataset, number: int) -> Iterator[Dataset]:
    own = _items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = _items(dataset, "SharedFunctionalGroupsSequence")
    for groups in [*own[number - 1 : number], *shared[:1]]:
        for tag in sorted(groups.keys()):
            yield from _items(groups, tag)[:1]
    yield dataset


def _items(dataset: Dataset, key: str | BaseTag) -> list[Dataset]:
    """Returns the items of a sequence; empty if it is no sequence, or can't be read as one."""
    if key not in dataset or dataset.get_item(key).VR not in ("SQ", None):
        return []
    try:
        element = dataset[key]
    except (struct.error, EOFError, OSError):
        return []
    return list(element.value) if element.VR == "SQ" else []

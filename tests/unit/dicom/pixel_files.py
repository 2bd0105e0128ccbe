"""Writes series with given stored values, and reads their voxels."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from tests.fuzz.raw_elements import parse, text
from tests.phantom import SeriesSpec, write_series
from tests.transfer_syntaxes import ALL_SYNTAXES, NATIVE
from totalmap.dicom.pixels import Voxels, decode_slices
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.slices import Slice
from totalmap.dicom.stacks import split_into_stacks
from totalmap.dicom.study import read_study
from totalmap.settings import GeometrySection

SPEC = SeriesSpec(rows=36, columns=40, n_slices=4, pixel_spacing_mm=(10.0, 10.0))
SHAPE = SPEC.shape_kji
COMPRESSED = [syntax for syntax in ALL_SYNTAXES if syntax not in NATIVE]
NAMES = [f"IM{k + 1:04d}.dcm" for k in range(SPEC.n_slices)]
Stored = NDArray[np.integer[Any]]


def keyword(uid: UID) -> str:
    return uid.keyword


def slices_of(folder: Path) -> tuple[Slice, ...]:
    (series,) = read_study(folder).series
    (stack,) = split_into_stacks(series)
    return audit_stack(stack, GeometrySection()).slices


def voxels_of(folder: Path) -> Voxels:
    voxels, undecodable = decode_slices(slices_of(folder))
    assert undecodable == ()
    return voxels


def store(folder: Path, stored: Stored, *, bits: int | None = None, **values: Any) -> Path:
    """Writes a series whose slices hold these stored values, with further attributes."""
    write_series(folder, 1, SPEC)
    for name, slice_values in zip(NAMES, stored, strict=True):
        change(folder / name, **pixel_attributes(slice_values, bits), **values)
    return folder


def pixel_attributes(stored: Stored, bits: int | None) -> dict[str, Any]:
    allocated = stored.itemsize * 8
    return {
        "PixelData": stored.astype(stored.dtype.newbyteorder("<")).tobytes(),
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "BitsAllocated": allocated,
        "BitsStored": bits or allocated,
        "HighBit": (bits or allocated) - 1,
    }


def change(path: Path, **values: Any) -> None:
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


def pattern(dtype: type[np.integer[Any]], low: int, high: int) -> Stored:
    """Slices full of different values, with the lowest and the highest among them."""
    values = np.random.default_rng(3).integers(low, high, SHAPE, endpoint=True)
    values[:, 0, 0], values[:, 0, 1] = low, high
    return values.astype(dtype)


def set_codestream(path: Path, codestream: bytes) -> None:
    change(path, PixelData=encapsulate([codestream]))


def name_syntax(path: Path, syntax: str) -> None:
    """Changes what a file says of its transfer syntax, and nothing else."""
    file = parse(path.read_bytes())
    file.meta = [element for element in file.meta if element.tag != (0x0002, 0x0010)]
    file.meta.append(text("TransferSyntaxUID", syntax))
    file.meta.sort(key=lambda element: element.tag)
    path.write_bytes(file.to_bytes())

"""Tests `tests/transfer_syntaxes.py`, which converts files to other transfer syntaxes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLosslessRPCL,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
)

from tests.phantom import SeriesSpec, write_enhanced, write_series
from tests.transfer_syntaxes import ALL_SYNTAXES, transcode

SPEC = SeriesSpec(rows=40, columns=33, n_slices=3, pixel_spacing_mm=(10.0, 12.0))
KINDS = ("unsigned 12 bits", "signed 12 bits", "signed 16 bits", "multi-frame")

every_syntax = pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=lambda uid: uid.keyword)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("originals")
    unsigned = write_series(folder / "unsigned", 1, SPEC).paths[1]
    multi_frame = write_enhanced(folder / "enhanced", 1, SPEC).paths[0]
    short = make_signed(unsigned, folder / "signed12.dcm", 12)
    long = make_signed(unsigned, folder / "signed16.dcm", 16)
    return dict(zip(KINDS, (unsigned, short, long, multi_frame), strict=True))


def make_signed(source: Path, target: Path, bits: int) -> Path:
    """HU as stored values, with the lowest and the highest number that fit."""
    ds = pydicom.dcmread(source)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    values = (ds.pixel_array.astype(np.int32) - 1024).clip(low, high).astype("<i2")
    values[0, :2] = (low, high)
    ds.PixelData = values.tobytes()
    ds["PixelData"].VR = "OW"
    ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, bits, bits - 1
    ds.save_as(target)
    return target


@every_syntax
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_another_transfer_syntax_has_the_same_pixels_and_attributes(
    originals: dict[str, Path], tmp_path: Path, kind: str, syntax: UID
) -> None:
    path = Path(shutil.copy(originals[kind], tmp_path))
    transcode(path, syntax)
    before, after = pydicom.dcmread(originals[kind]), pydicom.dcmread(path)
    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
    assert np.array_equal(after.pixel_array, before.pixel_array)
    assert after.pixel_array.dtype.kind == before.pixel_array.dtype.kind
    del before.PixelData, after.PixelData
    assert after == before


@every_syntax
def test_a_file_converted_to_another_transfer_syntax_and_back_is_unchanged(
    originals: dict[str, Path], tmp_path: Path, syntax: UID
) -> None:
    original = originals["signed 16 bits"]
    path = Path(shutil.copy(original, tmp_path))
    for step in (ExplicitVRBigEndian, syntax, ExplicitVRLittleEndian):
        transcode(path, step)
    assert pydicom.dcmread(path) == pydicom.dcmread(original)


def test_conversion_of_a_file_to_big_endian_swaps_the_bytes_of_every_number(
    originals: dict[str, Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(originals["unsigned 12 bits"], tmp_path))
    before = pydicom.dcmread(path)
    transcode(path, ExplicitVRBigEndian)
    after = pydicom.dcmread(path)
    assert after.PixelData == before.pixel_array.astype(">u2").tobytes()
    assert path.read_bytes().count(b"\x00\x28\x00\x10US\x00\x02\x00\x28") == 1  # Rows, 40


def test_the_frames_of_a_converted_file_are_encoded_as_its_transfer_syntax_requires(
    originals: dict[str, Path], tmp_path: Path
) -> None:
    marks = {JPEGLosslessSV1: b"\xff\xc3", HTJ2KLosslessRPCL: b"\xff\x55"}  # SOF3, TLM
    for syntax, mark in marks.items():
        path = Path(shutil.copy(originals["multi-frame"], tmp_path))
        transcode(path, syntax)
        frames = list(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=3))
        assert len(frames) == 3
        assert all(mark in frame[:200] for frame in frames)


def test_conversion_to_a_lossy_transfer_syntax_is_refused(
    originals: dict[str, Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(originals["unsigned 12 bits"], tmp_path))
    with pytest.raises(ValueError, match="no encoder"):
        transcode(path, JPEGBaseline8Bit)
    assert path.read_bytes() == originals["unsigned 12 bits"].read_bytes()

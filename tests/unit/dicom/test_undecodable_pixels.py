"""Tests how truncated, damaged and unsupported pixels are reported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from tests.phantom import write_series
from tests.transfer_syntaxes import transcode
from tests.unit.dicom.pixel_files import (
    COMPRESSED,
    NAMES,
    SPEC,
    keyword,
    name_syntax,
    set_codestream,
    slices_of,
)
from totalmap.dicom.pixels import Undecodable, decode_slices
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import build_volume
from totalmap.errors import IncompleteSeries, UnreadableInstance
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection

# RLE does not say how large its image is.
SIZED = [syntax for syntax in COMPRESSED if syntax != RLELossless]


def undecodable_of(folder: Path, hu: NDArray[Any]) -> tuple[Undecodable, ...]:
    """What can't be decoded of a series; the rest has to be right."""
    slices = slices_of(folder)
    voxels, undecodable = decode_slices(slices)
    lost = {failed.slice.key for failed in undecodable}
    assert voxels.shape == hu.shape
    kept = [k for k, item in enumerate(slices) if item.key not in lost]
    np.testing.assert_array_equal(voxels[kept], hu[kept])
    return undecodable


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=keyword)
def test_truncated_native_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, syntax: UID
) -> None:
    write_series(tmp_path, 1, SPEC)
    for path in tmp_path.iterdir():
        transcode(path, syntax)
    broken = tmp_path / NAMES[2]
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(IncompleteSeries, match=r"file 3 .*break off after 2879 of 2880 bytes"):
        slices_of(tmp_path)


@pytest.mark.parametrize("length", [0, 2000, -1])
def test_the_pixels_of_a_file_truncated_after_its_header_was_read_are_undecodable(
    tmp_path: Path, length: int
) -> None:
    hu = write_series(tmp_path, 1, SPEC).hu
    slices, broken = slices_of(tmp_path), tmp_path / NAMES[1]
    broken.write_bytes(broken.read_bytes()[:length])
    voxels, undecodable = decode_slices(slices)
    assert [failed.slice.instance.path for failed in undecodable] == [broken]
    np.testing.assert_array_equal(voxels[[0, 2, 3]], hu[[0, 2, 3]])


def test_the_pixels_of_a_file_deleted_after_its_header_was_read_are_undecodable(
    tmp_path: Path,
) -> None:
    write_series(tmp_path, 1, SPEC)
    slices = slices_of(tmp_path)
    (tmp_path / NAMES[1]).unlink()
    _, (undecodable,) = decode_slices(slices)
    assert (undecodable.slice.instance.path.name, undecodable.error) == (
        NAMES[1],
        "FileNotFoundError",
    )


def compressed(folder: Path, syntax: UID) -> NDArray[Any]:
    hu = write_series(folder, 1, SPEC).hu
    for path in folder.iterdir():
        transcode(path, syntax)
    return hu


def codestream_of(path: Path) -> bytes:
    (codestream,) = generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)
    return codestream


@pytest.mark.parametrize("syntax", COMPRESSED, ids=keyword)
def test_the_pixels_of_a_truncated_codestream_are_undecodable(tmp_path: Path, syntax: UID) -> None:
    hu = compressed(tmp_path, syntax)
    codestream = codestream_of(tmp_path / NAMES[1])
    set_codestream(tmp_path / NAMES[1], codestream[: len(codestream) // 2])
    (undecodable,) = undecodable_of(tmp_path, hu)
    assert undecodable.slice.instance.path.name == NAMES[1]


@pytest.mark.parametrize("syntax", COMPRESSED, ids=keyword)
def test_pixel_bytes_that_are_no_codestream_are_undecodable(tmp_path: Path, syntax: UID) -> None:
    hu = compressed(tmp_path, syntax)
    set_codestream(tmp_path / NAMES[1], bytes(range(256)) * 4)
    (undecodable,) = undecodable_of(tmp_path, hu)
    assert undecodable.slice.instance.path.name == NAMES[1]


@pytest.mark.parametrize("size", [(35, 40), (36, 41), (40, 36), (72, 40), (36, 32)])
@pytest.mark.parametrize("syntax", SIZED, ids=keyword)
def test_the_pixels_of_a_codestream_of_another_size_are_undecodable(
    tmp_path: Path, syntax: UID, size: tuple[int, int]
) -> None:
    hu = compressed(tmp_path / "in", syntax)
    rows, columns = size
    write_series(tmp_path / "other", 1, replace(SPEC, rows=rows, columns=columns))
    transcode(tmp_path / "other" / NAMES[1], syntax)
    set_codestream(tmp_path / "in" / NAMES[1], codestream_of(tmp_path / "other" / NAMES[1]))
    (undecodable,) = undecodable_of(tmp_path / "in", hu)
    assert undecodable.slice.instance.path.name == NAMES[1]


@pytest.mark.parametrize("size", [(35, 40), (36, 32)])
def test_an_rle_segment_of_pixels_that_is_too_short_is_undecodable(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    hu = compressed(tmp_path / "in", RLELossless)
    rows, columns = size
    write_series(tmp_path / "other", 1, replace(SPEC, rows=rows, columns=columns))
    transcode(tmp_path / "other" / NAMES[1], RLELossless)
    set_codestream(tmp_path / "in" / NAMES[1], codestream_of(tmp_path / "other" / NAMES[1]))
    (undecodable,) = undecodable_of(tmp_path / "in", hu)
    assert undecodable.slice.instance.path.name == NAMES[1]


@pytest.mark.parametrize("syntax", COMPRESSED, ids=keyword)
def test_a_damaged_codestream_of_one_slice_does_not_change_other_slices(
    tmp_path: Path, syntax: UID
) -> None:
    # Codestreams have no checksums: damaged ones may well decode, into other values.
    hu = compressed(tmp_path, syntax)
    codestream = codestream_of(tmp_path / NAMES[1])
    slices = slices_of(tmp_path)
    for place in range(0, len(codestream), max(1, len(codestream) // 40)):
        damaged = bytearray(codestream)
        damaged[place : place + 4] = bytes(byte ^ 0xFF for byte in damaged[place : place + 4])
        set_codestream(tmp_path / NAMES[1], bytes(damaged))
        voxels, undecodable = decode_slices(slices)
        assert voxels.shape == hu.shape
        assert {failed.slice.instance.path.name for failed in undecodable} <= {NAMES[1]}
        np.testing.assert_array_equal(voxels[[0, 2, 3]], hu[[0, 2, 3]])


def test_a_damaged_deflated_dicom_file_is_named_in_the_warnings(tmp_path: Path) -> None:
    write_series(tmp_path, 1, SPEC)
    for path in tmp_path.iterdir():
        transcode(path, DeflatedExplicitVRLittleEndian)
    broken = tmp_path / NAMES[1]
    content = broken.read_bytes()
    broken.write_bytes(content[:600] + b"\xff" * 40 + content[640:])
    assert any(warning.startswith("file 2 ") for warning in read_study(tmp_path).warnings)


@pytest.mark.parametrize("syntax", COMPRESSED, ids=keyword)
def test_a_volume_with_undecodable_pixels_is_refused(tmp_path: Path, syntax: UID) -> None:
    compressed(tmp_path, syntax)
    set_codestream(tmp_path / NAMES[1], b"\xff\xd8\x00\x00")
    rule = SelectionRule(min_slices=2, min_coverage_mm=1.0)
    policy = GeometrySection()
    judgement = judge(read_study(tmp_path), SelectionSection(rules=(rule,)), policy)
    (selection,) = selected(judgement)
    with pytest.raises(UnreadableInstance, match=r"file 2 \(…[0-9a-f]{4}\) .1 of 4 slices"):
        build_volume(selection, policy)


# JPEG XL and Deflated Image Frame Compression came in 2024; the third is private to a vendor.
@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.8.1", "1.2.840.113619.5.2"]
)
def test_an_unsupported_transfer_syntax_is_refused_by_name_before_decoding(
    tmp_path: Path, syntax: str
) -> None:
    write_series(tmp_path, 1, SPEC)
    for path in tmp_path.iterdir():
        transcode(path, JPEG2000Lossless)
        name_syntax(path, syntax)
    with pytest.raises(IncompleteSeries, match=rf"transfer syntax {syntax}[^,]*, which is not"):
        slices_of(tmp_path)


def test_float_pixel_data_are_refused_by_name(tmp_path: Path) -> None:
    for path in write_series(tmp_path, 1, SPEC).paths:
        dataset = pydicom.dcmread(path)
        dataset.FloatPixelData = dataset.pixel_array.astype("<f4").tobytes()
        del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
        dataset.BitsAllocated = 32
        dataset.save_as(path)
    with pytest.raises(IncompleteSeries, match="floating-point numbers"):
        slices_of(tmp_path)

import tracemalloc
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from gateway.receive.file_completeness import Wholeness, wholeness
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series, write_study
from tests.transfer_syntaxes import ALL_SYNTAXES, transcode


def what_is(path: Path, content: bytes | None = None) -> Wholeness:
    if content is not None:
        path.write_bytes(content)
    with path.open("rb") as file:
        return wholeness(file)


@pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=lambda uid: uid.keyword)
def test_a_file_is_whole_until_it_is_cut_off(tmp_path: Path, syntax: UID) -> None:
    path = write_series(tmp_path / "in", 1, SeriesSpec(rows=32, columns=32, n_slices=1)).paths[0]
    transcode(path, syntax)
    content = path.read_bytes()
    assert what_is(path) is Wholeness.WHOLE
    # Elements have an even length: an odd cut is never between two.
    for kept in (len(content) - 1, len(content) - 19, len(content) // 2 | 1, 401, 131, 10, 0):
        assert what_is(path, content[:kept]) is Wholeness.CUT_OFF, kept


def test_all_that_a_scanner_sends_is_whole(tmp_path: Path) -> None:
    write_study(tmp_path, 3, size=32, n_slices=4)
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert {what_is(one) for one in files} == {Wholeness.WHOLE}


def test_zeros_at_the_end_are_no_harm(tmp_path: Path, phantom_series: WrittenSeries) -> None:
    content = phantom_series.paths[0].read_bytes()
    for n_bytes in (1, 7, 8, 500):
        assert what_is(tmp_path / "file", content + bytes(n_bytes)) is Wholeness.WHOLE


def test_what_is_not_dicom(tmp_path: Path) -> None:
    assert what_is(tmp_path / "file", b"PK\x03\x04" + bytes(1000)) is Wholeness.NOT_DICOM


def test_a_sequence_without_an_end_is_cut_off(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    dataset = pydicom.dcmread(phantom_series.paths[0])
    del dataset.PixelData
    dataset.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    dataset["SharedFunctionalGroupsSequence"].is_undefined_length = True
    dataset.save_as(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    assert what_is(tmp_path / "file") is Wholeness.WHOLE
    assert what_is(tmp_path / "file", content[:-8]) is Wholeness.CUT_OFF


def test_a_bomb_costs_no_memory(tmp_path: Path, phantom_series: WrittenSeries) -> None:
    """50 MB that are packed into 50 kB, and 50,000 items before the pixels."""
    dataset = pydicom.dcmread(phantom_series.paths[0])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = bytes(50_000_000)
    dataset.save_as(tmp_path / "deflated")
    content = phantom_series.paths[0].read_bytes()
    pixels = content.index(b"\xe0\x7f\x10\x00OW")
    sequence = b"\x09\x00\x10\x10SQ\x00\x00\xff\xff\xff\xff"
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 50_000 + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    many = content[:pixels] + sequence + items + content[pixels:]
    tracemalloc.start()
    assert what_is(tmp_path / "deflated") is Wholeness.WHOLE
    assert what_is(tmp_path / "items", many) is Wholeness.WHOLE
    assert what_is(tmp_path / "items", many[:-1]) is Wholeness.CUT_OFF
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30_000_000

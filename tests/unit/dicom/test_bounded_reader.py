"""Tests that small files which expand to gigabytes or to millions of items are refused early."""

import io
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from tests.conftest import REPOSITORY
from tests.fuzz.raw_elements import parse, text
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap.dicom.bounded_reader import (
    MAX_DEPTH,
    BoundedReader,
    BrokenFile,
    Budget,
    DiskError,
    Encoding,
    Inflated,
    SequenceSkipper,
)
from totalmap.dicom.compressed_images import decode_rle
from totalmap.dicom.file_reader import read_header
from totalmap.dicom.instance import read_instance
from totalmap.dicom.study import read_study
from totalmap.errors import InputError

SMALL = SeriesSpec(rows=16, columns=16, n_slices=8, pixel_spacing_mm=(20.0, 20.0), scanner=None)
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
EXPLICIT = Encoding(is_implicit_vr=False, is_little_endian=True)

# Reads a file as a study, and prints how much that took.
MEASURE = """
import resource, sys, time
from pathlib import Path
from totalmap.dicom.study import read_study
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
study = read_study(Path(sys.argv[1]))
seconds = time.process_time() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{seconds} {(after - before) / 1024} {len(study.series)} {len(study.warnings)}")
"""


def measured(folder: Path) -> tuple[float, float, int, int]:
    """Returns processor seconds, MiB of memory, series and warnings of reading a folder.

    The process runs without measurement of coverage, which slows the reader several times.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS_")}
    process = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, mebibytes, series, warnings = process.stdout.split()[-4:]
    return float(seconds), float(mebibytes), int(series), int(warnings)


def head_of(path: Path, syntax: str) -> bytes:
    """Returns preamble and meta information of a file, with another transfer syntax."""
    file = parse(path.read_bytes())
    file.meta = [element for element in file.meta if element.tag != (0x0002, 0x0010)]
    file.meta.append(text("TransferSyntaxUID", syntax))
    file.meta.sort(key=lambda element: element.tag)
    return file.head()


def deflated(head: bytes, gibibytes: int) -> bytes:
    """Returns a deflated data set that ends with zeros."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (gibibytes * GIBIBYTE // MEBIBYTE) + packer.flush()


@pytest.mark.parametrize("place", ["header", "unwanted sequence", "pixels", "behind the pixels"])
def test_a_deflated_dicom_file_of_three_gibibytes_is_refused_or_not_unpacked(
    tmp_path: Path, place: str
) -> None:
    paths = write_series(tmp_path, 0, SMALL).paths
    content = paths[0].read_bytes()
    body = content[len(head_of(paths[0], ExplicitVRLittleEndian)) :]
    pixels = body.index(b"\xe0\x7f\x10\x00OW")
    long = struct.pack("<L", 3 * GIBIBYTE)
    starts = {
        "header": b"\x09\x00\x01\x10OB\0\0" + long,
        "unwanted sequence": b"\x09\x00\x01\x10SQ\0\0" + UNDEFINED + ITEM + long,
        "pixels": body[:pixels] + b"\xe0\x7f\x10\x00OW\0\0" + long,
        "behind the pixels": body,
    }
    head = head_of(paths[0], DeflatedExplicitVRLittleEndian)
    paths[0].write_bytes(head + deflated(starts[place], 3))
    seconds, mebibytes, series, warnings = measured(tmp_path)
    assert seconds < 2
    assert mebibytes < 200
    assert (series, warnings) == (1, int(place in ("header", "unwanted sequence")))
    if place == "pixels":
        with pytest.raises(InputError, match="its pixels unpack to 3221225472 bytes and not to"):
            volume_of(tmp_path)
    elif place == "behind the pixels":
        assert len(volume_of(tmp_path).voxels) == SMALL.n_slices


def million_items(*, is_defined: bool, tag: bytes) -> bytes:
    """Returns a sequence of a million items."""
    element = b"\x08\x00\x55\x11UI\x04\x001.2\0"
    if is_defined:
        items = (ITEM + struct.pack("<L", len(element)) + element) * 1_000_000
        return tag + b"SQ\0\0" + struct.pack("<L", len(items)) + items
    items = (ITEM + UNDEFINED + element + ITEM_END) * 1_000_000
    return tag + b"SQ\0\0" + UNDEFINED + items + SEQUENCE_END


@pytest.mark.parametrize(
    ("is_defined", "tag", "is_refused"),
    [
        (False, b"\x08\x00\x40\x11", True),  # Referenced Image Sequence, before the UIDs
        (True, b"\x08\x00\x40\x11", False),  # is skipped at once
        (False, b"\x18\x00\x12\x00", True),  # Contrast/Bolus Agent Sequence, which is read
        (True, b"\x18\x00\x12\x00", True),
    ],
)
def test_a_dicom_sequence_of_a_million_items_is_refused_or_skipped_quickly(
    tmp_path: Path, is_defined: bool, tag: bytes, is_refused: bool
) -> None:
    paths = write_series(tmp_path, 0, SMALL).paths
    content = paths[0].read_bytes()
    at = content.index(b"\x10\x00\x10\x00PN" if tag[0] == 8 else b"\x18\x00\x50\x00DS")
    sequence = million_items(is_defined=is_defined, tag=tag)
    paths[0].write_bytes(content[:at] + sequence + content[at:])
    seconds, mebibytes, series, warnings = measured(tmp_path)
    assert seconds < 5
    assert mebibytes < 500
    assert (series, warnings) == (1, int(is_refused))


@pytest.mark.parametrize("is_parsed", [True, False])
def test_dicom_sequences_nested_too_deeply_are_refused(is_parsed: bool) -> None:
    deep = (ITEM + UNDEFINED + b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED) * (MAX_DEPTH + 1)
    skipper = SequenceSkipper(io.BytesIO(deep), EXPLICIT, Budget(), is_parsed)
    with pytest.raises(BrokenFile, match="too deep"):
        skipper.skip(0xFFFFFFFF)


def test_skipping_a_dicom_sequence_stops_after_its_delimiter() -> None:
    inner = b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED + ITEM + UNDEFINED + ITEM_END + SEQUENCE_END
    sequence = ITEM + UNDEFINED + inner + ITEM_END + ITEM + b"\4\0\0\0abcd" + SEQUENCE_END
    file = io.BytesIO(sequence + b"rest")
    budget = Budget()
    SequenceSkipper(file, EXPLICIT, budget, False).skip(0xFFFFFFFF)
    assert file.read() == b"rest"


@pytest.mark.parametrize("end", range(8, 60))
def test_skipping_a_truncated_dicom_sequence_is_an_error(end: int) -> None:
    inner = b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED + ITEM + UNDEFINED + ITEM_END + SEQUENCE_END
    sequence = ITEM + UNDEFINED + inner + ITEM_END + SEQUENCE_END
    file = io.BytesIO(sequence[: min(end, len(sequence) - 1)])
    with pytest.raises(BrokenFile, match="breaks off"):
        SequenceSkipper(file, EXPLICIT, Budget(), False).skip(0xFFFFFFFF)


def test_a_deflated_dicom_data_set_is_not_decompressed_beyond_its_limit() -> None:
    packed = io.BytesIO(deflated(b"abc", 1))
    inflated = Inflated(packed, 10 * MEBIBYTE)
    assert inflated.read(3) == b"abc"
    with pytest.raises(BrokenFile, match="unpacks to more"):
        inflated.read(10 * MEBIBYTE)
    assert packed.tell() < MEBIBYTE


def test_a_disk_error_is_not_reported_as_a_broken_dicom_file() -> None:
    """The memory of a process is a file whose first bytes can't be read."""
    with Path("/proc/self/mem").open("rb") as file:
        with pytest.raises(DiskError, match="Input/output error"):
            BoundedReader(file, 100).read(10)
        with pytest.raises(DiskError):
            read_header(file, [Tag("Modality")])
    with pytest.raises(InputError, match=r"^file 1 can't be read: "):
        read_study(Path("/proc/self/mem"))


def test_an_rle_segment_that_unpacks_to_far_more_than_the_image_is_refused() -> None:
    segment = b"\x81\x00" * 3_000_000
    header = struct.pack("<16L", 2, 64, 64 + len(segment), *([0] * 13))
    with pytest.raises(RuntimeError):
        decode_rle(header + segment + segment, 512, 512, 2)


def test_a_series_that_is_not_chosen_is_never_decoded(tmp_path: Path) -> None:
    write_series(tmp_path / "chosen", 0, SMALL)
    other = replace(SMALL, number=3, kernel="LUNG")
    for path in write_series(tmp_path / "other", 0, other).paths:
        content = path.read_bytes()
        instance = read_instance(path)
        assert instance is not None
        at = content.index(b"\xe0\x7f\x10\x00OW")
        body = content[len(head_of(path, ExplicitVRLittleEndian)) : at]
        bomb = body + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", 16 * 16 * 2)
        path.write_bytes(head_of(path, DeflatedExplicitVRLittleEndian) + deflated(bomb, 1))
    seconds, mebibytes, series, _ = measured(tmp_path)
    assert seconds < 5
    assert mebibytes < 200
    assert series == 2

"""Orthanc takes every object by C-STORE and by STOW-RS, and gives it back as it was."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from tests.servers import Orthanc, require_program, running_orthanc
from totalmap.segmentation import Segmentation
from totalmap.settings import SegTransferSyntax
from totalmap.writers.release import Release, open_release
from totalmap.writers.seg import write_seg
from totalmap.writers.seg_labelmap import write_seg_labelmap
from totalmap.writers.source import write_repaired_source

Write = Callable[[Segmentation, Release], object]

OBJECTS: dict[str, Write] = {
    "SEG native": lambda one, release: write_seg(one, release, SegTransferSyntax.NATIVE),
    "SEG deflated": lambda one, release: write_seg(one, release, SegTransferSyntax.DEFLATED),
    "SEG label map": write_seg_labelmap,
    "source": lambda one, release: write_repaired_source(one.volume, release),
}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    require_program("dcmsend", "dcmtk")
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(params=OBJECTS.values(), ids=OBJECTS)
def paths(
    request: pytest.FixtureRequest, true_segmentation: Segmentation, tmp_path: Path
) -> list[Path]:
    """The files of each kind of object in turn."""
    write: Write = request.param
    with open_release(tmp_path) as release:
        write(true_segmentation, release)
        release.publish({})
    return sorted(tmp_path.rglob("*.dcm"))


def test_what_it_got_by_stow_rs_has_the_same_bytes(orthanc: Orthanc, paths: list[Path]) -> None:
    orthanc.stow(*paths)
    for path in paths:
        uid = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
        assert orthanc.file(uid) == path.read_bytes()
        orthanc.delete(uid)


def test_what_it_got_by_c_store_says_the_same(orthanc: Orthanc, paths: list[Path]) -> None:
    """A C-STORE does not carry the file's own header (PS3.10), so bytes can't be compared."""
    orthanc.store(*paths)
    for path in paths:
        sent = pydicom.dcmread(path)
        given_back = pydicom.dcmread(BytesIO(orthanc.file(sent.SOPInstanceUID)))
        assert given_back == sent
        assert given_back.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        orthanc.delete(sent.SOPInstanceUID)

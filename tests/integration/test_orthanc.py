"""Orthanc stores every object by C-STORE and by STOW-RS, and returns it unchanged."""

import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.orthanc_of_debian_13 import orthanc_of_debian_13
from tests.servers import Orthanc, installed_orthanc, require_program, running_orthanc
from totalmap.result_options import SegTransferSyntax
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.overlay.writer import write_overlay
from totalmap.writers.pdf.writer import write_pdf
from totalmap.writers.preview.writer import write_preview
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.labelmap import write_seg_labelmap
from totalmap.writers.source_with_derived_uids import write_repaired_source
from totalmap.writers.sr.writer import write_sr

BEFORE_META = 128 + 4 + 12  # bytes: preamble, prefix, and the element that holds the length

Write = Callable[[Segmentation, Release], object]

NATIVE = Settings()
DEFLATED = Settings(results=ResultsSection(seg_transfer_syntax=SegTransferSyntax.DEFLATED))
OBJECTS: dict[str, Write] = {
    "SEG native": lambda one, release: write_seg(one, NATIVE, release),
    "SEG deflated": lambda one, release: write_seg(one, DEFLATED, release),
    "SEG label map": lambda one, release: write_seg_labelmap(one, NATIVE, release),
    "SR": lambda one, release: write_sr(one, NATIVE, release),
    "RTSTRUCT": lambda one, release: write_rtstruct(one, NATIVE, release),
    "overlay": lambda one, release: write_overlay(one, NATIVE, release),
    "preview": lambda one, release: write_preview(one, NATIVE, release),
    "PDF": lambda one, release: write_pdf(one, NATIVE, release),
    "source": lambda one, release: write_repaired_source(one.volume, release),
}


VERSIONS = {"installed": installed_orthanc, "of Debian 13": orthanc_of_debian_13}


@pytest.fixture(scope="module", params=VERSIONS)
def orthanc(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orthanc]:
    require_program("dcmsend", "dcmtk")
    program = VERSIONS[request.param]()
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), program=program) as server:
        yield server


@pytest.mark.parametrize("send", [Orthanc.store, Orthanc.stow], ids=["C-STORE", "STOW-RS"])
@pytest.mark.parametrize("write", OBJECTS.values(), ids=OBJECTS)
def test_orthanc_stores_and_returns_every_result_object_unchanged(
    orthanc: Orthanc,
    true_segmentation: Segmentation,
    write: Write,
    send: Callable[..., None],
    tmp_path: Path,
) -> None:
    with open_release(tmp_path) as release:
        write(true_segmentation, release)
        release.publish({})
    paths = sorted(tmp_path.rglob("*.dcm"))
    send(orthanc, *paths)
    for path in paths:
        sent = path.read_bytes()
        meta = file_meta(sent)
        given_back = orthanc.file(meta.MediaStorageSOPInstanceUID)
        orthanc.delete(meta.MediaStorageSOPInstanceUID)
        if meta.TransferSyntaxUID == ImplicitVRLittleEndian and send is Orthanc.store:
            # dcmsend turns an implicit VR into an explicit one where the other side takes both.
            assert pydicom.dcmread(BytesIO(given_back)) == pydicom.dcmread(BytesIO(sent))
            continue
        assert file_meta(given_back).TransferSyntaxUID == meta.TransferSyntaxUID
        assert data_set(given_back) == data_set(sent)


def file_meta(file: bytes) -> FileMetaDataset:
    return pydicom.dcmread(BytesIO(file), stop_before_pixels=True).file_meta


def data_set(file: bytes) -> bytes:
    """Returns what follows the File Meta Information, inflated.

    C-STORE does not carry the File Meta Information (PS3.10 7.1), and dcmtk deflates anew.
    """
    meta = file_meta(file)
    encoded = file[BEFORE_META + meta.FileMetaInformationGroupLength :]
    if meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        return zlib.decompress(encoded, wbits=-zlib.MAX_WBITS)
    return encoded

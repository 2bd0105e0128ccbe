"""Tests sending to peers that take only an explicit VR: structure sets, and pixels in RLE."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
)

from gateway.deliver.send_dicom import send_dicom
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.peers import running_dicom_peer, unchanged
from totalmap.errors import ResourceError
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.overlay.writer import write_overlay


@pytest.fixture
def structure_set(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a structure set with one contour of so many points, with an implicit VR."""

    def write(points: int) -> Path:
        contour, roi, dataset = Dataset(), Dataset(), Dataset()
        contour.ContourData = ["-123.125"] * (3 * points)
        roi.ContourSequence = [contour]
        dataset.ROIContourSequence = [roi]
        dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, "1.2.3"
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        path = tmp_path / f"rtstruct_{points}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


def test_c_store_converts_contours_that_fit_to_the_explicit_vr_of_the_peer(
    structure_set: Callable[[int], Path],
) -> None:
    path = structure_set(2400)
    peers = running_dicom_peer(classes=[RTStructureSetStorage], syntaxes=[ExplicitVRLittleEndian])
    with peers as peer:
        send_dicom(peer.destination(), [path])
        (got,) = peer.datasets()
    assert got == pydicom.dcmread(path)
    assert got.ROIContourSequence[0].ContourSequence[0]["ContourData"].VR == "DS"


def test_c_store_does_not_send_a_contour_too_long_for_the_explicit_vr_of_the_peer(
    structure_set: Callable[[int], Path],
) -> None:
    """It would arrive with the VR UN, and most readers would lose it."""
    path = structure_set(2500)
    for syntaxes in ([ExplicitVRLittleEndian], [ExplicitVRLittleEndian, ImplicitVRLittleEndian]):
        peers = running_dicom_peer(classes=[RTStructureSetStorage], syntaxes=syntaxes)
        with peers as peer:
            if len(syntaxes) == 1:
                with pytest.raises(ResourceError, match="value of ContourData is too long"):
                    send_dicom(peer.destination(), [path])
                assert peer.received == []
            else:
                send_dicom(peer.destination(), [path])
                assert unchanged(peer.received, [path])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_c_store_unpacks_pixels_in_rle_for_a_peer_that_takes_no_compression(
    phantom_series: WrittenSeries, tmp_path: Path, syntax: UID
) -> None:
    packed = pydicom.dcmread(phantom_series.paths[0])
    pixels = packed.pixel_array
    packed.compress(RLELossless, generate_instance_uid=False)
    path = tmp_path / "rle.dcm"
    packed.save_as(path)
    with running_dicom_peer(syntaxes=[syntax]) as peer:
        send_dicom(peer.destination(), [path])
        (got,) = peer.datasets()
    assert got.file_meta.TransferSyntaxUID == syntax
    assert got.SOPInstanceUID == packed.SOPInstanceUID
    assert (got.pixel_array == pixels).all()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_c_store_unpacks_an_overlay_in_rle_for_a_peer_that_takes_no_compression(
    true_segmentation: Segmentation, tmp_path: Path, syntax: UID
) -> None:
    settings = Settings(results=ResultsSection(overlay_every=20))
    with open_release(tmp_path) as release:
        results = write_overlay(true_segmentation, settings, release)
        release.publish({})
    files = [tmp_path / result.path for result in results]
    with running_dicom_peer(classes=[SecondaryCaptureImageStorage], syntaxes=[syntax]) as peer:
        send_dicom(peer.destination(), files)
        for got, path in zip(peer.datasets(), files, strict=True):
            sent = pydicom.dcmread(path)
            assert got.file_meta.TransferSyntaxUID == syntax
            assert got.SOPInstanceUID == sent.SOPInstanceUID
            assert (got.pixel_array == sent.pixel_array).all()

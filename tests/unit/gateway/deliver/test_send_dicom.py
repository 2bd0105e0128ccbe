"""Tests sending by C-STORE to pynetdicom, storescp and Orthanc, and to peers with faults."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from threading import Event

import pydicom
import pytest
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    SegmentationStorage,
)
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.deliver.send_dicom import echo, send_dicom
from gateway.outgoing_association import ReplyQueue, association
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, Orthanc, free_port, require_program, running_orthanc
from tests.transfer_syntaxes import transcode
from tests.unit.gateway.peers import (
    PEER,
    DicomPeer,
    running_dicom_peer,
    unchanged,
)
from tests.unit.gateway.receive.test_tls import Certificates, certificates  # noqa: F401  a fixture
from tests.waiting import WAIT_SECONDS, wait_until
from totalmap.errors import ResourceError

CONTEXT = 1
OUT_OF_RESOURCES, COERCED = 0xA700, 0xB000


# How long pynetdicom waits for an answer where it is not told.
PYNETDICOMS_SECONDS = 30


def answer() -> C_STORE:
    message = C_STORE()
    message.MessageIDBeingRespondedTo = 1
    message.Status = 0x0000
    return message


def request() -> C_ECHO:
    message = C_ECHO()
    message.MessageID = 1
    message.AffectedSOPClassUID = Verification
    return message


def test_the_reply_queue_gives_a_dimse_reply_only_to_a_waiting_thread() -> None:
    messages, expected = ReplyQueue(), (CONTEXT, answer())
    messages.put(expected)
    with pytest.raises(Empty):
        messages.get(block=False)
    assert messages.get(block=True, timeout=0) is expected


def test_the_reply_queue_tells_only_a_waiting_thread_that_its_association_ended() -> None:
    messages = ReplyQueue()
    messages.put((None, None))
    with pytest.raises(Empty):
        messages.get(block=False)
    assert messages.get(block=True, timeout=0) == (None, None)


def test_the_reply_queue_gives_a_request_to_a_thread_that_does_not_wait() -> None:
    messages, expected = ReplyQueue(), (CONTEXT, request())
    messages.put(expected)
    assert messages.get(block=False) is expected
    with pytest.raises(Empty):
        messages.get(block=False)


def test_an_association_gets_its_replies_through_the_reply_queue() -> None:
    with (
        running_dicom_peer(classes=[Verification]) as peer,
        association(peer.destination(), [(Verification, [ImplicitVRLittleEndian])]) as established,
    ):
        assert isinstance(established.dimse.msg_queue, ReplyQueue)
        assert established.send_c_echo().Status == 0x0000


@pytest.fixture
def paths(phantom_series: WrittenSeries) -> list[Path]:
    return list(phantom_series.paths[:3])


@pytest.fixture
def seg(paths: list[Path], tmp_path: Path) -> Path:
    """A deflated object of the class of SEG; what a SEG holds does not matter here."""
    dataset = pydicom.dcmread(paths[0])
    dataset.SOPClassUID = SegmentationStorage
    dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = tmp_path / "seg.dcm"
    dataset.save_as(path)
    return path


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@contextmanager
def running_storescp(folder: Path, *options: str) -> Iterator[DicomPeer]:
    """Yields dcmtk's receiver, which writes what it gets into a folder."""
    port = free_port()
    command = [str(require_program("storescp", "dcmtk")), "--output-directory", str(folder)]
    with subprocess.Popen([*command, "--aetitle", PEER, *options, str(port)]) as process:
        try:
            wait_until(lambda: is_listening(port))
            yield DicomPeer(port=port)
        finally:
            process.kill()


def is_listening(port: int) -> bool:
    with suppress(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port)).close()
        return True
    return False


def test_c_store_delivers_all_files_unchanged_and_in_order(paths: list[Path], seg: Path) -> None:
    with running_dicom_peer() as peer:
        send_dicom(peer.destination(), [seg, *paths])
        assert unchanged(peer.received, [seg, *paths])
        echo(peer.destination())


def test_orthanc_stores_the_files_that_were_sent_by_c_store(
    orthanc: Orthanc, phantom_series: WrittenSeries
) -> None:
    peer = DicomPeer(port=orthanc.dicom_port)
    echo(peer.destination())
    for _ in range(2):  # the same again changes nothing
        send_dicom(peer.destination(), phantom_series.paths[:5])
    for path, uid in zip(phantom_series.paths[:5], phantom_series.sop_uids, strict=False):
        assert unchanged([orthanc.file(uid)], [path])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["+xa"], ExplicitVRLittleEndian),
        (["+xi"], ImplicitVRLittleEndian),
        (["+xe"], ExplicitVRLittleEndian),
    ],
)
def test_storescp_stores_the_files_that_were_sent_by_c_store(
    paths: list[Path], tmp_path: Path, options: list[str], expected: UID
) -> None:
    folder = tmp_path / "received"
    folder.mkdir()
    with running_storescp(folder, *options) as peer:
        send_dicom(peer.destination(), paths)
    received = {path.SOPInstanceUID: path for path in map(pydicom.dcmread, folder.iterdir())}
    assert len(received) == len(paths)
    for path in paths:
        sent = pydicom.dcmread(path)
        got = received[sent.SOPInstanceUID]
        assert got.file_meta.TransferSyntaxUID == expected
        assert got == sent
        assert (got.pixel_array == sent.pixel_array).all()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_c_store_converts_files_to_the_only_transfer_syntax_that_the_peer_takes(
    paths: list[Path], seg: Path, syntax: UID
) -> None:
    """Also what is deflated."""
    with running_dicom_peer(syntaxes=[syntax]) as peer:
        send_dicom(peer.destination(), [*paths, seg])
        for got, path in zip(peer.datasets(), [*paths, seg], strict=True):
            assert got.file_meta.TransferSyntaxUID == syntax
            sent = pydicom.dcmread(path)
            assert got == sent
            assert (got.pixel_array == sent.pixel_array).all()


def test_c_store_sends_compressed_pixels_unchanged_or_not_at_all(
    paths: list[Path], tmp_path: Path
) -> None:
    compressed = tmp_path / "compressed.dcm"
    compressed.write_bytes(paths[0].read_bytes())
    transcode(compressed, JPEG2000Lossless)
    with running_dicom_peer() as peer:
        send_dicom(peer.destination(), [compressed])
        assert unchanged(peer.received, [compressed])
    with (
        running_dicom_peer(syntaxes=[ExplicitVRLittleEndian]) as peer,
        pytest.raises(ResourceError, match="PACS does not take CT Image Storage as JPEG 2000"),
    ):
        send_dicom(peer.destination(), [compressed])


def test_a_c_store_delivery_names_a_sop_class_that_the_peer_does_not_take(
    paths: list[Path], seg: Path
) -> None:
    with running_dicom_peer(classes=[CTImageStorage]) as peer:
        with pytest.raises(ResourceError, match="PACS does not take objects of Segmentation"):
            send_dicom(peer.destination(), [*paths, seg])
        assert len(peer.received) == len(paths)


def test_a_c_store_peer_without_space_ends_the_delivery_with_its_status(paths: list[Path]) -> None:
    def answer(_event: evt.Event, number: int) -> int:
        return OUT_OF_RESOURCES if number == 2 else 0x0000

    with running_dicom_peer(answer) as peer:
        with pytest.raises(ResourceError, match="answers to CT Image Storage with status 0xA700"):
            send_dicom(peer.destination(), paths)
        assert len(peer.received) == 2


def test_a_warning_status_of_a_c_store_peer_counts_as_success(paths: list[Path]) -> None:
    with running_dicom_peer(lambda *_: COERCED) as peer:
        send_dicom(peer.destination(), paths)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0xFE00])
def test_every_other_status_of_a_c_store_peer_counts_as_a_failure(
    paths: list[Path], status: int
) -> None:
    with (
        running_dicom_peer(lambda *_: status) as peer,
        pytest.raises(ResourceError, match=f"status 0x{status:04X}"),
    ):
        send_dicom(peer.destination(), paths)


def test_a_c_store_peer_that_aborts_the_association_fails_the_delivery(paths: list[Path]) -> None:
    def answer(event: evt.Event, number: int) -> int:
        if number == 1:
            event.assoc.abort()
        return 0x0000

    with (
        running_dicom_peer(answer) as peer,
        pytest.raises(ResourceError, match="did not answer, or ended the association"),
    ):
        send_dicom(peer.destination(), paths)


def test_a_c_store_peer_that_does_not_answer_in_time_fails_the_delivery(paths: list[Path]) -> None:
    go_on = Event()

    def answer(_event: evt.Event, _number: int) -> int:
        go_on.wait(WAIT_SECONDS)
        return 0x0000

    with running_dicom_peer(answer) as peer:
        try:
            with pytest.raises(ResourceError, match="did not answer, or ended"):
                send_dicom(peer.destination(connect_seconds=0.5), paths)
        finally:
            go_on.set()


def test_a_server_that_is_no_dicom_node_fails_a_c_store_delivery_in_time(paths: list[Path]) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        peer = DicomPeer(port=silent.getsockname()[1])
        took = []
        for _ in range(5):
            started = time.monotonic()
            with pytest.raises(ResourceError, match="can't be reached, or does not answer as a DI"):
                send_dicom(peer.destination(connect_seconds=0.5), paths)
            took.append(time.monotonic() - started)
            if took[-1] < PYNETDICOMS_SECONDS:
                break
        # A busy machine is slow sometimes; a time-out that is not ours shows every time.
        assert min(took) < PYNETDICOMS_SECONDS


def test_a_c_store_delivery_names_a_port_without_a_listener_in_its_error(paths: list[Path]) -> None:
    port = free_port()
    nobody = DicomPeer(port=port).destination()
    said = f"^PACS at {LOOPBACK}:{port} can't be reached"
    with pytest.raises(ResourceError, match=said):
        send_dicom(nobody, paths)
    with pytest.raises(ResourceError, match=said):
        echo(nobody)


def test_a_c_store_peer_with_another_ae_title_rejects_the_association(paths: list[Path]) -> None:
    with (
        running_dicom_peer(require_called=True) as peer,
        pytest.raises(ResourceError, match="rejects the association: Called AE title not recog"),
    ):
        send_dicom(peer.destination(ae_title="OTHER"), paths)


def test_c_store_sends_nothing_if_one_of_the_files_is_missing(
    paths: list[Path], tmp_path: Path
) -> None:
    with running_dicom_peer() as peer:
        with pytest.raises(FileNotFoundError):
            send_dicom(peer.destination(), [*paths, tmp_path / "gone.dcm"])
        assert not peer.received


def encrypted(certificates: Certificates) -> ssl.SSLContext:  # noqa: F811  the fixture
    """Returns the context of a peer that wants to see a certificate of the hospital."""
    key, certificate = certificates.gateway
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.ca)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_c_store_sends_files_over_tls_with_certificates_on_both_sides(
    paths: list[Path],
    certificates: Certificates,  # noqa: F811  the fixture
) -> None:
    key, certificate = certificates.scanner
    with running_dicom_peer(tls=encrypted(certificates)) as peer:
        at = peer.destination(ca_file=certificates.ca, certificate_file=certificate, key_file=key)
        send_dicom(at, paths)
        echo(at)
        assert unchanged(peer.received, paths)


def test_c_store_over_tls_refuses_a_certificate_of_a_foreign_authority_on_both_sides(
    paths: list[Path],
    certificates: Certificates,  # noqa: F811  the fixture
) -> None:
    key, certificate = certificates.stranger
    with running_dicom_peer(tls=encrypted(certificates)) as peer:
        for wrong in (
            {"ca_file": certificate},
            {"ca_file": certificates.ca},
            {"ca_file": certificates.ca, "certificate_file": certificate, "key_file": key},
            {},
        ):
            with pytest.raises(ResourceError, match="can't be reached, or does not answer"):
                send_dicom(peer.destination(connect_seconds=0.5, **wrong), paths)
        assert not peer.received


def test_a_c_store_delivery_names_a_missing_certificate_file_in_its_error(
    paths: list[Path], tmp_path: Path
) -> None:
    at = DicomPeer(port=free_port()).destination(ca_file=tmp_path / "gone.pem")
    with pytest.raises(ResourceError, match=r"the certificates for PACS at .*: .*No such file"):
        send_dicom(at, paths)


def test_connect_seconds_limits_each_answer_and_not_the_whole_c_store_delivery(
    paths: list[Path],
) -> None:
    """`connect_seconds` is for each answer, not for all: three take longer than it."""

    def answer(_event: evt.Event, _number: int) -> int:
        Event().wait(seconds * 0.375)
        return 0x0000

    # A busy machine may add to the time of an answer, and then proves nothing.
    for seconds in (2.0, 8.0, 32.0):
        with running_dicom_peer(answer) as peer, suppress(ResourceError):
            send_dicom(peer.destination(connect_seconds=seconds), paths)
            assert len(peer.received) == len(paths)
            return
    pytest.fail("the time for an answer was not enough for each of three")


def test_a_c_store_peer_that_takes_none_of_the_files_is_named(paths: list[Path]) -> None:
    with running_dicom_peer(classes=[SegmentationStorage]) as peer:
        with pytest.raises(ResourceError, match=f"^PACS at {LOOPBACK}:{peer.port} "):
            send_dicom(peer.destination(), paths)
        assert not peer.received

import base64
import hashlib
import json
import socket
import ssl
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pydicom
import pytest

from gateway.deliver.send_stow import search, send_stow
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, Orthanc, free_port, running_orthanc
from tests.unit.gateway.peers import (
    Answer,
    HttpPeer,
    ok,
    parts,
    running_http_peer,
)
from tests.unit.gateway.receive.test_tls import Certificates, certificates  # noqa: F401  a fixture
from totalmap.errors import ResourceError

LARGE_BYTES = 200_000_000
FAILED = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA700]}}]}}
FAILED_XML = '<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"/></NativeDicomModel>'
WARNED = {"00081199": {"vr": "SQ", "Value": [{"00081196": {"vr": "US", "Value": [0xB000]}}]}}


@pytest.fixture
def paths(phantom_series: WrittenSeries) -> list[Path]:
    return list(phantom_series.paths[:3])


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


def answering(status: int, content: object, content_type: str = "application/dicom+json") -> Answer:
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda _request: (status, content_type, text.encode())


def test_orthanc_stores_the_files_that_were_sent_by_stow(
    orthanc: Orthanc, phantom_series: WrittenSeries
) -> None:
    at = HttpPeer(port=orthanc.http_port).destination()
    search(at, {"limit": "1"})
    for _ in range(2):  # the same again changes nothing
        send_stow(at, phantom_series.paths)
    for path, uid in zip(phantom_series.paths, phantom_series.sop_uids, strict=True):
        assert orthanc.file(uid) == path.read_bytes()


def test_a_broken_file_that_orthanc_refuses_fails_the_stow_delivery(
    orthanc: Orthanc, paths: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    with pytest.raises(ResourceError, match="answers with HTTP 400"):
        send_stow(HttpPeer(port=orthanc.http_port).destination(), [paths[0], broken])


def test_one_stow_request_carries_all_files_unchanged(paths: list[Path]) -> None:
    with running_http_peer() as peer:
        send_stow(peer.destination(), paths)
    (body,), (headers,) = peer.bodies, peer.headers
    assert headers["path"] == "/dicom-web/studies"
    assert headers["Accept"] == "application/dicom+json"
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"; ')
    assert parts(body, headers["Content-Type"]) == [path.read_bytes() for path in paths]


def test_a_stow_delivery_streams_a_large_file_from_the_disk(tmp_path: Path) -> None:
    large = tmp_path / "large.dcm"
    with large.open("wb") as file:
        file.truncate(LARGE_BYTES)
    with running_http_peer(is_kept=False) as peer:
        tracemalloc.start()
        send_stow(peer.destination(), [large])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < LARGE_BYTES / 10
    (headers,) = peer.headers
    boundary = headers["Content-Type"].partition("boundary=")[2]
    expected = hashlib.sha256(
        f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        + bytes(LARGE_BYTES)
        + f"\r\n--{boundary}--\r\n".encode()
    )
    assert peer.digests == [expected.hexdigest()]


@pytest.mark.parametrize(
    ("answer", "is_taken"),
    [
        (answering(200, {}), True),
        (answering(200, []), True),
        (answering(200, "", "text/plain"), True),
        (answering(200, "stored", "text/plain"), True),
        (answering(200, {"00081198": {"vr": "SQ"}}), True),
        (answering(200, {"00081198": {"vr": "SQ", "Value": None}}), True),
        (answering(202, WARNED), True),
        (answering(202, FAILED), False),
        (answering(202, [WARNED, FAILED]), False),
        (answering(200, FAILED), False),
        (answering(200, FAILED_XML, "application/dicom+xml"), False),
        (answering(202, FAILED_XML, "application/dicom+xml"), False),
        (answering(202, "", "text/plain"), False),
        (answering(200, ["text", 3]), True),
    ],
)
def test_failed_objects_in_the_answer_fail_the_stow_delivery(
    paths: list[Path], answer: Answer, is_taken: bool
) -> None:
    with running_http_peer(answer) as peer:
        if is_taken:
            send_stow(peer.destination(), paths)
        else:
            with pytest.raises(ResourceError, match="did not take all of 3 objects"):
                send_stow(peer.destination(), paths)


@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 404, 409, 413, 500, 503])
def test_another_http_status_is_the_reason_of_the_failed_stow_delivery(
    paths: list[Path], status: int
) -> None:
    with (
        running_http_peer(answering(status, "")) as peer,
        pytest.raises(ResourceError, match=f"dicom-web answers with HTTP {status}$"),
    ):
        send_stow(peer.destination(), paths)


def test_a_wrong_url_fails_a_stow_delivery_with_http_404(
    orthanc: Orthanc, paths: list[Path]
) -> None:
    elsewhere = HttpPeer(port=orthanc.http_port).destination("/no-web")
    with pytest.raises(ResourceError, match="HTTP 404"):
        send_stow(elsewhere, paths)
    with pytest.raises(ResourceError, match="HTTP 404"):
        search(elsewhere, {"limit": "1"})


def guarded(expected: str) -> Answer:
    """Answers those who show what they have to."""

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str, bytes]:
        is_right = request.headers.get("Authorization") == expected
        return ok(request) if is_right else (401, "text/plain", b"")

    return answer


@pytest.mark.parametrize(("password", "is_right"), [("secret", True), ("wrong", False)])
def test_a_stow_delivery_sends_user_and_password_and_never_repeats_them_in_errors(
    paths: list[Path], tmp_path: Path, password: str, is_right: bool
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{password}\nanother line\n")
    expected = "Basic " + base64.b64encode(b"anna:secret").decode()
    with running_http_peer(guarded(expected)) as peer:
        at = peer.destination(user="anna", password_file=file)
        if is_right:
            send_stow(at, paths)
            search(at, {"limit": "1"})
        else:
            with pytest.raises(ResourceError, match="HTTP 401") as raised:
                send_stow(at, paths)
            assert password not in str(raised.value)


def test_a_stow_delivery_sends_the_token_as_a_bearer_token(
    paths: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("abc.def\n")
    with running_http_peer(guarded("Bearer abc.def")) as peer:
        send_stow(peer.destination(token_file=file), paths)
        with pytest.raises(ResourceError, match="HTTP 401"):
            send_stow(peer.destination(), paths)


def test_a_missing_password_file_fails_the_stow_delivery(paths: list[Path], tmp_path: Path) -> None:
    with (
        running_http_peer() as peer,
        pytest.raises(ResourceError, match=r"credentials for .*can't be read: .*No such file"),
    ):
        send_stow(peer.destination(user="anna", password_file=tmp_path / "gone"), paths)


def test_errors_of_a_stow_delivery_do_not_repeat_a_password_in_the_url(paths: list[Path]) -> None:
    at = HttpPeer(port=free_port()).destination()
    url = str(at.url).replace("://", "://anna:secret@")
    with pytest.raises(ResourceError, match=LOOPBACK) as raised:
        send_stow(at.model_copy(update={"url": type(at.url)(url)}), paths)
    assert "secret" not in str(raised.value)


def test_a_server_that_closes_the_connection_early_fails_the_stow_delivery(
    paths: list[Path],
) -> None:
    with (
        running_http_peer(read_bytes=1000) as peer,
        pytest.raises(ResourceError, match=f"http://{LOOPBACK}:{peer.port}/dicom-web: "),
    ):
        send_stow(peer.destination(), paths * 50)


def test_a_server_that_does_not_answer_in_time_fails_the_stow_delivery(paths: list[Path]) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        at = HttpPeer(port=silent.getsockname()[1]).destination(connect_seconds=0.2)
        with pytest.raises(ResourceError, match="timed out"):
            send_stow(at, paths)
        with pytest.raises(ResourceError, match="timed out"):
            search(at, {"limit": "1"})


def test_a_port_without_a_listener_fails_the_stow_delivery(paths: list[Path]) -> None:
    nobody = HttpPeer(port=free_port()).destination()
    with pytest.raises(ResourceError, match="Connection refused"):
        send_stow(nobody, paths)


def test_a_missing_result_file_fails_the_stow_delivery(paths: list[Path], tmp_path: Path) -> None:
    with (
        running_http_peer() as peer,
        pytest.raises(ResourceError, match="a result can't be read: No such file"),
    ):
        send_stow(peer.destination(), [*paths, tmp_path / "gone.dcm"])


def test_a_stow_destination_needs_a_certificate_of_a_trusted_authority(
    paths: list[Path],
    certificates: Certificates,  # noqa: F811  the fixture
) -> None:
    key, certificate = certificates.gateway
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with running_http_peer(tls=context) as peer:
        send_stow(peer.destination(ca_file=certificates.ca), paths)
        assert len(peer.bodies) == 1
        for wrong in (None, certificates.stranger[1]):
            with pytest.raises(ResourceError, match="CERTIFICATE_VERIFY_FAILED"):
                send_stow(peer.destination(ca_file=wrong), paths)
        assert len(peer.bodies) == 1
    assert pydicom.dcmread(paths[0]).SOPInstanceUID.encode() in peer.bodies[0]

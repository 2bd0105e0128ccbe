"""DICOM nodes and HTTP servers that receive results, and record what they received."""

import hashlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    SegmentationStorage,
)
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.config import DicomDestination, StowDestination
from tests.servers import LOOPBACK
from tests.serving import serving, serving_dicom
from tests.waiting import WAIT_SECONDS

PEER = "PACS"
CHUNK_BYTES = 1 << 16
CLASSES = (CTImageStorage, SegmentationStorage)
SYNTAXES = (
    JPEG2000Lossless,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomPeer:
    """A DICOM node of a test; `received` are whole files."""

    port: int
    received: list[bytes] = field(default_factory=list)

    def destination(self, **more: object) -> DicomDestination:
        return DicomDestination.model_validate(
            {
                "ae_title": PEER,
                "address": LOOPBACK,
                "port": self.port,
                "connect_seconds": WAIT_SECONDS,
                **more,
            }
        )

    def datasets(self) -> list[Dataset]:
        """Returns what it got."""
        return [pydicom.dcmread(pydicom.filebase.DicomBytesIO(item)) for item in self.received]


@contextmanager
def running_dicom_peer(
    answer: Callable[[evt.Event, int], int] = lambda _event, _number: 0x0000,
    *,
    classes: Sequence[UID] = CLASSES,
    syntaxes: Sequence[UID] = SYNTAXES,
    require_called: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Iterator[DicomPeer]:
    """Yields a node that listens.

    Args:
        answer: Takes the event and how many came before it; returns the status of C-STORE.
        classes: SOP classes that it takes.
        syntaxes: Transfer syntaxes that it takes.
        require_called: Whether it wants to be called by its AE title.
        tls: How it encrypts.
    """
    entity = AE(PEER)
    entity.require_called_aet = require_called
    entity.add_supported_context(Verification)
    for sop_class in classes:
        entity.add_supported_context(sop_class, list(syntaxes))
    received: list[bytes] = []

    def store(event: evt.Event) -> int:
        status = answer(event, len(received))
        if status == 0x0000:
            received.append(event.encoded_dataset())
        return status

    # A receiver of ours in the same process has all SCPs write into files.
    before = _config.STORE_RECV_CHUNKED_DATASET
    _config.STORE_RECV_CHUNKED_DATASET = False
    try:
        with serving_dicom(entity, handlers=[(evt.EVT_C_STORE, store)], tls=tls) as port:
            yield DicomPeer(port=port, received=received)
    finally:
        _config.STORE_RECV_CHUNKED_DATASET = before


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPeer:
    """A web server of a test; it keeps the bodies of requests, or their SHA-256."""

    port: int
    scheme: str = "http"
    bodies: list[bytes] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def destination(self, path: str = "/dicom-web/", **more: object) -> StowDestination:
        return StowDestination.model_validate(
            {
                "url": f"{self.scheme}://{LOOPBACK}:{self.port}{path}",
                "connect_seconds": WAIT_SECONDS,
                **more,
            }
        )


Answer = Callable[[BaseHTTPRequestHandler], tuple[int, str, bytes]]


def ok(_request: BaseHTTPRequestHandler) -> tuple[int, str, bytes]:
    """An answer that takes everything."""
    return 200, "application/dicom+json", b"{}"


@contextmanager
def running_http_peer(
    answer: Answer = ok,
    *,
    read_bytes: int | None = None,
    is_kept: bool = True,
    tls: ssl.SSLContext | None = None,
) -> Iterator[HttpPeer]:
    """Yields a web server.

    Args:
        answer: Returns status, content type and content.
        read_bytes: Hangs up after so many of a request; None: it reads them all.
        is_kept: Whether it keeps what it reads.
        tls: How it encrypts.
    """
    server = _HttpServer(answer, read_bytes, is_kept)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield HttpPeer(
            port=server.server_address[1],
            scheme="http" if tls is None else "https",
            bodies=server.bodies,
            digests=server.digests,
            headers=server.headers,
        )


class _HttpServer(ThreadingHTTPServer):
    """Keeps what it receives; the arguments are those of `running_http_peer`."""

    def __init__(self, answer: Answer, read_bytes: int | None, is_kept: bool) -> None:
        super().__init__((LOOPBACK, 0), _HttpHandler)
        self.answer, self.read_bytes, self.is_kept = answer, read_bytes, is_kept
        self.bodies: list[bytes] = []
        self.digests: list[str] = []
        self.headers: list[dict[str, str]] = []


class _HttpHandler(BaseHTTPRequestHandler):
    server: _HttpServer

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.headers.append({"path": self.path, **dict(self.headers)})
        if self.server.read_bytes is not None:
            self.rfile.read(self.server.read_bytes)
            self.close_connection = True
            return
        if self.server.is_kept:
            self.server.bodies.append(self.rfile.read(length))
        else:
            self.server.digests.append(self.digest(length))
        self.do_GET()

    def digest(self, length: int) -> str:
        digest = hashlib.sha256()
        while length:
            chunk = self.rfile.read(min(length, CHUNK_BYTES))
            assert chunk, "the request ends too early"
            digest.update(chunk)
            length -= len(chunk)
        return digest.hexdigest()

    def do_GET(self) -> None:
        status, content_type, content = self.server.answer(self)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_OPTIONS(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def parts(body: bytes, content_type: str) -> list[bytes]:
    """Returns the files of a multipart body (RFC 2046 5.1.1)."""
    boundary = content_type.partition("boundary=")[2].encode()
    preamble, *found, epilogue = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert preamble.strip() == b""
    assert epilogue == b"--\r\n"
    files = []
    for item in found:
        head, _, content = item.partition(b"\r\n\r\n")
        assert head.strip() == b"Content-Type: application/dicom"
        files.append(content)
    return files


def unchanged(received: Sequence[bytes], paths: Sequence[Path]) -> bool:
    """Returns whether files came as they were, apart from what a sender says of itself."""
    got = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(item)) for item in received]
    sent = [pydicom.dcmread(path) for path in paths]
    return got == sent and all(
        one.file_meta.TransferSyntaxUID == other.file_meta.TransferSyntaxUID
        for one, other in zip(got, sent, strict=True)
    )

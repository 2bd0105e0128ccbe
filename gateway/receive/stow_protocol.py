"""Reads Store requests of STOW-RS (PS3.18 10.5) chunk by chunk, and writes their responses."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from gateway.receive.free_space import FreeSpace
from gateway.receive.multipart import MAX_BOUNDARY_CHARACTERS, MalformedMultipart, Mark, Multipart
from gateway.store.file_storage import Storage
from totalmap.errors import InputError, ResourceError

# A whole-body CT has some thousands of instances.
MAX_PARTS = 50_000
BYTES_PER_MB = 1_000_000
# PS3.18 I.2.2
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
RETRY_SECONDS = 10


class TooLarge(InputError):
    """A request is larger than allowed."""

    def __init__(self, limit_mb: float) -> None:
        super().__init__(f"a request has at most {limit_mb:g} MB (receive.stow.max_request_mb)")


def boundary_of(request: Request) -> str:
    """Returns the boundary between the parts of a request (PS3.18 8.7.1, RFC 2387)."""
    media_type, options = parse_options_header(request.headers.get("content-type"))
    part_type = options.get(b"type", b"application/dicom").lower()
    encoding = request.headers.get("content-encoding", "identity")
    if media_type != b"multipart/related" or part_type != b"application/dicom":
        raise HTTPException(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            'only multipart/related; type="application/dicom" is taken',
        )
    if encoding != "identity":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no Content-Encoding is taken")
    boundary = options.get(b"boundary", b"").decode("latin-1")
    if not 0 < len(boundary) <= MAX_BOUNDARY_CHARACTERS or not boundary.isascii():
        raise HTTPException(
            HTTPStatus.BAD_REQUEST,
            f"the boundary has {len(boundary)} characters, 1 to {MAX_BOUNDARY_CHARACTERS} of ASCII "
            "are allowed",
        )
    return boundary


async def chunks_of(request: Request, max_mb: float, idle_seconds: float) -> AsyncIterator[bytes]:
    """Yields the body of a request as it is received.

    Raises:
        TooLarge: It is larger than allowed, or announces that it will be.
        TimeoutError: It was silent for too long.
    """
    limit = max_mb * BYTES_PER_MB
    announced = request.headers.get("content-length", "0")
    if int(announced) > limit:
        raise TooLarge(max_mb)
    stream, n_bytes = request.stream(), 0
    while True:
        async with asyncio.timeout(idle_seconds):
            chunk = await anext(stream, None)
        if chunk is None:
            return
        n_bytes += len(chunk)
        if n_bytes > limit:
            raise TooLarge(max_mb)
        yield chunk


class PartWriter:
    """Writes each part of a request into a file, as it is received."""

    def __init__(self, storage: Storage, free_space: FreeSpace, multipart: Multipart) -> None:
        self._storage = storage
        self._free_space = free_space
        self._multipart = multipart
        self._parts = 0
        self._file: BinaryIO | None = None
        self._paths: list[Path] = []

    def feed(self, chunk: bytes) -> Sequence[Path]:
        """Writes received data; returns the files that are complete with it.

        Raises:
            MalformedMultipart: It is not multipart, or has too many parts.
            ResourceError: There is too little space, or the disk fails.
        """
        self._free_space.require(len(chunk))
        n_complete = 0
        try:
            for event in self._multipart.feed(chunk):
                if event is Mark.BEGIN:
                    self._begin()
                elif event is Mark.END:
                    self._end()
                    n_complete += 1
                elif self._file is not None:
                    self._file.write(event)
        except OSError as error:
            raise ResourceError(f"a request can't be stored: {error.strerror}") from error
        complete, self._paths = self._paths[:n_complete], self._paths[n_complete:]
        return complete

    def require_whole(self) -> None:
        """Raises MalformedMultipart where the last boundary, or any part, is missing."""
        if not self._multipart.is_whole or not self._parts:
            raise MalformedMultipart("the request has no part, or its last boundary is missing")

    def close(self) -> None:
        """Removes incomplete files."""
        self._end()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedMultipart(f"a request has at most {MAX_PARTS} parts")
        self._paths.append(self._storage.new_file())
        self._file = self._paths[-1].open("xb")

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """The outcome of a part; without UIDs if they are not known."""

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    failure: int | None = None


def answer_to(outcomes: Sequence[PartOutcome]) -> Response:
    """Returns the Store Instances Response Module (PS3.18 I.2) and its status (10.5.3.1)."""
    stored = [outcome for outcome in outcomes if outcome.failure is None]
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    answer = Dataset()
    if stored:
        answer.ReferencedSOPSequence = [_item(item) for item in stored]
    if known := [_item(item) for item in failed if item.sop_instance_uid]:
        answer.FailedSOPSequence = known
    if unknown := [_item(item) for item in failed if not item.sop_instance_uid]:
        answer.OtherFailuresSequence = unknown
    status = HTTPStatus.OK if stored else HTTPStatus.CONFLICT
    if stored and failed:
        status = HTTPStatus.ACCEPTED
    return JSONResponse(answer.to_json_dict(), status, media_type="application/dicom+json")


def refusal_after(error: BaseException) -> HTTPException | None:
    """Returns the response to a request that can't be received; None: for other errors."""
    if isinstance(error, TooLarge):
        return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
    if isinstance(error, MalformedMultipart):
        return HTTPException(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, ResourceError):
        again = {"Retry-After": str(RETRY_SECONDS)}
        return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error), again)
    if isinstance(error, TimeoutError):
        return HTTPException(HTTPStatus.REQUEST_TIMEOUT, "the request was silent for too long")
    if isinstance(error, ClientDisconnect):
        return HTTPException(HTTPStatus.BAD_REQUEST, "the request was cut off")
    return None


def _item(outcome: PartOutcome) -> Dataset:
    item = Dataset()
    if outcome.sop_instance_uid:
        item.ReferencedSOPClassUID = outcome.sop_class_uid
        item.ReferencedSOPInstanceUID = outcome.sop_instance_uid
    if outcome.failure is not None:
        item.FailureReason = outcome.failure
    return item

"""The DICOMweb receiver: STOW-RS (PS3.18 10.5); what is acknowledged is safe."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import BinaryIO, TypeVar
from uuid import uuid4

import uvicorn
from pydicom.dataset import Dataset
from python_multipart.multipart import parse_options_header
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.attempts import WITHIN_SECONDS
from gateway.config import StowReceiveSection
from gateway.receive.access import Access, NotAllowed, TooManyFailures
from gateway.receive.http_lobby import PatientProtocol
from gateway.receive.intake import Intake, MismatchedInstance, ReceivedFile
from gateway.receive.multipart import MAX_BOUNDARY_CHARACTERS, MalformedMultipart, Mark, Multipart
from gateway.record.storage import Storage
from totalmap.errors import ConfigError, InputError, ResourceError
from totalmap.log import get_logger

PATHS = ("/dicom-web/studies", "/dicom-web/studies/{study}")
# PS3.18 I.2.2
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
# Parts of one request that are taken at the same time: they share the price of a commit.
AT_ONCE = 8
THREADS = 32
# A whole-body CT has some thousands.
MAX_PARTS = 50_000
RETRY_SECONDS = 10
STOP_SECONDS = 2
BYTES_PER_MB = 1_000_000

_Result = TypeVar("_Result")

log = get_logger()


@contextmanager
def running_stow(
    settings: StowReceiveSection, idle_seconds: float, intake: Intake, storage: Storage
) -> Iterator[int]:
    """Listens while the block runs, and yields the port; at the end, requests are cut off.

    Args:
        settings: Where to listen, to whom, and the limit of a request.
        idle_seconds: How long a request may be silent.
        intake: Where to put what comes.
        storage: Where files lie while they are received.

    Raises:
        ConfigError: A certificate, key or secret can't be used.
        ResourceError: The address or port can't be listened on.
    """
    access = Access(settings)
    with ThreadPoolExecutor(THREADS, "stow") as pool, _door(settings) as door:
        receiver = _Receiver(settings, idle_seconds, access, intake, storage, pool)
        server = uvicorn.Server(_server_settings(settings, receiver))
        serving = Thread(target=server.run, kwargs={"sockets": [door]}, name="stow")
        serving.start()
        try:
            yield door.getsockname()[1]
        finally:
            server.should_exit = True
            serving.join()


def _door(settings: StowReceiveSection) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    try:
        return socket.create_server((settings.address, settings.port), family=family)
    except OSError as error:
        raise ResourceError(
            f"receive.stow.address {settings.address}, receive.stow.port {settings.port}: nobody "
            f"can listen there: {error.strerror}"
        ) from error


def _server_settings(settings: StowReceiveSection, receiver: "_Receiver") -> uvicorn.Config:
    config = uvicorn.Config(
        Starlette(
            routes=[Route(path, receiver.store, methods=["POST"]) for path in PATHS],
            exception_handlers={HTTPException: receiver.refuse},
        ),
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # we say ourselves what went wrong
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=settings.certificate_file,
        ssl_keyfile=settings.key_file,
    )
    try:
        config.load()
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"receive.stow: {settings.certificate_file} and {settings.key_file} can't be used: "
            f"{error}"
        ) from error
    return config


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A request in which instances come; `study` is the only one allowed, where there is one."""

    name: str
    sender: str
    study: str | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a part; without UIDs where nobody knows them."""

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    failure: int | None = None


@dataclass(frozen=True, slots=True)
class _Receiver:
    """Answers requests. All that waits for the disk is done in threads."""

    settings: StowReceiveSection
    idle_seconds: float
    access: Access
    intake: Intake
    storage: Storage
    pool: ThreadPoolExecutor

    async def store(self, request: Request) -> Response:
        """Answers a Store request (PS3.18 10.5)."""
        transfer = _Transfer(uuid4().hex, self._sender(request), request.path_params.get("study"))
        multipart = Multipart(_boundary(request))
        try:
            with closing(_Spool(self.storage, multipart)) as spool:
                outcomes = await self._receive(request, transfer, spool)
        except BaseException as error:
            self.pool.submit(self._end, transfer, is_whole=False)
            refusal = _refusal(error)
            if refusal is None:
                raise
            raise refusal from error
        await self._run(partial(self._end, transfer, is_whole=True))
        return _answer(outcomes)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answers a request that is not taken, and takes note of it."""
        assert isinstance(error, HTTPException)  # noqa: S101  starlette calls it with no other
        status, address = HTTPStatus(error.status_code), _address(request)
        is_stranger = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
        note = self.intake.reject if is_stranger else self.intake.refuse
        await self._run(partial(note, address, f"STOW-RS: {status.phrase}", address))
        return PlainTextResponse(f"{error.detail}\n", status, error.headers)

    def _sender(self, request: Request) -> str:
        authorization = request.headers.get("authorization")
        try:
            return self.access.sender(_address(request), authorization)
        except NotAllowed as error:
            challenge = {"WWW-Authenticate": self.access.challenge}
            raise HTTPException(HTTPStatus.UNAUTHORIZED, str(error), challenge) from error
        except TooManyFailures as error:
            later = {"Retry-After": f"{WITHIN_SECONDS:.0f}"}
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, str(error), later) from error

    async def _receive(
        self, request: Request, transfer: _Transfer, spool: "_Spool"
    ) -> Sequence[_Outcome]:
        """Returns what became of each part, when all of them have come."""
        outcomes: list[_Outcome] = []
        takes: set[asyncio.Future[_Outcome]] = set()
        try:
            async for chunk in self._chunks(request):
                for path in await self._run(partial(spool.feed, chunk)):
                    takes.add(self._run(partial(self._take, path, transfer)))
                    outcomes += await _done(takes, AT_ONCE)
            spool.require_whole()
            outcomes += await _done(takes, 0)
        finally:
            await asyncio.gather(*takes, return_exceptions=True)
        return outcomes

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        limit = self.settings.max_request_mb * BYTES_PER_MB
        announced = request.headers.get("content-length", "0")
        if int(announced) > limit:
            raise _TooLarge(self.settings.max_request_mb)
        stream, n_bytes = request.stream(), 0
        while True:
            async with asyncio.timeout(self.idle_seconds):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            n_bytes += len(chunk)
            if n_bytes > limit:
                raise _TooLarge(self.settings.max_request_mb)
            yield chunk

    def _take(self, path: Path, transfer: _Transfer) -> _Outcome:
        received = ReceivedFile(
            path=path,
            sender=transfer.sender,
            transfer=transfer.name,
            study_instance_uid=transfer.study,
        )
        try:
            kept = self.intake.take(received)
        except InputError as error:
            log.warning("instance_refused", sender=transfer.sender, reason=str(error))
            if isinstance(error, MismatchedInstance):
                return _Outcome(error.sop_class_uid, error.sop_instance_uid, DOES_NOT_MATCH)
            return _Outcome(failure=CANNOT_UNDERSTAND)
        return _Outcome(kept.sop_class_uid, kept.sop_instance_uid)

    def _end(self, transfer: _Transfer, *, is_whole: bool) -> None:
        try:
            self.intake.end(transfer.name, is_whole=is_whole)
        except ResourceError as error:  # its studies wait a little longer
            log.warning("transfer_end_not_recorded", reason=str(error))

    def _run(self, act: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        return asyncio.get_running_loop().run_in_executor(self.pool, act)


async def _done(takes: "set[asyncio.Future[_Outcome]]", at_most: int) -> Sequence[_Outcome]:
    """Waits until at most so many go on, and returns what became of the others."""
    outcomes = []
    while len(takes) > at_most:
        done, _ = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
        takes -= done
        outcomes += [one.result() for one in done]
    return outcomes


class _Spool:
    """Writes each part of a request into a file, as it comes."""

    def __init__(self, storage: Storage, multipart: Multipart) -> None:
        self._storage = storage
        self._multipart = multipart
        self._parts = 0
        self._file: BinaryIO | None = None
        self._paths: list[Path] = []

    def feed(self, chunk: bytes) -> Sequence[Path]:
        """Returns the files that are complete with what has just come.

        Raises:
            MalformedMultipart: It is not multipart, or has too many parts.
            ResourceError: The disk is full.
        """
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
        """Removes what is not complete."""
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


class _TooLarge(InputError):
    def __init__(self, limit_mb: float) -> None:
        super().__init__(f"a request has at most {limit_mb:g} MB (receive.stow.max_request_mb)")


def _boundary(request: Request) -> str:
    """Returns what separates the parts (PS3.18 8.7.1, RFC 2387)."""
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


def _refusal(error: BaseException) -> HTTPException | None:
    """Returns what to answer where a request can't be received; None: that is another error."""
    if isinstance(error, _TooLarge):
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


def _answer(outcomes: Sequence[_Outcome]) -> Response:
    """Returns the Store Instances Response Module (PS3.18 I.2) and its status (10.5.3.1)."""
    stored = [one for one in outcomes if one.failure is None]
    failed = [one for one in outcomes if one.failure is not None]
    answer = Dataset()
    if stored:
        answer.ReferencedSOPSequence = [_item(one) for one in stored]
    if known := [_item(one) for one in failed if one.sop_instance_uid]:
        answer.FailedSOPSequence = known
    if unknown := [_item(one) for one in failed if not one.sop_instance_uid]:
        answer.OtherFailuresSequence = unknown
    status = HTTPStatus.OK if stored else HTTPStatus.CONFLICT
    if stored and failed:
        status = HTTPStatus.ACCEPTED
    return JSONResponse(answer.to_json_dict(), status, media_type="application/dicom+json")


def _item(outcome: _Outcome) -> Dataset:
    item = Dataset()
    if outcome.sop_instance_uid:
        item.ReferencedSOPClassUID = outcome.sop_class_uid
        item.ReferencedSOPInstanceUID = outcome.sop_instance_uid
    if outcome.failure is not None:
        item.FailureReason = outcome.failure
    return item

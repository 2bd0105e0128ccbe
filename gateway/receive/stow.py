"""Receives studies by STOW-RS (PS3.18 10.5); an instance is safe when it is acknowledged.

Each part of a request is taken as soon as it is complete.
"""

import asyncio
import base64
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import TypeVar
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.config import StowReceiveSection
from gateway.config.named_files import read_secret, shown
from gateway.http_connection_limits import BACKLOG, Deadlines, ListeningSocket, protocol_with
from gateway.login_attempts import FAILURES, WITHIN_SECONDS, LoginAttempts
from gateway.receive.intake import Intake, MismatchedInstance, ReceivedFile
from gateway.receive.multipart import Multipart
from gateway.receive.stow_protocol import (
    CANNOT_UNDERSTAND,
    DOES_NOT_MATCH,
    PartOutcome,
    PartWriter,
    answer_to,
    boundary_of,
    chunks_of,
    refusal_after,
)
from gateway.store.file_storage import Storage
from totalmap.errors import ConfigError, InputError, ResourceError, TotalMapError
from totalmap.log import get_logger

ANONYMOUS = "STOW-RS"
# The number of parts that are stored at the same time, so that they share a commit.
AT_ONCE = 8

_Result = TypeVar("_Result")
PATHS = ("/dicom-web/studies", "/dicom-web/studies/{study}")
THREADS = 32
STOP_SECONDS = 2
# A request that is silent for too long gets an error before its connection is closed.
MARGIN_SECONDS = 1.0

log = get_logger()


class NotAllowed(TotalMapError):
    """A client gave no password or token, or a wrong one."""


class TooManyFailures(TotalMapError):
    """An address sent too many wrong passwords; none is checked for a while."""


class StowAuthenticator:
    """Checks the password or token of STOW-RS clients."""

    def __init__(self, settings: StowReceiveSection) -> None:
        """Reads the secrets.

        Raises:
            ConfigError: A file can't be read or is empty.
        """
        self._user = settings.user
        self._secrets: dict[str, bytes] = {}
        if settings.user is not None and settings.password_file is not None:
            password = read_secret(settings.password_file, "receive.stow.password_file")
            secret = f"{settings.user}:{password}"
            self._secrets["basic"] = base64.b64encode(secret.encode())
        if settings.token_file is not None:
            token = read_secret(settings.token_file, "receive.stow.token_file")
            self._secrets["bearer"] = token.encode()
        self._attempts = LoginAttempts()

    @property
    def challenge(self) -> str:
        """The challenge of a response (RFC 9110 11.6.1)."""
        return ", ".join(f'{scheme.capitalize()} realm="TotalMAP"' for scheme in self._secrets)

    def sender(self, address: str, authorization: str | None) -> str:
        """Returns the sender of a request.

        Args:
            address: The address of the client.
            authorization: The Authorization header; None: there is none.

        Raises:
            NotAllowed: The password or token is missing or wrong.
            TooManyFailures: It is not checked, after too many failures.
        """
        if not self._secrets:
            return ANONYMOUS
        if authorization is None:
            raise NotAllowed("no password or token")
        if not self._attempts.begin(address):
            raise TooManyFailures(f"{FAILURES} wrong passwords or tokens in {WITHIN_SECONDS:g} s")
        scheme, _, given = authorization.partition(" ")
        secret = self._secrets.get(scheme.lower())
        if secret is None or not compare_digest(given.strip().encode(), secret):
            raise NotAllowed("a wrong password or token")
        self._attempts.succeeded(address)
        return self._user or ANONYMOUS if scheme.lower() == "basic" else ANONYMOUS


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A request in which instances come; `study` is the only study allowed, if it is given."""

    name: str
    sender: str
    address: str
    study: str | None


@dataclass(frozen=True, slots=True)
class StowReceiver:
    """Answers requests; everything that waits for the disk is done in threads."""

    settings: StowReceiveSection
    idle_seconds: float
    authenticator: StowAuthenticator
    intake: Intake
    storage: Storage
    pool: ThreadPoolExecutor

    async def store(self, request: Request) -> Response:
        """Answers a Store request (PS3.18 10.5)."""
        transfer = _Transfer(
            name=uuid4().hex,
            sender=self._sender(request),
            address=_address(request),
            study=request.path_params.get("study"),
        )
        multipart = Multipart(boundary_of(request))
        try:
            with closing(PartWriter(self.storage, self.intake.free_space, multipart)) as writer:
                outcomes = await self._receive(request, transfer, writer)
        except BaseException as error:
            self.pool.submit(self._end, transfer, is_whole=False)
            refusal = refusal_after(error)
            if refusal is None:
                raise
            raise refusal from error
        await self._run(partial(self._end, transfer, is_whole=True))
        return answer_to(outcomes)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answers a request that is refused, and records that."""
        assert isinstance(error, HTTPException)  # noqa: S101  starlette passes no other exception
        status, address = HTTPStatus(error.status_code), _address(request)
        is_rejected = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
        note = self.intake.reject if is_rejected else self.intake.refuse
        await self._run(partial(note, address, f"STOW-RS: {status.phrase}", address))
        return PlainTextResponse(f"{error.detail}\n", status, error.headers)

    def _sender(self, request: Request) -> str:
        authorization = request.headers.get("authorization")
        try:
            return self.authenticator.sender(_address(request), authorization)
        except NotAllowed as error:
            challenge = {"WWW-Authenticate": self.authenticator.challenge}
            raise HTTPException(HTTPStatus.UNAUTHORIZED, str(error), challenge) from error
        except TooManyFailures as error:
            later = {"Retry-After": f"{WITHIN_SECONDS:.0f}"}
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, str(error), later) from error

    async def _receive(
        self, request: Request, transfer: _Transfer, writer: PartWriter
    ) -> Sequence[PartOutcome]:
        """Receives all parts, and returns their outcomes."""
        outcomes: list[PartOutcome] = []
        takes: set[asyncio.Future[PartOutcome]] = set()
        try:
            async for chunk in chunks_of(request, self.settings.max_request_mb, self.idle_seconds):
                for path in await self._run(partial(writer.feed, chunk)):
                    takes.add(self._run(partial(self._take, path, transfer)))
                    outcomes += await _done(takes, AT_ONCE)
            writer.require_whole()
            outcomes += await _done(takes, 0)
        finally:
            await asyncio.gather(*takes, return_exceptions=True)
        return outcomes

    def _take(self, path: Path, transfer: _Transfer) -> PartOutcome:
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
                return PartOutcome(error.sop_class_uid, error.sop_instance_uid, DOES_NOT_MATCH)
            return PartOutcome(failure=CANNOT_UNDERSTAND)
        return PartOutcome(kept.sop_class_uid, kept.sop_instance_uid)

    def _end(self, transfer: _Transfer, *, is_whole: bool) -> None:
        try:
            self.intake.end(transfer.name, is_whole=is_whole, address=transfer.address)
        except ResourceError as error:  # its studies then wait a little longer
            log.warning("transfer_end_not_recorded", reason=str(error))

    def _run(self, act: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        return asyncio.get_running_loop().run_in_executor(self.pool, act)


async def _done(takes: "set[asyncio.Future[PartOutcome]]", at_most: int) -> Sequence[PartOutcome]:
    """Waits until at most `at_most` are left, and returns the outcomes of the others."""
    outcomes = []
    while len(takes) > at_most:
        done, _ = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
        takes -= done
        outcomes += [future.result() for future in done]
    return outcomes


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


@contextmanager
def running_stow(
    settings: StowReceiveSection, idle_seconds: float, intake: Intake, storage: Storage
) -> Iterator[int]:
    """Listens while the block runs, and yields the port; aborts requests at the end.

    Args:
        settings: Where to listen, who may send, and the limit of a request.
        idle_seconds: How long a request may be silent.
        intake: Stores what is received.
        storage: Where files are written while they are received.

    Raises:
        ConfigError: A certificate, key or secret can't be used.
        ResourceError: The address or port can't be listened on.
    """
    authenticator = StowAuthenticator(settings)
    with ThreadPoolExecutor(THREADS, "stow") as pool, _listening(settings) as listening:
        receiver = StowReceiver(settings, idle_seconds, authenticator, intake, storage, pool)
        server = uvicorn.Server(_server_settings(settings, receiver))
        listening.accepted = server.server_state.connections
        serving = Thread(target=server.run, kwargs={"sockets": [listening]}, name="stow")
        serving.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            serving.join()


def _listening(settings: StowReceiveSection) -> ListeningSocket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    try:
        return ListeningSocket(
            socket.create_server((settings.address, settings.port), family=family)
        )
    except OSError as error:
        raise ResourceError(
            f"receive.stow.address {settings.address}, receive.stow.port {settings.port}: can't "
            f"listen there: {error.strerror}"
        ) from error


def _server_settings(settings: StowReceiveSection, receiver: StowReceiver) -> uvicorn.Config:
    config = uvicorn.Config(
        Starlette(
            routes=[Route(path, receiver.store, methods=["POST"]) for path in PATHS],
            exception_handlers={HTTPException: receiver.refuse},
        ),
        http=protocol_with(Deadlines(body=receiver.idle_seconds + MARGIN_SECONDS)),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # we log failures ourselves
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=settings.certificate_file,
        ssl_keyfile=settings.key_file,
    )
    try:
        config.load()
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"receive.stow: {shown(settings.certificate_file, 'certificate_file')} and "
            f"{shown(settings.key_file, 'key_file')} can't be used: {error}"
        ) from error
    return config

"""What is done with a Store request (PS3.18 10.5): each part is taken as soon as it is whole."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.config import StowReceiveSection
from gateway.login_attempts import WITHIN_SECONDS
from gateway.receive.intake import Intake, MismatchedInstance, ReceivedFile
from gateway.receive.multipart import Multipart
from gateway.receive.stow_answer import (
    CANNOT_UNDERSTAND,
    DOES_NOT_MATCH,
    Outcome,
    answer_to,
    refusal_after,
)
from gateway.receive.stow_authentication import NotAllowed, StowAuthenticator, TooManyFailures
from gateway.receive.stow_request import Spool, boundary_of, chunks_of
from gateway.store.files import Storage
from totalmap.errors import InputError, ResourceError
from totalmap.log import get_logger

# Parts of one request that are taken at the same time: they share the price of a commit.
AT_ONCE = 8

_Result = TypeVar("_Result")

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A request in which instances come; `study` is the only one allowed, where there is one."""

    name: str
    sender: str
    study: str | None


@dataclass(frozen=True, slots=True)
class Receiver:
    """Answers requests. All that waits for the disk is done in threads."""

    settings: StowReceiveSection
    idle_seconds: float
    authenticator: StowAuthenticator
    intake: Intake
    storage: Storage
    pool: ThreadPoolExecutor

    async def store(self, request: Request) -> Response:
        """Answers a Store request (PS3.18 10.5)."""
        transfer = _Transfer(uuid4().hex, self._sender(request), request.path_params.get("study"))
        multipart = Multipart(boundary_of(request))
        try:
            with closing(Spool(self.storage, self.intake.free_space, multipart)) as spool:
                outcomes = await self._receive(request, transfer, spool)
        except BaseException as error:
            self.pool.submit(self._end, transfer, is_whole=False)
            refusal = refusal_after(error)
            if refusal is None:
                raise
            raise refusal from error
        await self._run(partial(self._end, transfer, is_whole=True))
        return answer_to(outcomes)

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
            return self.authenticator.sender(_address(request), authorization)
        except NotAllowed as error:
            challenge = {"WWW-Authenticate": self.authenticator.challenge}
            raise HTTPException(HTTPStatus.UNAUTHORIZED, str(error), challenge) from error
        except TooManyFailures as error:
            later = {"Retry-After": f"{WITHIN_SECONDS:.0f}"}
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, str(error), later) from error

    async def _receive(
        self, request: Request, transfer: _Transfer, spool: Spool
    ) -> Sequence[Outcome]:
        """Returns what became of each part, when all of them have come."""
        outcomes: list[Outcome] = []
        takes: set[asyncio.Future[Outcome]] = set()
        try:
            async for chunk in chunks_of(request, self.settings.max_request_mb, self.idle_seconds):
                for path in await self._run(partial(spool.feed, chunk)):
                    takes.add(self._run(partial(self._take, path, transfer)))
                    outcomes += await _done(takes, AT_ONCE)
            spool.require_whole()
            outcomes += await _done(takes, 0)
        finally:
            await asyncio.gather(*takes, return_exceptions=True)
        return outcomes

    def _take(self, path: Path, transfer: _Transfer) -> Outcome:
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
                return Outcome(error.sop_class_uid, error.sop_instance_uid, DOES_NOT_MATCH)
            return Outcome(failure=CANNOT_UNDERSTAND)
        return Outcome(kept.sop_class_uid, kept.sop_instance_uid)

    def _end(self, transfer: _Transfer, *, is_whole: bool) -> None:
        try:
            self.intake.end(transfer.name, is_whole=is_whole)
        except ResourceError as error:  # its studies wait a little longer
            log.warning("transfer_end_not_recorded", reason=str(error))

    def _run(self, act: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        return asyncio.get_running_loop().run_in_executor(self.pool, act)


async def _done(takes: "set[asyncio.Future[Outcome]]", at_most: int) -> Sequence[Outcome]:
    """Waits until at most so many go on, and returns what became of the others."""
    outcomes = []
    while len(takes) > at_most:
        done, _ = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
        takes -= done
        outcomes += [one.result() for one in done]
    return outcomes


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"

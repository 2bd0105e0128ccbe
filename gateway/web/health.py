"""Whether the gateway does its work: its processes, the receiver, the ledger and the disk.

Each is asked in a thread of its own, so that whatever does not answer keeps neither the page nor
/health from answering; it is named instead.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Event, Lock, Thread

from sqlalchemy import Select, Table, exists, func, select

from gateway.config import GatewaySettings
from gateway.heartbeat import HeartbeatTable, HeartbeatWatch
from gateway.store.conflict import is_held
from gateway.store.damage import DamagedLedger
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryState
from gateway.store.files import BYTES_PER_GB, Storage
from gateway.store.job import JobState
from gateway.store.schema import DELIVERIES, JOBS, STUDIES
from gateway.store.workers import LOST_SECONDS, WorkerList
from gateway.web.receiver_probe import ask_receiver
from totalmap.errors import ResourceError

# The dispatcher looks twice a second; so long it never takes when it lives.
PATIENCE_SECONDS = 30.0
JOBS_OF = JOBS.alias()
# How long an answer of /health waits for those that are asked.
WAIT_SECONDS = 1.5
# Who has not answered for so long is named. An older answer counts until then.
LATE_SECONDS = 10.0
# How long an answer of the receiver counts, so that it is not asked without end.
RECEIVER_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_DAMAGED = "the ledger is damaged: nothing is received; the log names the remedy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the gateway does.

    Attributes:
        reasons: What is wrong, in words without patient data; nothing: all is well.
    """

    reasons: Sequence[str]
    workers_seen: int
    free_bytes: int


class HealthCheck:
    """Asks all that the gateway consists of, and keeps what they answer."""

    def __init__(
        self,
        settings: GatewaySettings,
        storage: Storage,
        database: Database,
        heartbeats: HeartbeatTable | None,
    ) -> None:
        """Asks nobody yet.

        Args:
            settings: Of the gateway.
            storage: Whose disk is looked at.
            database: The ledger's.
            heartbeats: Of all processes of this machine; None: nobody supervises them.
        """
        self._settings = settings
        self._storage = storage
        self._database = database
        self._worker_list = WorkerList(database)
        self._workers_seen = self._free_bytes = 0
        self._heartbeats = HeartbeatWatch(heartbeats) if heartbeats else None
        self._probes = (
            _Probe("the storage folder", self._disk),
            _Probe("the receiver", lambda: ask_receiver(settings.receive), RECEIVER_SECONDS),
            _Probe("the database", self._ledger),
        )

    def look_at_heartbeats(self) -> None:
        """Takes note of who beats; to be called every second."""
        if self._heartbeats is not None:
            self._heartbeats.look()

    async def ask(self) -> Health:
        """Returns how the gateway does, in about `WAIT_SECONDS` at most."""
        asked = [probe.ask() for probe in self._probes]
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline and not all(done.is_set() for done in asked):
            await asyncio.sleep(_LOOK_SECONDS)
        return self._answer()

    def ask_and_wait(self) -> Health:
        """Returns the same, in a thread that may wait."""
        deadline = time.monotonic() + WAIT_SECONDS
        for done in [probe.ask() for probe in self._probes]:
            done.wait(max(0.0, deadline - time.monotonic()))
        return self._answer()

    def _answer(self) -> Health:
        reasons = [reason for probe in self._probes for reason in probe.reasons()]
        if self._heartbeats is not None:
            reasons += self._heartbeats.reasons()
        return Health(reasons=reasons, workers_seen=self._workers_seen, free_bytes=self._free_bytes)

    def _disk(self) -> Iterator[str]:
        self._free_bytes = self._storage.free_bytes()
        try:
            with TemporaryFile(dir=self._storage.incoming) as file:
                file.write(b"written")
        except OSError as error:  # it is read-only, or has no room for a further file
            yield f"the storage folder can't be written: {error.strerror}"
        limit_gb = self._settings.receive.keep_free_gb
        if self._free_bytes < limit_gb * BYTES_PER_GB:
            yield (
                f"the disk has {self._free_bytes / BYTES_PER_GB:.1f} GB left, "
                f"receive.keep_free_gb is {limit_gb:g}: nothing is received"
            )

    def _ledger(self) -> Iterator[str]:
        self._workers_seen = count_workers(self._worker_list)
        expected = len(self._settings.work.devices)
        if self._workers_seen < expected:
            yield (
                f"{self._workers_seen} of {expected} workers were seen within {LOST_SECONDS:.0f} s"
            )
        yield from self._dispatcher()

    def _dispatcher(self) -> Iterator[str]:
        """Yields what the dispatcher should have done."""
        now = time.time()
        complete = self._settings.complete
        quiet = max(complete.quiet_seconds, complete.quiet_unreleased_seconds)
        with self._database.transaction() as connection:
            overdue = connection.execute(
                select(func.count()).where(
                    STUDIES.c.n_instances - STUDIES.c.n_passed_on > 0,
                    STUDIES.c.last_received_at < now - quiet - PATIENCE_SECONDS,
                )
            ).scalar_one()
            forgotten = sum(
                connection.execute(_not_queued(table, state, now - PATIENCE_SECONDS)).scalar_one()
                for table, state in (
                    (JOBS, JobState.QUEUED),
                    (DELIVERIES, DeliveryState.WAITING),
                )
            )
        if overdue:
            yield f"the dispatcher has not passed on {overdue} studies that are complete"
        if forgotten:
            yield f"the dispatcher has not queued {forgotten} jobs or deliveries"


class _Probe:
    """Asks something that may not answer, at most once at the same time."""

    def __init__(
        self, name: str, question: Callable[[], Iterable[str]], keep_seconds: float = 0.0
    ) -> None:
        """Asks nothing yet.

        Args:
            name: Of what is asked.
            question: Yields what is wrong.
            keep_seconds: How long an answer counts.
        """
        self._name = name
        self._question = question
        self._keep_seconds = keep_seconds
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._done = Event()
        self._done.set()
        self._reasons: list[str] | None = None

    def ask(self) -> Event:
        """Asks, unless it was asked lately; returns what is set when the answer is there."""
        with self._lock:
            now = time.monotonic()
            if self._done.is_set() and now - self._asked_at >= self._keep_seconds:
                self._asked_at = now
                self._done = Event()
                Thread(target=self._ask, args=[self._done], name="health", daemon=True).start()
            return self._done

    def reasons(self) -> list[str]:
        """Returns what is wrong, by the last answer."""
        waited = time.monotonic() - self._asked_at
        if not self._done.is_set():
            if self._reasons is None:
                return [f"{self._name} has not answered yet"]
            if waited > LATE_SECONDS:
                return [f"{self._name} has not answered for {waited:.0f} s"]
        return self._reasons or []

    def _ask(self, done: Event) -> None:
        try:
            self._reasons = list(self._question())
        except DamagedLedger:
            self._reasons = [_DAMAGED]
        except (OSError, ResourceError):  # its message may name what is nobody's business
            self._reasons = [f"{self._name} does not answer"]
        finally:
            done.set()


def count_workers(worker_list: WorkerList) -> int:
    """Returns how many workers were seen lately.

    Raises:
        ResourceError: The database fails.
    """
    lost = worker_list.lost(LOST_SECONDS)
    return sum(worker.worker not in lost for worker in worker_list.workers())


def _not_queued(table: Table, state: str, before: float) -> "Select[int]":
    # Of what is queued anew, nothing says since when.
    of = table.c
    may_be_done = exists().where(
        JOBS_OF.c.job_id == of.job_id, ~is_held(JOBS_OF.c.study_instance_uid)
    )
    return select(func.count()).where(
        ~of.is_enqueued, of.state == state, of.run == 1, of.created_at < before, may_be_done
    )

"""Whether the gateway does its work, as far as the database, the disk and the port can say."""

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, Table, exists, func, select

from gateway.attempts import parse_address
from gateway.record.conflict import is_held
from gateway.record.damage import DamagedLedger
from gateway.record.deliverylist import DeliveryState
from gateway.record.job import JobState
from gateway.record.roster import LOST_SECONDS
from gateway.record.schema import DELIVERIES, JOBS, STUDIES
from gateway.record.storage import BYTES_PER_GB
from gateway.web.desk import Desk
from totalmap.errors import ResourceError

# The dispatcher looks twice a second; so long it never takes when it lives.
PATIENCE_SECONDS = 30.0
JOBS_OF = JOBS.alias()
RECEIVER_SECONDS = 1.0
LOOPBACKS = {4: "127.0.0.1", 6: "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the gateway does.

    Attributes:
        reasons: What is wrong, in words without patient data; nothing: all is well.
    """

    reasons: Sequence[str]
    workers_seen: int
    free_bytes: int


def check_health(desk: Desk) -> Health:
    """Returns how the gateway does."""
    workers_seen = 0
    free_bytes = desk.storage.free_bytes()
    reasons = [*_disk(desk, free_bytes), *_receiver(desk)]
    try:
        workers_seen = count_workers(desk)
        reasons += [*_workers(desk, workers_seen), *_dispatcher(desk)]
    except DamagedLedger:
        reasons.append("the ledger is damaged: nothing is received; the log names the remedy")
    except ResourceError:  # its message may name what nobody needs to know who asks
        reasons.append("the database does not answer")
    return Health(reasons=reasons, workers_seen=workers_seen, free_bytes=free_bytes)


def count_workers(desk: Desk) -> int:
    """Returns how many workers were seen lately.

    Raises:
        ResourceError: The database fails.
    """
    lost = desk.roster.lost(LOST_SECONDS)
    return sum(one.worker not in lost for one in desk.roster.workers())


def _disk(desk: Desk, free_bytes: int) -> Iterator[str]:
    limit_gb = desk.settings.receive.keep_free_gb
    if free_bytes < limit_gb * BYTES_PER_GB:
        yield (
            f"the disk has {free_bytes / BYTES_PER_GB:.1f} GB left, receive.keep_free_gb is "
            f"{limit_gb:g}: nothing is received"
        )


def _receiver(desk: Desk) -> Iterator[str]:
    """Yields what is wrong with the receiver, whose lobby lets such a connection go."""
    receive = desk.settings.receive
    address, parsed = receive.address, parse_address(receive.address)
    if parsed is not None and parsed.is_unspecified:
        address = LOOPBACKS[parsed.version]
    try:
        socket.create_connection((address, receive.port), RECEIVER_SECONDS).close()
    except OSError as error:
        yield f"nobody receives at port {receive.port}: {error.strerror or 'no answer'}"


def _workers(desk: Desk, seen: int) -> Iterator[str]:
    expected = len(desk.settings.work.devices)
    if seen < expected:
        yield f"{seen} of {expected} workers were seen within {LOST_SECONDS:.0f} s"


def _dispatcher(desk: Desk) -> Iterator[str]:
    """Yields what the dispatcher should have done."""
    now = time.time()
    complete = desk.settings.complete
    quiet = max(complete.quiet_seconds, complete.quiet_unreleased_seconds)
    with desk.database.transaction() as connection:
        overdue = connection.execute(
            select(func.count()).where(
                STUDIES.c.n_instances - STUDIES.c.n_passed_on > 0,
                STUDIES.c.last_received_at < now - quiet - PATIENCE_SECONDS,
            )
        ).scalar_one()
        forgotten = sum(
            connection.execute(_not_queued(table, state, now - PATIENCE_SECONDS)).scalar_one()
            for table, state in ((JOBS, JobState.QUEUED), (DELIVERIES, DeliveryState.WAITING))
        )
    if overdue:
        yield f"the dispatcher has not passed on {overdue} studies that are complete"
    if forgotten:
        yield f"the dispatcher has not queued {forgotten} jobs or deliveries"


def _not_queued(table: Table, state: str, before: float) -> "Select[int]":
    # Of what is queued anew, nothing says since when.
    of = table.c
    may_be_done = exists().where(
        JOBS_OF.c.job_id == of.job_id, ~is_held(JOBS_OF.c.study_instance_uid)
    )
    return select(func.count()).where(
        ~of.is_enqueued, of.state == state, of.run == 1, of.created_at < before, may_be_done
    )

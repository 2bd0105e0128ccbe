"""Stores deliveries: the results of a job on their way to one destination."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, or_, select, update

from gateway.store.conflict import is_held
from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.job import JobState
from gateway.store.schema import DELIVERIES, JOBS, REPLACED_RESULTS


class DeliveryState(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    COMMITTED = "committed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery and its state.

    Attributes:
        destination: The name of the destination.
        decision_id: The decision whose objects it sends; 0: it sends the results.
        reason: Why the last attempt failed, or why it was given up.
        attempts: The number of failures since a user last retried it.
        run: Grows whenever it is queued again.
        not_before: Seconds since 1970, UTC, as all times.
        transaction_uid: The beginning of the Transaction UIDs of its requests for storage
            commitment (gateway/commitment/destination_requests.py); None: there are no requests.
        is_asked: Whether the destination has all results and is asked to commit itself to keep
            them.
        is_held: Whether nothing may be sent now, because the study is held, its job superseded, or
            an earlier delivery of the job to the destination waits.
        is_rejection: Whether it sends the note that rejects the results, which the destination
            got, or a part of them, before another content of the study was taken.
    """

    job_id: str
    study_instance_uid: str
    destination: str
    state: DeliveryState
    reason: str | None
    attempts: int
    run: int
    not_before: float
    created_at: float
    delivered_at: float | None
    transaction_uid: str | None
    is_asked: bool
    committed_at: float | None
    is_held: bool = False
    is_rejection: bool = False
    decision_id: int = 0


class DeliveryList:
    """The deliveries on record; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def delivery(self, job_id: str, destination: str, decision_id: int = 0) -> Delivery | None:
        """Returns a delivery: of the results, or of a decision about them."""
        found = self._select(
            DELIVERIES.c.job_id == job_id,
            DELIVERIES.c.destination == destination,
            DELIVERIES.c.decision_id == decision_id,
        )
        return next(iter(found), None)

    def of_job(self, job_id: str) -> Sequence[Delivery]:
        """Returns the deliveries of a job."""
        return self._select(DELIVERIES.c.job_id == job_id)

    def unqueued(self) -> Sequence[Delivery]:
        """Returns the deliveries to be queued, the oldest first."""
        return self._select(~DELIVERIES.c.is_enqueued, _IS_TO_BE_DONE)

    def unfinished(self) -> Sequence[Delivery]:
        """Returns the deliveries that are queued or running, the oldest first."""
        return self._select(DELIVERIES.c.is_enqueued, _IS_TO_BE_DONE)

    def of_transaction(self, transaction_uid: str) -> Delivery | None:
        """Returns the delivery that asks for storage commitment under a UID."""
        return next(iter(self._select(DELIVERIES.c.transaction_uid == transaction_uid)), None)

    def enqueued(self, delivery: Delivery) -> None:
        """Stores that a delivery is in the queue."""
        self._update(delivery, _UNFINISHED, None, is_enqueued=True)

    def forgotten(self, delivery: Delivery) -> None:
        """Makes the dispatcher queue a delivery again that the queue has lost."""
        self._update(delivery, _UNFINISHED, None, run=delivery.run + 1, is_enqueued=False)

    def delivered(self, delivery: Delivery, transaction_uid: str | None = None) -> bool:
        """Stores that a destination has all results of a delivery.

        Args:
            delivery: The delivery.
            transaction_uid: For the requests for storage commitment, which are queued next; None:
                the destination is not asked.
        """
        asks: dict[str, Any] = {"transaction_uid": transaction_uid}
        if transaction_uid is not None:
            asks |= {
                "is_asked": True,
                "run": delivery.run + 1,
                "not_before": 0.0,
                "is_enqueued": False,
            }
        return self._update(
            delivery,
            [DeliveryState.WAITING],
            EventKind.DELIVERED,
            state=DeliveryState.DELIVERED,
            reason=None,
            delivered_at=time.time(),
            **asks,
        )

    def postpone(self, delivery: Delivery, reason: str, not_before: float) -> bool:
        """Schedules another attempt for a delivery that failed or was lost."""
        return self._update(
            delivery,
            _UNFINISHED,
            EventKind.NOT_DELIVERED,
            state=DeliveryState.WAITING,
            is_asked=False,
            reason=reason,
            attempts=delivery.attempts + 1,
            run=delivery.run + 1,
            not_before=not_before,
            is_enqueued=False,
        )

    def die(self, delivery: Delivery, reason: str) -> bool:
        """Gives a delivery up."""
        return self._update(
            delivery,
            _UNFINISHED,
            EventKind.DEAD,
            state=DeliveryState.DEAD,
            is_asked=False,
            reason=reason,
        )

    def retry(self, delivery: Delivery, who: str) -> bool:
        """Schedules an attempt now for a delivery that waits for one or was given up."""
        return self._update(
            delivery,
            [DeliveryState.WAITING, DeliveryState.DEAD],
            EventKind.RETRIED,
            who=who,
            state=DeliveryState.WAITING,
            attempts=0,
            created_at=time.time(),
            run=delivery.run + 1,
            not_before=0.0,
            is_enqueued=False,
        )

    def asked(self, delivery: Delivery, reason: str | None, not_before: float) -> bool:
        """Schedules another request for storage commitment, unless a report comes before.

        Args:
            delivery: The delivery that it has.
            reason: Why it refused the request or the commitment; None: it took the request.
            not_before: Seconds since 1970, UTC.
        """
        return self._update(
            delivery,
            [DeliveryState.DELIVERED],
            EventKind.NOT_COMMITTED if reason else None,
            reason=reason,
            attempts=delivery.attempts + 1,
            run=delivery.run + 1,
            not_before=not_before,
            is_enqueued=False,
        )

    def stop_asking(self, delivery: Delivery, reason: str) -> bool:
        """Stops asking for storage commitment; a late report is still taken."""
        return self._update(
            delivery,
            [DeliveryState.DELIVERED],
            EventKind.NOT_COMMITTED,
            reason=reason,
            is_asked=False,
        )

    def commit(self, delivery: Delivery) -> bool:
        """Stores that a destination has committed itself to keep the results."""
        return self._update(
            delivery,
            [DeliveryState.DELIVERED],
            EventKind.COMMITTED,
            state=DeliveryState.COMMITTED,
            reason=None,
            is_asked=False,
            committed_at=time.time(),
        )

    def _update(
        self,
        delivery: Delivery,
        states: Sequence[DeliveryState],
        kind: EventKind | None,
        *,
        who: str | None = None,
        **values: Any,
    ) -> bool:
        with self._database.transaction() as connection:
            changed = connection.execute(
                update(DELIVERIES)
                .where(
                    DELIVERIES.c.job_id == delivery.job_id,
                    DELIVERIES.c.destination == delivery.destination,
                    DELIVERIES.c.decision_id == delivery.decision_id,
                    DELIVERIES.c.run == delivery.run,
                    DELIVERIES.c.state.in_(states),
                )
                .values(**values)
            ).rowcount
            if changed and kind:
                _record(connection, kind, delivery, who, values.get("reason"))
        return bool(changed)

    def _select(
        self, *conditions: Any, order: Any = DELIVERIES.c.created_at, limit: int | None = None
    ) -> Sequence[Delivery]:
        statement = (
            select(*_COLUMNS)
            .join(JOBS, JOBS.c.job_id == DELIVERIES.c.job_id)
            .where(*conditions)
            .order_by(
                order, DELIVERIES.c.job_id, DELIVERIES.c.destination, DELIVERIES.c.decision_id
            )
            .limit(limit)
        )
        with self._database.transaction() as connection:
            return [_delivery(row) for row in connection.execute(statement)]


def is_rejection() -> ColumnElement[bool]:
    """Returns the condition that a delivery sends a note of rejection instead of the results."""
    return exists().where(
        DELIVERIES.c.decision_id == 0,
        REPLACED_RESULTS.c.job_id == DELIVERIES.c.job_id,
        REPLACED_RESULTS.c.destination == DELIVERIES.c.destination,
    )


def _follows_a_waiting_one() -> ColumnElement[bool]:
    """Returns the condition that an earlier delivery of the job to the destination still waits.

    A note may not arrive before the results that it rejects.
    """
    earlier = DELIVERIES.alias()
    return exists().where(
        earlier.c.job_id == DELIVERIES.c.job_id,
        earlier.c.destination == DELIVERIES.c.destination,
        earlier.c.decision_id < DELIVERIES.c.decision_id,
        earlier.c.state == DeliveryState.WAITING,
    )


_UNFINISHED = (DeliveryState.WAITING, DeliveryState.DELIVERED)
# Conditions on a delivery that is joined with its job.
_IS_REJECTION = is_rejection()
_IS_HELD = or_(
    ~_IS_REJECTION & or_(JOBS.c.state == JobState.SUPERSEDED, is_held(JOBS.c.study_instance_uid)),
    _follows_a_waiting_one(),
)
_IS_TO_BE_DONE = or_(
    (DELIVERIES.c.state == DeliveryState.WAITING) & ~_IS_HELD, DELIVERIES.c.is_asked
)
_COLUMNS = [
    *(column for column in DELIVERIES.c if column is not DELIVERIES.c.is_enqueued),
    JOBS.c.study_instance_uid,
    _IS_HELD.label("is_held"),
    _IS_REJECTION.label("is_rejection"),
]


def _delivery(row: Row[Any]) -> Delivery:
    values = {
        "state": DeliveryState(row.state),
        "is_held": bool(row.is_held),
        "is_rejection": bool(row.is_rejection),
    }
    return Delivery(**{**row._mapping, **values})


def _record(
    connection: Connection,
    kind: EventKind,
    delivery: Delivery,
    who: str | None,
    reason: str | None,
) -> None:
    if delivery.is_rejection:
        reason = "note of rejection" + (f": {reason}" if reason else "")
    elif delivery.decision_id:
        reason = f"decision {delivery.decision_id}" + (f": {reason}" if reason else "")
    record(
        connection,
        kind,
        delivery.study_instance_uid,
        object_kind=ObjectKind.DELIVERY,
        object_name=delivery.destination,
        job_id=delivery.job_id,
        who=who,
        detail=reason,
    )

"""Stores the requests of senders for storage commitment (PS3.4 J) that wait for a report."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Delete, Update, delete, select, update

from gateway.store.database import Database
from gateway.store.schema import COMMITMENT_REQUESTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """A request of a sender that the gateway commits itself to keep instances.

    Attributes:
        transaction_uid: As the sender chose it.
        sender: Its AE title.
        instances: SOP Instance UIDs, each with its SOP Class UID.
    """

    transaction_uid: str
    sender: str
    instances: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCommitmentRequest(CommitmentRequest):
    """A request whose sender has no report yet.

    Attributes:
        address: Where the sender listens for the report.
        asked_at: When it asked; seconds since 1970, UTC.
        attempts: How many reports failed.
    """

    address: str
    port: int
    asked_at: float
    attempts: int


class CommitmentRequestList:
    """The open requests of senders; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        add = database.insert_or(COMMITMENT_REQUESTS)
        self._add = add.on_conflict_do_update(
            index_elements=[COMMITMENT_REQUESTS.c.transaction_uid, COMMITMENT_REQUESTS.c.sender],
            set_={
                column.name: add.excluded[column.name]
                for column in COMMITMENT_REQUESTS.c
                if not column.primary_key
            },
        )

    def add(self, request: CommitmentRequest, address: str, port: int) -> None:
        """Stores a request whose report is to be sent to an address."""
        row = {
            "transaction_uid": request.transaction_uid,
            "sender": request.sender,
            "address": address,
            "port": port,
            "instances": json.dumps(dict(request.instances)),
            "asked_at": time.time(),
            "attempts": 0,
            "not_before": 0.0,
        }
        with self._database.transaction() as connection:
            connection.execute(self._add, row)

    def due(self) -> Sequence[OpenCommitmentRequest]:
        """Returns the requests to be reported on now, the oldest first."""
        not_before = COMMITMENT_REQUESTS.c.not_before
        columns = [column for column in COMMITMENT_REQUESTS.c if column is not not_before]
        statement = (
            select(*columns)
            .where(not_before <= time.time())
            .order_by(COMMITMENT_REQUESTS.c.asked_at, COMMITMENT_REQUESTS.c.transaction_uid)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement).all()
        return [
            OpenCommitmentRequest(**{**row._mapping, "instances": json.loads(row.instances)})
            for row in rows
        ]

    def postpone(self, request: OpenCommitmentRequest, not_before: float) -> None:
        """Has the report tried again, after it failed.

        Args:
            request: Whose report failed.
            not_before: When to try again; seconds since 1970, UTC.
        """
        values = {"attempts": request.attempts + 1, "not_before": not_before}
        self._change(update(COMMITMENT_REQUESTS).values(values), request)

    def close(self, request: OpenCommitmentRequest) -> None:
        """Deletes a request whose report has arrived, or was given up."""
        self._change(delete(COMMITMENT_REQUESTS), request)

    def _change(self, statement: Update | Delete, request: OpenCommitmentRequest) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                statement.where(
                    COMMITMENT_REQUESTS.c.transaction_uid == request.transaction_uid,
                    COMMITMENT_REQUESTS.c.sender == request.sender,
                    # the sender may have asked again
                    COMMITMENT_REQUESTS.c.asked_at == request.asked_at,
                )
            )

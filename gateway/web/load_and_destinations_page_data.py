"""Collects what the first page shows of the load, and of the destinations."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.store.counts_for_page_and_metrics import (
    DestinationHealth,
    count_segmented_studies,
    destinations,
    oldest_waiting_at,
)
from gateway.store.destination_states import (
    DestinationState,
    DestinationStates,
    Reachability,
    reachability,
)
from gateway.store.job import JobState
from gateway.store.workers import LOST_SECONDS, Worker
from gateway.web.context import WebContext

_HOUR, _DAY = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much the gateway works.

    Attributes:
        studies_last_hour: The studies that were segmented in the last hour.
        studies_last_day: The same in the last 24 hours.
        workers_busy: The workers that run a job.
        n_workers: The workers that have reported lately.
        oldest_wait_seconds: How long the oldest job waits; None: none waits.
    """

    studies_last_hour: int
    studies_last_day: int
    workers_busy: int
    n_workers: int
    n_waiting: int
    oldest_wait_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRow:
    """A destination, its deliveries and its last test.

    Attributes:
        health: Its deliveries.
        state: Its last test; None: it was never tested, or is no longer in the settings.
        reachability: Whether it answers; not known if the last test is too old.
    """

    health: DestinationHealth
    state: DestinationState | None
    reachability: Reachability


def load(context: WebContext, states: Mapping[JobState, int], workers: Sequence[Worker]) -> Load:
    """Returns how much the gateway works.

    Args:
        context: Of the page.
        states: The number of jobs in each state.
        workers: All workers on record.

    Raises:
        ResourceError: The database fails.
    """
    now = time.time()
    oldest = oldest_waiting_at(context.database)
    alive = [worker for worker in workers if now - worker.seen_at <= LOST_SECONDS]
    return Load(
        studies_last_hour=count_segmented_studies(context.database, now - _HOUR),
        studies_last_day=count_segmented_studies(context.database, now - _DAY),
        workers_busy=sum(worker.job_id is not None for worker in alive),
        n_workers=len(alive),
        n_waiting=states[JobState.QUEUED],
        oldest_wait_seconds=None if oldest is None else max(0.0, now - oldest),
    )


def destination_rows(context: WebContext) -> Sequence[DestinationRow]:
    """Returns each destination with its last test.

    Raises:
        ResourceError: The database fails.
    """
    names = [destination.name for destination in context.settings.destinations]
    states = DestinationStates(context.database).all()
    seconds = context.settings.deliver.test_seconds
    return [
        DestinationRow(
            health=health,
            state=states.get(health.destination),
            reachability=reachability(states.get(health.destination), seconds),
        )
        for health in destinations(context.database, names)
    ]

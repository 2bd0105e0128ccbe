"""Writes /metrics: the state of the gateway for Prometheus, read from the database.

docs/monitoring.md explains each metric. None has an identifier of a study or a patient.
"""

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.certificate_expiry import certificates
from gateway.store.alarm_messages import AlarmMessages
from gateway.store.alarms import AlarmList
from gateway.store.count_events_for_metrics import Counted
from gateway.store.counter_totals import SEGMENTATION_LIMITS_SECONDS
from gateway.store.counts_for_page_and_metrics import (
    arriving_studies,
    count_deliveries,
    count_instances,
    count_jobs,
    destinations,
    oldest_waiting_at,
    segmentation_seconds,
)
from gateway.store.database import Database
from gateway.store.decision import DecisionKind
from gateway.store.destination_states import DestinationStates
from gateway.store.events import EventKind, ObjectKind
from gateway.store.file_storage import BYTES_PER_GB
from gateway.store.workers import LOST_SECONDS
from gateway.web.context import WebContext
from gateway.web.health import count_workers

# How a job can end, and what can become of an attempt to deliver.
_JOB_OUTCOMES: Sequence[EventKind] = (
    EventKind.SEGMENTED,
    EventKind.HELD,
    EventKind.DEAD,
    EventKind.POSTPONED,
    EventKind.CANCELLED,
    EventKind.SUPERSEDED,
)
_DELIVERY_OUTCOMES: Sequence[EventKind] = (
    EventKind.DELIVERED,
    EventKind.NOT_DELIVERED,
    EventKind.DEAD,
)
# The events of people's decisions.
_DECISIONS: Mapping[DecisionKind, EventKind] = {
    DecisionKind.ACCEPTED: EventKind.ACCEPTED,
    DecisionKind.REJECTED: EventKind.RESULT_REJECTED,
    DecisionKind.RELEASED: EventKind.RELEASED,
    DecisionKind.COMMENTED: EventKind.COMMENTED,
    DecisionKind.WITHDRAWN: EventKind.WITHDRAWN,
}


def metrics(context: WebContext) -> bytes:
    """Returns all metrics as text; none has an identifier of a study.

    Raises:
        ResourceError: The database fails.
    """
    registry = CollectorRegistry()
    registry.register(_Gateway(context))
    return generate_latest(registry)


class _Gateway(Collector):
    def __init__(self, context: WebContext) -> None:
        self._context = context

    def describe(self) -> Iterable[Metric]:
        """Returns nothing: metrics are only known when they are collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yields each metric."""
        counts = self._context.event_counts.count()
        yield from _studies(self._context, counts)
        yield from _jobs(self._context, counts)
        yield from _review(self._context, counts)
        yield from _deliveries(self._context, counts)
        yield from _machine(self._context)
        yield from _workers(self._context)
        yield from _alarms(self._context)


def _studies(context: WebContext, counts: Mapping[Counted, int]) -> Iterator[Metric]:
    complete = counts.get((EventKind.COMPLETE, ObjectKind.STUDY, ""), 0)
    yield CounterMetricFamily(
        "totalmap_studies_received",
        "Studies that were received whole, since the start",
        value=complete,
    )
    yield _gauge(
        "totalmap_studies_arriving",
        "Studies that are not yet complete",
        len(arriving_studies(context.database)),
    )
    yield _gauge(
        "totalmap_studies_held",
        "Studies about which a decision is needed",
        len(context.conflicts.undecided()),
    )
    yield CounterMetricFamily(
        "totalmap_instances_received",
        "Instances that were received",
        value=count_instances(context.database),
    )


def _jobs(context: WebContext, counts: Mapping[Counted, int]) -> Iterator[Metric]:
    database = context.database
    states = {(state.value,): n for state, n in count_jobs(database).items()}
    yield _labelled("totalmap_jobs", "Jobs by state", states.items(), "state")
    ended = CounterMetricFamily(
        "totalmap_jobs_ended", "Runs of jobs by outcome, since the start", labels=["outcome"]
    )
    for outcome in _JOB_OUTCOMES:
        ended.add_metric([outcome], counts.get((outcome, ObjectKind.JOB, ""), 0))
    yield ended
    yield _gauge(
        "totalmap_oldest_waiting_seconds",
        "How long the oldest job waits that was not begun",
        _oldest_waiting_seconds(database),
    )
    yield _segmentation_seconds(database)
    yield _gauge("totalmap_paused", "1: no further job is begun", context.worker_list.is_paused())


def _review(context: WebContext, counts: Mapping[Counted, int]) -> Iterator[Metric]:
    verdicts = context.review_list.count_by_verdict()
    waiting = {(verdict.value,): n for verdict, n in verdicts.items()}
    yield _labelled(
        "totalmap_results_waiting_for_review",
        "Results that wait for the decision of a person, by verdict",
        waiting.items(),
        "verdict",
    )
    decisions = CounterMetricFamily(
        "totalmap_decisions", "Decisions of people about results, since the start", labels=["kind"]
    )
    for kind, event in _DECISIONS.items():
        decisions.add_metric([kind], counts.get((event, ObjectKind.JOB, ""), 0))
    yield decisions


def _deliveries(context: WebContext, counts: Mapping[Counted, int]) -> Iterator[Metric]:
    database = context.database
    names = [destination.name for destination in context.settings.destinations]
    states = {
        (destination, state.value): n
        for (destination, state), n in count_deliveries(database).items()
    }
    yield _labelled(
        "totalmap_deliveries",
        "Deliveries by destination and state",
        states.items(),
        "destination",
        "state",
    )
    found = destinations(database, names)
    failing = {(health.destination,): health.failing for health in found}
    yield _labelled(
        "totalmap_deliveries_failing",
        "Deliveries that have failed and are tried again",
        failing.items(),
        "destination",
    )
    attempts = CounterMetricFamily(
        "totalmap_delivery_attempts",
        "Attempts to deliver, by outcome, since the start",
        labels=["destination", "outcome"],
    )
    for name in [health.destination for health in found]:
        for outcome in _DELIVERY_OUTCOMES:
            attempts.add_metric(
                [name, outcome], counts.get((outcome, ObjectKind.DELIVERY, name), 0)
            )
    yield attempts
    tested = DestinationStates(database).all()
    up = {(name,): not tested[name].is_away for name in names if name in tested}
    yield _labelled(
        "totalmap_destination_up", "1: the destination answers", up.items(), "destination"
    )


def _machine(context: WebContext) -> Iterator[Metric]:
    disk = shutil.disk_usage(context.settings.storage_folder)
    yield _gauge(
        "totalmap_free_disk_bytes",
        "What may still be written to the storage folder",
        context.storage.free_bytes(),
    )
    yield _gauge("totalmap_disk_size_bytes", "The size of its disk", disk.total)
    yield _gauge(
        "totalmap_disk_reserve_bytes",
        "With less free space nothing is received",
        context.settings.receive.keep_free_gb * BYTES_PER_GB,
    )
    expiries = {(found.setting,): found.expires_at for found in certificates(context.settings)}
    yield _labelled(
        "totalmap_certificate_expiry_timestamp_seconds",
        "When a certificate expires, in seconds since 1970",
        expiries.items(),
        "setting",
    )
    faults = context.health.ask_and_wait().reasons
    yield _gauge("totalmap_faults", "The number of faults that /health names", len(faults))


def _workers(context: WebContext) -> Iterator[Metric]:
    workers = context.worker_list.workers()
    lost = context.worker_list.lost(LOST_SECONDS)
    yield _gauge("totalmap_workers_seen", "Workers seen lately", count_workers(context.worker_list))
    yield _gauge(
        "totalmap_workers_expected",
        "Workers of this machine in the settings",
        len(context.settings.work.devices),
    )
    up = {(worker.worker, worker.device): worker.worker not in lost for worker in workers}
    yield _labelled("totalmap_worker_up", "1: the worker reports", up.items(), "worker", "device")


def _alarms(context: WebContext) -> Iterator[Metric]:
    database = context.database
    going_on = {(kind.value,): n for kind, n in AlarmList(database).count_open().items()}
    yield _labelled("totalmap_alarms", "Alarms that go on, by kind", going_on.items(), "kind")
    counts = AlarmMessages(database).count(context.settings.alarms.way_names)
    messages = {(way, state.value): n for (way, state), n in counts.items()}
    yield _labelled(
        "totalmap_alarm_messages",
        "Messages about alarms of the last months, by way and state",
        messages.items(),
        "way",
        "state",
    )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _labelled(
    name: str, documentation: str, samples: Iterable[tuple[Sequence[str], float]], *labels: str
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _oldest_waiting_seconds(database: Database) -> float:
    oldest = oldest_waiting_at(database)
    return 0.0 if oldest is None else max(0.0, time.time() - oldest)


def _segmentation_seconds(database: Database) -> Metric:
    """Returns the metric of how long the jobs took that succeeded."""
    took = segmentation_seconds(database)
    buckets: Sequence[tuple[str, float]] = [
        *(
            (str(limit), n_within)
            for limit, n_within in zip(SEGMENTATION_LIMITS_SECONDS, took.n_within, strict=True)
        ),
        ("+Inf", took.n_jobs),
    ]
    return HistogramMetricFamily(
        "totalmap_segmentation_seconds",
        "How long it took to segment a study",
        buckets=buckets,
        sum_value=took.total_seconds,
    )

"""Writes /metrics: the state of the gateway for Prometheus, read from the database."""

import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.store.database import Database
from gateway.store.overview import (
    arriving_studies,
    count_deliveries,
    count_instances,
    count_jobs,
    oldest_waiting_at,
    segmentation_seconds,
)
from gateway.web.context import WebContext
from gateway.web.health import count_workers

_BUCKETS_SECONDS = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


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
        database = self._context.database
        jobs = GaugeMetricFamily("totalmap_jobs", "Jobs by state", labels=["state"])
        for state, n in count_jobs(database).items():
            jobs.add_metric([state], n)
        yield jobs
        deliveries = GaugeMetricFamily(
            "totalmap_deliveries",
            "Deliveries by destination and state",
            labels=["destination", "state"],
        )
        for (destination, delivery_state), n in count_deliveries(database).items():
            deliveries.add_metric([destination, delivery_state], n)
        yield deliveries
        yield _gauge(
            "totalmap_studies_arriving",
            "Studies that are not yet complete",
            len(arriving_studies(database)),
        )
        yield _gauge(
            "totalmap_studies_held",
            "Studies about which a decision is needed",
            len(self._context.conflicts.undecided()),
        )
        yield _gauge(
            "totalmap_oldest_waiting_seconds",
            "How long the oldest job waits that was not begun",
            _oldest_waiting_seconds(database),
        )
        yield CounterMetricFamily(
            "totalmap_instances_received", "Instances on record", value=count_instances(database)
        )
        yield _segmentation_seconds(database)
        yield _gauge(
            "totalmap_free_disk_bytes",
            "What may still be written to the storage folder",
            self._context.storage.free_bytes(),
        )
        n_workers = count_workers(self._context.worker_list)
        yield _gauge("totalmap_workers_seen", "Workers seen lately", n_workers)
        yield _gauge(
            "totalmap_paused", "1: no further job is begun", self._context.worker_list.is_paused()
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _oldest_waiting_seconds(database: Database) -> float:
    oldest = oldest_waiting_at(database)
    return 0.0 if oldest is None else max(0.0, time.time() - oldest)


def _segmentation_seconds(database: Database) -> Metric:
    """Returns the metric of how long the jobs took that succeeded."""
    took = segmentation_seconds(database, _BUCKETS_SECONDS)
    buckets: Sequence[tuple[str, float]] = [
        *(
            (str(limit), n_within)
            for limit, n_within in zip(_BUCKETS_SECONDS, took.n_within, strict=True)
        ),
        ("+Inf", took.n_jobs),
    ]
    return HistogramMetricFamily(
        "totalmap_segmentation_seconds",
        "How long it took to segment a study",
        buckets=buckets,
        sum_value=took.total_seconds,
    )

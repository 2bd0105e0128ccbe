"""Tests the counters of /metrics: no deletion makes them fall, and late events are counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import GatewaySettings
from gateway.store.count_events_for_metrics import EventCounts
from gateway.store.counts_for_page_and_metrics import count_instances, segmentation_seconds
from gateway.store.events import EventKind, ObjectKind
from gateway.store.row_deletion import delete_history, delete_sources
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.web.filling import Filled, open_filled


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Filled]:
    filled = open_filled(GatewaySettings(storage_folder=tmp_path / "storage"))
    with filled.database:
        yield filled


def test_deletions_do_not_change_the_metric_of_received_instances(
    gateway: Filled, phantom_series: WrittenSeries
) -> None:
    studies = [gateway.receive(phantom_series.paths[0]) for _ in range(3)]
    for study in studies[:2]:
        with gateway.database.transaction() as connection:
            delete_sources(connection, study)
        assert count_instances(gateway.database) == 3


def test_deletions_do_not_change_the_metrics_histogram_of_segmentation_times(
    gateway: Filled,
) -> None:
    for study in ("1.2", "1.3"):
        gateway.succeed(gateway.open_job(study))
    before = segmentation_seconds(gateway.database)
    assert before.n_jobs == 2
    with gateway.database.transaction() as connection:
        delete_history(connection, "1.2", before=1e12)
    after = segmentation_seconds(gateway.database)
    assert (after.n_jobs, after.n_within) == (before.n_jobs, before.n_within)
    assert after.total_seconds == pytest.approx(before.total_seconds)


def test_the_metrics_count_each_event_from_the_start_of_the_process_once(gateway: Filled) -> None:
    gateway.die(gateway.open_job("1.2"), "too thick")
    counts = EventCounts(gateway.database)
    assert sum(counts.count().values()) == 0
    gateway.die(gateway.open_job("1.3"), "too thick")
    gateway.succeed(gateway.open_job("1.4"))
    for _ in range(2):
        found = counts.count()
        assert found[EventKind.DEAD, ObjectKind.JOB, ""] == 1
        assert found[EventKind.SEGMENTED, ObjectKind.JOB, ""] == 1
        assert found[EventKind.COMPLETE, ObjectKind.STUDY, ""] == 2


def test_the_metrics_count_attempts_to_deliver_by_destination(gateway: Filled) -> None:
    job = gateway.open_job("1.2", destinations=("archive", "pacs"))
    gateway.succeed(job)
    counts = EventCounts(gateway.database)
    for destination in ("archive", "pacs"):
        delivery = gateway.deliveries.delivery(job, destination)
        assert delivery is not None
        if destination == "pacs":
            assert gateway.deliveries.delivered(delivery)
        else:
            assert gateway.deliveries.postpone(delivery, "it is away", 0.0)
    found = counts.count()
    assert found[EventKind.DELIVERED, ObjectKind.DELIVERY, "pacs"] == 1
    assert found[EventKind.NOT_DELIVERED, ObjectKind.DELIVERY, "archive"] == 1

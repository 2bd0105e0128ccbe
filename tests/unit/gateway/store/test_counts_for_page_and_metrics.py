import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import GatewaySettings
from gateway.store.counts_for_page_and_metrics import (
    Group,
    arriving_studies,
    count_deliveries,
    count_jobs,
    deliveries_of,
    destinations,
    list_jobs,
)
from gateway.store.deliveries import DeliveryState
from gateway.store.job import JobState
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.web.filling import Filled, open_filled


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Filled]:
    filled = open_filled(GatewaySettings(storage_folder=tmp_path / "storage"))
    with filled.database:
        yield filled


def test_gateway_jobs_are_counted_by_state_and_listed_by_group(gateway: Filled) -> None:
    jobs = [gateway.open_job(f"1.2.{n}", is_urgent=n == 2) for n in range(6)]
    gateway.begin(jobs[3])
    gateway.succeed(jobs[4])
    gateway.die(jobs[5], "too thick")
    gateway.jobs.cancel(jobs[1], "somebody")
    counts = count_jobs(gateway.database)
    assert counts[JobState.QUEUED] == 2
    assert sum(counts.values()) == 6
    listed = {
        group: [row.job_id for row in list_jobs(gateway.database, group, limit=9)]
        for group in Group
    }
    assert listed == {
        Group.WAITING: [jobs[2], jobs[0]],
        Group.RUNNING: [jobs[3]],
        Group.DONE: [jobs[4]],
        Group.FAILED: [jobs[5]],
        Group.WITHDRAWN: [jobs[1]],
    }
    (second,) = list_jobs(gateway.database, Group.WAITING, limit=1, offset=1)
    assert second.job_id == jobs[0]
    assert second.state is JobState.QUEUED


def test_gateway_deliveries_are_counted_for_each_destination(gateway: Filled) -> None:
    for n in range(3):
        job = gateway.open_job(f"1.2.{n}", destinations=("archive", "pacs"))
        gateway.succeed(job)
        pacs = gateway.deliveries.delivery(job, "pacs")
        assert pacs is not None
        if n == 0:
            gateway.deliveries.delivered(pacs)
        elif n == 1:
            gateway.deliveries.postpone(pacs, "refused", time.time() + 60)
        else:
            gateway.deliveries.die(pacs, "refused for 7 days")
    archive, idle, pacs_health = destinations(gateway.database, ["idle", "pacs"])
    assert (archive.destination, archive.waiting, archive.failing) == ("archive", 3, 0)
    assert (idle.destination, idle.waiting, idle.last_delivered_at) == ("idle", 0, None)
    assert (pacs_health.waiting, pacs_health.failing, pacs_health.dead) == (1, 1, 1)
    assert pacs_health.last_reason == "refused"
    assert pacs_health.last_delivered_at is not None
    assert count_deliveries(gateway.database)["archive", DeliveryState.WAITING] == 3
    assert [item.destination for item in deliveries_of(gateway.database, [job])[job]] == [
        "archive",
        "pacs",
    ]


def test_a_study_is_listed_on_the_gateway_page_as_arriving_until_it_is_passed_on(
    gateway: Filled, phantom_series: WrittenSeries
) -> None:
    study = gateway.receive(phantom_series.paths[0])
    (arriving,) = arriving_studies(gateway.database)
    assert (arriving.study_instance_uid, arriving.n_instances) == (study, 1)
    gateway.open_job(study)
    assert arriving_studies(gateway.database) == []

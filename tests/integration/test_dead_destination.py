"""Tests a destination that is away for minutes, hours and a day, and then gets all results."""

from pathlib import Path

from gateway.store.deliveries import DeliveryState
from gateway.store.job import Job, JobState
from tests.archive import running_archive
from tests.integration.test_worker_kills import send_study
from tests.servers import LOOPBACK, free_port
from tests.service import FEW_RESULTS, Service, running_service
from tests.waiting import wait_until

STUDIES = 2
AWAY_HOURS = (1 / 6, 24.0)


def state(service: Service, job: Job, destination: str) -> DeliveryState | None:
    found = service.deliveries.delivery(job.job_id, destination)
    return found.state if found else None


def attempts(service: Service, job: Job) -> int:
    found = service.deliveries.delivery(job.job_id, "away")
    return found.attempts if found else 0


def test_a_gateway_destination_away_for_a_day_gets_all_results_and_delays_no_other(
    quick_models: Path, tmp_path: Path
) -> None:
    port = free_port()
    with (
        running_archive() as archive,
        running_service(
            tmp_path,
            FEW_RESULTS,
            work={"models_folder": str(quick_models)},
            rules=[{"name": "ct", "destinations": ["away", "archive"]}],
            destinations=[
                {"name": "archive", "dicom": archive.destination},
                {"name": "away", "dicom": {"ae_title": "A", "address": LOOPBACK, "port": port}},
            ],
            deliver={"first_retry_seconds": 1.0},
        ) as service,
    ):
        jobs = [send_study(service, tmp_path / str(n), 50 + n) for n in range(STUDIES)]
        for job in jobs:
            service.wait_for(job, JobState.SEGMENTED)
            wait_until(
                lambda one=job: state(service, one, "archive") is DeliveryState.DELIVERED,  # type: ignore[misc]
                "delivered to the one that is there",
            )
        wait_until(lambda: attempts(service, jobs[0]) >= 2, "tried a second time")
        for hours in AWAY_HOURS:
            before = attempts(service, jobs[0])
            assert service.stop() == 0
            service.start(hours_later=hours)
            wait_until(
                lambda n=before: attempts(service, jobs[0]) > n,  # type: ignore[misc]
                f"tried again after {hours:g} hours",
            )
        assert all(state(service, job, "away") is DeliveryState.WAITING for job in jobs)
        assert service.stop() == 0
        with running_archive(port) as back:
            service.start(hours_later=AWAY_HOURS[-1] + 1)
            for job in jobs:
                wait_until(
                    lambda one=job: state(service, one, "away") is DeliveryState.DELIVERED,  # type: ignore[misc]
                    "delivered to the one that was away",
                )
            assert back.contents == archive.contents

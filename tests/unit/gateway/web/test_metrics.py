import re
import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from gateway.store.decision import DecisionKind
from gateway.store.schema import JOBS
from tests.unit.gateway.store.reviewed_results import ReviewedResults
from tests.unit.gateway.web.filling import Filled
from totalmap.finding import Verdict


def samples(client: httpx.Client) -> dict[str, float]:
    """Each sample by its name and labels."""
    text = client.get("/metrics").text
    return {
        "|".join([sample.name, *sorted(map("=".join, sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_prometheus_metrics_show_the_content_of_the_database(
    stranger: httpx.Client, gateway: Filled, instance: Path
) -> None:
    done = gateway.open_job(gateway.receive(instance))
    gateway.succeed(done)
    gateway.open_job(gateway.receive(instance))
    gateway.receive(instance)
    gateway.worker_list.see("box-1", "cpu", None)
    gateway.worker_list.pause("anna", is_paused=True)
    now = time.time()
    with gateway.database.transaction() as connection:
        queued = JOBS.c.state == "queued"
        connection.execute(update(JOBS).where(queued).values(created_at=now - 100))
        connection.execute(update(JOBS).where(~queued).values(started_at=now, ended_at=now + 45))
    found = samples(stranger)
    assert found["totalmap_jobs|state=queued"] == 1
    assert found["totalmap_jobs|state=segmented"] == 1
    assert found["totalmap_jobs|state=dead"] == 0
    assert found["totalmap_deliveries|destination=pacs|state=waiting"] == 1
    assert found["totalmap_instances_received_total"] == 3
    assert found["totalmap_studies_arriving"] == 1
    assert 100 <= found["totalmap_oldest_waiting_seconds"] <= 100 + time.time() - now
    assert found["totalmap_segmentation_seconds_count"] == 1
    assert abs(found["totalmap_segmentation_seconds_sum"] - 45) < 0.001
    assert found["totalmap_segmentation_seconds_bucket|le=30.0"] == 0
    assert found["totalmap_segmentation_seconds_bucket|le=60.0"] == 1
    assert found["totalmap_segmentation_seconds_bucket|le=+Inf"] == 1
    assert found["totalmap_free_disk_bytes"] > 0
    assert found["totalmap_workers_seen"] == 1
    assert found["totalmap_paused"] == 1


def test_the_metrics_show_what_waits_for_review_and_what_was_decided_since_the_start(
    stranger: httpx.Client, gateway: Filled
) -> None:
    results = ReviewedResults(gateway.database)
    for number in range(3):
        results.make(f"a{number}", Verdict.REJECT if number else Verdict.REVIEW)
    results.decide("a1", DecisionKind.REJECTED)
    results.decide("a1", DecisionKind.COMMENTED)
    found = samples(stranger)
    assert found["totalmap_results_waiting_for_review|verdict=review"] == 1
    assert found["totalmap_results_waiting_for_review|verdict=reject"] == 1
    assert found["totalmap_decisions_total|kind=rejected"] == 1
    assert found["totalmap_decisions_total|kind=commented"] == 1
    assert found["totalmap_decisions_total|kind=accepted"] == 0


def test_the_metrics_of_an_empty_gateway_are_zero(stranger: httpx.Client) -> None:
    found = samples(stranger)
    assert found["totalmap_oldest_waiting_seconds"] == 0
    assert found["totalmap_segmentation_seconds_sum"] == 0


def test_metrics_and_health_hold_no_identifier_of_a_study(
    stranger: httpx.Client, gateway: Filled, instance: Path
) -> None:
    study = gateway.receive(instance, PatientName="Müller^Eva")
    job = gateway.open_job(study)
    gateway.die(job, f"{study} is too thick")
    for path in ("/metrics", "/health"):
        text = stranger.get(path).text
        assert study not in text
        assert job not in text
        assert "Eva" not in text
        assert not re.search(r"\d+\.\d+\.\d+", text)

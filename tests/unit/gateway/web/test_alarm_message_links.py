"""Tests the links in messages about alarms, which lead to the page of a study."""

from pathlib import Path

import httpx

from tests.unit.gateway.web.filling import Filled


def test_a_job_link_in_an_alarm_message_leads_to_its_study_after_a_log_in(
    stranger: httpx.Client, gateway: Filled
) -> None:
    job = gateway.open_job("1.2.3")
    answer = stranger.get(f"/jobs/{job}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next=%2Fjobs%2F{job}")


def test_an_alarm_link_to_a_job_or_a_conflict_goes_on_to_the_study_page(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    study = gateway.receive(instance)
    job = gateway.open_job(study)
    answer = user.get(f"/jobs/{job}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{study}")
    for unknown in ("/jobs/none", "/conflicts/17"):
        assert user.get(unknown).status_code == 404

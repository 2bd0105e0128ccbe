import time

import httpx
import pytest

from gateway.store.events import history
from tests.unit.gateway.web.browsing import USER, press
from tests.unit.gateway.web.filling import Filled


def last_event(gateway: Filled, study: str) -> tuple[str, str | None]:
    event = history(gateway.database, study)[-1]
    return event.what, event.who


def test_a_job_is_retried(user: httpx.Client, gateway: Filled) -> None:
    job = gateway.open_job("1.2")
    gateway.die(job, "too thick")
    answer = press(user, f"/jobs/{job}/retry", next="/?group=failed")
    assert answer.headers["location"] == "/?group=failed&said=retried"
    assert gateway.state(job) == "queued"
    assert last_event(gateway, "1.2") == ("retried", USER)


@pytest.mark.parametrize("is_running", [False, True])
def test_a_job_is_cancelled(user: httpx.Client, gateway: Filled, is_running: bool) -> None:
    job = gateway.open_job("1.2")
    if is_running:
        gateway.begin(job)
    assert press(user, f"/jobs/{job}/cancel").headers["location"] == "/?said=cancelled"
    assert gateway.state(job) == "cancelled"
    assert last_event(gateway, "1.2") == ("cancelled", USER)


def test_a_job_is_made_urgent(user: httpx.Client, gateway: Filled) -> None:
    gateway.open_job("1.1")
    job = gateway.open_job("1.2")
    press(user, f"/jobs/{job}/urgent")
    made = gateway.jobs.job(job)
    assert made is not None
    assert made.is_urgent
    assert last_event(gateway, "1.2") == ("made urgent", USER)


def test_a_delivery_is_tried_again(user: httpx.Client, gateway: Filled) -> None:
    job = gateway.open_job("1.2")
    gateway.succeed(job)
    delivery = gateway.deliveries.delivery(job, "pacs")
    assert delivery is not None
    gateway.deliveries.postpone(delivery, "refused", time.time() + 600)
    answer = press(user, f"/jobs/{job}/deliveries/pacs/retry")
    assert answer.headers["location"] == "/?said=delivering"
    tried = gateway.deliveries.delivery(job, "pacs")
    assert tried is not None
    assert tried.not_before == 0.0
    assert last_event(gateway, "1.2") == ("retried", USER)
    assert press(user, f"/jobs/{job}/deliveries/nowhere/retry").status_code == 404


def test_work_is_paused_and_resumed(user: httpx.Client, gateway: Filled) -> None:
    press(user, "/pause")
    assert gateway.worker_list.is_paused()
    assert "No further job is begun." in user.get("/").text
    press(user, "/resume")
    assert not gateway.worker_list.is_paused()


def test_what_comes_too_late_changes_nothing_and_is_said_so(
    user: httpx.Client, gateway: Filled
) -> None:
    job = gateway.open_job("1.2")
    gateway.succeed(job)
    for action in ("retry", "cancel", "urgent"):
        assert press(user, f"/jobs/{job}/{action}").headers["location"] == "/?said=unchanged"
    assert gateway.state(job) == "segmented"
    assert "Nothing was changed" in user.get("/?said=unchanged").text


def test_nobody_is_led_to_another_server(user: httpx.Client) -> None:
    answer = press(user, "/pause", next="//evil.example/")
    assert answer.headers["location"] == "/?said=paused"

"""Tests that the page shows both sides of a conflict, and that a user decides there."""

from pathlib import Path

import httpx
import pydicom
import pytest

from gateway.conflict_detection import ConflictDetector
from gateway.store.conflict import Conflict, ConflictState
from gateway.store.conflicts import ConflictList
from gateway.store.events import history
from tests.unit.gateway.web.browsing import USER, press
from tests.unit.gateway.web.filling import Filled

FIRST = {"PatientName": "First^Ada", "PatientID": "A-1"}
NEW = {"PatientName": "Second^Grace", "PatientID": "B-2"}


@pytest.fixture
def study(gateway: Filled, instance: Path) -> str:
    """A study whose result was delivered, and which came again with another patient."""
    header = pydicom.dcmread(instance, stop_before_pixels=True)
    uids = {"StudyInstanceUID": header.StudyInstanceUID, "SOPInstanceUID": header.SOPInstanceUID}
    uid = gateway.receive(instance, **uids, **FIRST)
    job = gateway.open_job(uid)
    gateway.succeed(job)
    delivery = gateway.deliveries.delivery(job, "pacs")
    assert delivery
    assert gateway.deliveries.delivered(delivery)
    gateway.receive(instance, **uids, **NEW)
    conflicts = ConflictList(gateway.database)
    ConflictDetector(gateway.ledger, conflicts, gateway.storage).detect(uid)
    return uid


def conflict_of(gateway: Filled, study: str) -> Conflict:
    (conflict,) = ConflictList(gateway.database).of_study(study)
    return conflict


def test_the_gateway_page_shows_both_sides_of_a_conflict_with_earlier_deliveries(
    user: httpx.Client, study: str
) -> None:
    overview = user.get("/").text
    assert "1 held study: a decision is needed" in overview
    assert "Second" not in overview, "the study is the first patient's"
    page = user.get(f"/studies/{study}").text
    for expected in ("A-1", "B-2", "First^Ada", "Second^Grace", "1 instance from CT1"):
        assert expected in page
    assert "Conflict of patient: the study is held" in page
    assert "<li>to pacs, <time" in page
    for choice in ("Keep the first", "Take the new", "Reject the study"):
        assert choice in page


@pytest.mark.parametrize(
    ("choice", "state", "said"),
    [
        ("keep", ConflictState.FIRST_KEPT, "first-kept"),
        ("take", ConflictState.NEW_TAKEN, "new-taken"),
        ("reject", ConflictState.REJECTED, "study-rejected"),
    ],
)
def test_a_decision_on_a_conflict_is_stored_with_the_name_of_the_user(
    user: httpx.Client, gateway: Filled, study: str, choice: str, state: ConflictState, said: str
) -> None:
    path = f"/conflicts/{conflict_of(gateway, study).conflict_id}"
    assert press(user, f"{path}/5/{choice}").headers["location"] == "/?said=unchanged"
    assert press(user, f"{path}/1/{choice}").headers["location"] == f"/?said={said}"
    conflict = conflict_of(gateway, study)
    assert (conflict.state, conflict.decided_by) == (state, USER)
    event = history(gateway.database, study)[-1]
    if choice == "take":
        event = history(gateway.database, study)[-2]
    assert (event.kind, event.who) == ("conflict decided", USER)
    page = user.get(f"/studies/{study}").text
    assert f"decided by {USER}" in page
    assert ("Second, Grace" in page) is (choice == "take")
    assert "held study" not in user.get("/").text


def test_an_unknown_conflict_of_a_study_can_not_be_decided(user: httpx.Client) -> None:
    assert press(user, "/conflicts/7/1/keep").status_code == 404

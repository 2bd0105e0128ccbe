"""Tests the pages on which people decide about results: who may, what they need to enter."""

import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from gateway.config import ReviewSection, Role, WebSection
from gateway.store.decision import Decision, DecisionKind
from gateway.store.decisions import DecisionList
from gateway.store.events import EventKind, history
from gateway.store.job import Judgement
from gateway.store.schema import DECISION_SUBJECTS, DECISIONS
from tests.accounts import PASSWORD, add_account
from tests.unit.gateway.web.browsing import USER, form_token, log_in
from tests.unit.gateway.web.filling import Filled
from totalmap.finding import Verdict

REVIEW = Judgement(verdict=Verdict.REVIEW, reasons=("The spleen is small.",))
HELD = Judgement(verdict=Verdict.REJECT, reasons=("The liver is missing.",), is_held=True)
LONG = "x" * 5000


@pytest.fixture
def web() -> WebSection:
    return WebSection(
        port=0, viewer_url="https://pacs.example/?StudyInstanceUIDs={study_instance_uid}"
    )


@pytest.fixture
def job(gateway: Filled, instance: Path) -> str:
    """A job with results that need review."""
    return reviewed(gateway, instance, REVIEW)


def reviewed(gateway: Filled, instance: Path, judgement: Judgement) -> str:
    study = gateway.receive(
        instance, Manufacturer="ACME", ManufacturerModelName="Spiral 64", PatientName="Müller^Eva"
    )
    job = gateway.open_job(study)
    gateway.succeed(job, judgement=judgement)
    return job


def fields_of(page: httpx.Response) -> dict[str, str]:
    """Returns the hidden fields of the forms of a page."""
    names = ("form", "run", "seen")
    found = {name: re.search(rf'name="{name}" value="(\w+)"', page.text) for name in names}
    return {name: match[1] for name, match in found.items() if match}


def decide(user: httpx.Client, job: str, kind: str, **fields: str) -> httpx.Response:
    """Opens the page of a decision, fills in a form and sends it."""
    path = f"/jobs/{job}/decide"
    page = user.get(path)
    form = {"form_token": form_token(page), "next": path, **fields_of(page), "kind": kind}
    return user.post(f"/jobs/{job}/decisions", data={**form, **fields})


def decisions(gateway: Filled, job: str) -> list[Decision]:
    return [*DecisionList(gateway.database).of_job(job)]


def test_a_person_accepts_results_on_the_page_with_one_button(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    answer = decide(user, job, "accepted")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/jobs/{job}/decide?said=accepted",
    )
    (decision,) = decisions(gateway, job)
    assert (decision.kind, decision.who, decision.organization) == (
        DecisionKind.ACCEPTED,
        USER,
        None,
    )
    page = user.get(answer.headers["location"]).text
    assert "The results are accepted." in page
    assert "Withdraw the decision" in page


def test_a_rejection_of_results_on_the_decision_page_needs_a_reason(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    refused = decide(user, job, "rejected", reason="  ")
    assert refused.status_code == 400
    assert "Enter a reason." in refused.text
    assert decisions(gateway, job) == []
    assert decide(user, job, "rejected", reason=LONG).status_code == 303
    (decision,) = decisions(gateway, job)
    assert decision.reason == LONG[:1000]


def test_a_rejection_of_results_is_counted_by_structure_and_scanner(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    named = {"structure:spleen": "1", "structure:unknown": "1"}
    assert decide(user, job, "rejected", reason="It leaks.", **named).status_code == 303
    with gateway.database.transaction() as connection:
        of = DECISION_SUBJECTS.c
        assert connection.execute(select(of.kind, of.name)).all() == [("structure", "spleen")]
        assert connection.execute(select(DECISIONS.c.scanner)).all() == [("ACME Spiral 64",)]


def test_the_second_of_two_people_is_told_that_the_first_has_decided_on_the_results(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    path = f"/jobs/{job}/decide"
    before = user.get(path)
    decide(user, job, "accepted")
    form = {"form_token": form_token(before), "next": path, **fields_of(before)}
    fields = {"kind": "rejected", "reason": "It leaks."}
    answer = user.post(f"/jobs/{job}/decisions", data={**form, **fields, "form": "another"})
    assert answer.headers["location"] == f"{path}?said=outdated"
    page = user.get(answer.headers["location"]).text
    assert "another person has decided meanwhile" in page
    assert USER in page
    assert [each.kind for each in decisions(gateway, job)] == [DecisionKind.ACCEPTED]


def test_a_viewer_sees_decisions_on_results_and_decides_nothing(
    stranger: httpx.Client, gateway: Filled, job: str
) -> None:
    add_account(gateway.database, "viewer", Role.VIEWER)
    log_in(stranger, PASSWORD, user="viewer")
    page = stranger.get(f"/jobs/{job}/decide")
    assert "Reviewers decide about results." in page.text
    assert 'name="kind"' not in page.text
    form = {"form_token": form_token(page), "form": "f1", "run": "1", "seen": "0"}
    answer = stranger.post(f"/jobs/{job}/decisions", data={**form, "kind": "accepted"})
    assert answer.status_code == 403
    assert decisions(gateway, job) == []


def test_a_reviewer_decides_on_results_and_may_not_operate_the_gateway(
    stranger: httpx.Client, gateway: Filled, job: str
) -> None:
    add_account(gateway.database, "eva", Role.REVIEWER)
    log_in(stranger, PASSWORD, user="eva")
    assert decide(stranger, job, "accepted").status_code == 303
    assert [each.who for each in decisions(gateway, job)] == ["eva"]
    token = form_token(stranger.get(f"/jobs/{job}/decide"))
    assert stranger.post(f"/jobs/{job}/cancel", data={"form_token": token}).status_code == 403


def test_held_results_are_released_on_the_page_with_a_reason(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    job = reviewed(gateway, instance, HELD)
    page = user.get(f"/jobs/{job}/decide").text
    assert "Quality control held the results back." in page
    assert 'id="accept"' not in page
    assert decide(user, job, "accepted").headers["location"].endswith("said=outdated")
    assert decide(user, job, "released", reason="A variant.").status_code == 303
    assert gateway.state(job) == "segmented"
    assert [each.destination for each in gateway.deliveries.of_job(job)] == ["pacs"]


def test_reports_are_verified_only_where_an_administrator_allows_it(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    assert "verify" not in user.get(f"/jobs/{job}/decide").text
    refused = decide(user, job, "accepted", verify="1")
    assert refused.status_code == 400
    assert "an administrator has switched it off" in refused.text
    assert decisions(gateway, job) == []


def test_the_decision_page_of_results_refuses_broken_forms(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    broken: tuple[dict[str, str], ...] = (
        {"run": "x"},
        {"seen": "-1"},
        {"form": ""},
        {"form": "a" * 65},
        {"form": "é"},
    )
    for fields in broken:
        assert decide(user, job, "accepted", **fields).status_code == 400, fields
    for kind in ("", "approved", "ACCEPTED"):
        assert decide(user, job, kind).status_code == 400, kind
    assert decisions(gateway, job) == []


def test_a_job_without_results_has_no_page_of_decisions(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    job = gateway.open_job(gateway.receive(instance))
    for path in (f"/jobs/{job}/decide", "/jobs/unknown/decide"):
        assert user.get(path).status_code == 404


def test_opening_the_decision_page_of_results_is_on_record(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    user.get(f"/jobs/{job}/decide")
    found = gateway.jobs.job(job)
    assert found is not None
    kinds = [event.kind for event in history(gateway.database, found.study_instance_uid)]
    assert EventKind.VIEWED in kinds


def test_the_study_page_shows_decisions_on_results_and_a_link_to_the_sites_viewer(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    decide(user, job, "rejected", reason="The spleen <leaks>.")
    found = gateway.jobs.job(job)
    assert found is not None
    page = user.get(f"/studies/{found.study_instance_uid}").text
    assert "The spleen &lt;leaks&gt;." in page
    assert f"https://pacs.example/?StudyInstanceUIDs={found.study_instance_uid}" in page
    assert f'href="/jobs/{job}/decide"' in page


def test_after_a_decision_on_results_on_the_worklist_the_next_results_open(
    user: httpx.Client, gateway: Filled, instance: Path, job: str
) -> None:
    second = reviewed(gateway, instance, REVIEW)
    answer = decide(user, job, "accepted", worklist="")
    assert answer.headers["location"].startswith(f"/jobs/{second}/view/0?worklist=")
    answer = decide(user, second, "accepted", worklist="")
    assert answer.headers["location"].startswith("/review?")


def test_a_worklist_that_no_rule_can_be_called_is_the_list_of_all_rules(
    user: httpx.Client, job: str
) -> None:
    for name in ("\x00", "x" * 100):
        page = user.get(f"/jobs/{job}/decide", params={"worklist": name})
        assert page.status_code == 200
        assert 'name="worklist" value=""' in page.text


def test_the_review_section_needs_an_organization_for_verified_reports() -> None:
    with pytest.raises(ValueError, match="verified_reports needs organization"):
        ReviewSection(verified_reports=True)

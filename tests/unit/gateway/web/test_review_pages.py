"""Tests the worklist, the decided results, and the rates of decisions, on pages and as CSV."""

import csv
import re
import time
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.config import Role
from gateway.conflict_detection import ConflictDetector
from gateway.store.conflicts import ConflictList
from gateway.store.decision import DecisionKind
from gateway.store.job import Judgement
from tests.accounts import add_account
from tests.unit.gateway.store.reviewed_results import ReviewedResults
from tests.unit.gateway.web.browsing import log_in
from tests.unit.gateway.web.filling import Filled
from totalmap.finding import Verdict

REVIEW = Judgement(verdict=Verdict.REVIEW, reasons=("The liver is hollow.",))
HELD = Judgement(verdict=Verdict.REJECT, reasons=("The <b>spleen</b> is missing.",), is_held=True)
ALL = "/review/rates?weeks="
SCANNER = '=HYPERLINK("x")'


@pytest.fixture
def results(gateway: Filled) -> ReviewedResults:
    return ReviewedResults(gateway.database)


def names(page: httpx.Response) -> list[str]:
    return re.findall(r'<h3><a id="[^"]*" href="[^"]*">([^<]*)</a>', page.text)


def path_of(page: httpx.Response, link: str) -> str:
    found = re.search(rf'<a id="{link}[^"]*" [^>]*href="([^"]*)"', page.text)
    assert found, link
    return found[1].replace("&amp;", "&")


def decide(user: httpx.Client, path: str, kind: DecisionKind) -> str:
    """Sends a form of the page at a path; returns where it leads."""
    page = user.get(path)
    forms = re.findall(r'<form [^>]*action="([^"]*)">(.*?)</form>', page.text, re.DOTALL)
    (form,) = [form for form in forms if f'name="kind" value="{kind}"' in form[1]]
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[1]))
    return str(user.post(form[0], data={**fields, "reason": "data"}).headers["location"])


def make(gateway: Filled, instance: Path, name: str, judgement: Judgement = REVIEW) -> str:
    job_id = gateway.open_job(gateway.receive(instance, PatientName=name))
    gateway.succeed(job_id, judgement=judgement)
    return job_id


def test_the_worklist_shows_the_gravest_first_with_verdict_reasons_rule_and_preview(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    make(gateway, instance, "Old^One")
    held = make(gateway, instance, "Grave^One", HELD)
    make(gateway, instance, "Good^One", Judgement())
    page = user.get("/review")
    assert names(page) == ["Grave, One", "Old, One"]
    first, _, second = page.text.partition("Old, One")
    for expected in (
        "rejected by quality control",
        "held back",
        "&lt;b&gt;spleen&lt;/b&gt; is missing.",
        "Rule ct",
        f'src="/jobs/{held}/thumbnail"',
        "waiting for",
    ):
        assert expected in first, expected
    assert "needs review" in second
    assert "held back" not in second
    assert '<span id="waiting" class="tally">2</span>' in user.get("/").text


def test_after_each_decision_the_next_results_open_until_none_waits(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    second, first = make(gateway, instance, "B"), make(gateway, instance, "A", HELD)
    start = path_of(user.get("/review?rule=ct"), "start")
    assert start == f"/jobs/{first}/view/0?worklist=ct"
    after = decide(user, start, DecisionKind.REJECTED)
    assert urlsplit(after).path == f"/jobs/{second}/view/0"
    assert parse_qs(urlsplit(after).query) == {"worklist": ["ct"], "said": ["rejected"]}
    end = decide(user, after, DecisionKind.ACCEPTED)
    assert urlsplit(end).path == "/review"
    page = user.get(end)
    assert "The results are accepted." in page.text
    assert "No results of the rule ct wait for review." in page.text
    assert '<span id="waiting" class="tally"></span>' in page.text
    assert 'id="start"' not in page.text


def test_skipped_results_open_again_only_after_all_others_of_the_worklist(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    first = make(gateway, instance, "A", HELD)
    second, third, fourth = (make(gateway, instance, name) for name in "BCD")
    start = path_of(user.get("/review"), "start")
    after_skip = path_of(user.get(start), "onward")
    assert urlsplit(after_skip).path == f"/jobs/{second}/view/0"
    after_second_skip = path_of(user.get(after_skip), "onward")
    assert parse_qs(urlsplit(after_second_skip).query)["skipped"] == [second]
    after_decision = decide(user, after_second_skip, DecisionKind.ACCEPTED)
    assert urlsplit(after_second_skip).path == f"/jobs/{third}/view/0"
    assert urlsplit(after_decision).path == f"/jobs/{fourth}/view/0"
    assert path_of(user.get(after_decision), "onward") == "/review", "the end of the list"
    page = user.get("/review")
    assert urlsplit(path_of(page, "start")).path == f"/jobs/{first}/view/0"


def test_results_that_are_decided_meanwhile_lead_on_to_the_next_of_the_worklist(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    second, first = make(gateway, instance, "B"), make(gateway, instance, "A", HELD)
    start = path_of(user.get("/review"), "start")
    ReviewedResults(gateway.database).decide(first, DecisionKind.REJECTED)
    page = user.get(start)
    assert "Go on to the next results" in page.text
    assert urlsplit(path_of(page, "onward")).path == f"/jobs/{second}/view/0"
    assert 'id="onward"' not in user.get(f"/jobs/{first}/decide").text, "outside of the worklist"


def test_the_worklist_is_filtered_by_rule(user: httpx.Client, results: ReviewedResults) -> None:
    results.make("a", rule="ct", study="1.2.3")
    results.make("b", rule="mr & pet", study="1.2.4")
    page = user.get("/review", params={"rule": "mr & pet"})
    assert names(page) == ["…1.2.4"]
    assert '<option value="mr &amp; pet" selected>' in page.text
    assert path_of(page, "start") == "/jobs/b/decide?worklist=mr+%26+pet"
    assert len(names(user.get("/review"))) == 2
    assert len(names(user.get("/review", params={"rule": "\0"}))) == 2
    assert "<script>" not in user.get("/review", params={"rule": "<script>"}).text


def test_a_long_worklist_has_pages(user: httpx.Client, results: ReviewedResults) -> None:
    for number in range(27):
        results.make(f"a{number:02}", at=1000.0 + number)
    first = user.get("/review?rule=ct")
    assert "1\u201325 of 27" in first.text
    second = user.get(path_of(first, "page-older"))
    assert (len(names(first)), len(names(second))) == (25, 2)
    assert "26\u201327 of 27" in second.text
    assert path_of(second, "start") == "/jobs/a00/decide?worklist=ct", "the first of all"
    assert names(user.get("/review?page=9")) == names(second), "the last page"
    assert user.get(path_of(second, "page-newer")).text.count("<h3>") == 25


def test_results_of_a_deleted_study_or_one_in_conflict_are_listed(
    user: httpx.Client, gateway: Filled, instance: Path, results: ReviewedResults
) -> None:
    study = gateway.receive(instance, PatientName="First")
    gateway.succeed(gateway.open_job(study), judgement=REVIEW)
    gateway.receive(instance, PatientName="Other", PatientID="9", StudyInstanceUID=study)
    conflicts = ConflictList(gateway.database)
    ConflictDetector(gateway.ledger, conflicts, gateway.storage).detect(study)
    assert conflicts.undecided()
    results.make("a", study="1.2.3")
    page = user.get("/review")
    assert sorted(names(page)) == ["First", "…1.2.3"]
    for path in re.findall(r'class="button large" href="([^"]*)"', page.text):
        assert user.get(path.replace("&amp;", "&")).status_code == 200


def test_a_viewer_sees_the_lists_and_is_not_asked_to_decide(
    stranger: httpx.Client, gateway: Filled, results: ReviewedResults
) -> None:
    results.make("a")
    add_account(gateway.database, "anna", Role.VIEWER)
    assert log_in(stranger, user="anna").status_code == 303
    page = stranger.get("/review").text
    assert 'id="start"' not in page
    assert ">Open<" in page
    for path in ("/review/decided", ALL, "/review/rates.csv"):
        assert stranger.get(path).status_code == 200


def test_decided_results_are_listed_by_rule_and_reviewer_with_the_time_to_the_decision(
    user: httpx.Client, results: ReviewedResults
) -> None:
    for number, who in enumerate(("eva", "otto")):
        job_id = results.make(f"a{number}", study=f"1.2.{number}")
        results.decide(job_id, DecisionKind.REJECTED, at=1.0e9 + 90, who=who, reason="<i>no")
    page = user.get("/review/decided?rule=ct&who=eva")
    assert names(page) == ["…1.2.0"]
    for expected in ("eva, ", "&lt;i&gt;no", "1 min 30 s after the results", "rejected"):
        assert expected in page.text, expected
    assert "Nothing was decided in the last 90 days." in page.text
    assert names(user.get("/review/decided?who=nobody")) == []
    assert '<option value="otto">' in page.text
    assert page.text.count('aria-current="page"') == 2


def test_the_median_time_of_recent_decisions_is_that_of_the_shown_filter(
    user: httpx.Client, results: ReviewedResults
) -> None:
    now = time.time()
    for number, seconds in enumerate((60, 120, 600)):
        job_id = results.make(f"a{number}", at=now - 1000)
        who = "eva" if number < 2 else "otto"
        results.decide(job_id, DecisionKind.ACCEPTED, at=now - 1000 + seconds, who=who)
    page = user.get("/review/decided").text
    assert "last 90 days: 2 min 0 s (3 decisions)" in page
    assert "last 90 days: 10 min 0 s (1 decision)" in user.get("/review/decided?who=otto").text


def test_many_decisions_have_pages(user: httpx.Client, results: ReviewedResults) -> None:
    for number in range(26):
        results.decide(results.make(f"a{number:02}"), DecisionKind.ACCEPTED)
    first = user.get("/review/decided?who=eva")
    assert len(names(first)) == 25
    assert 'href="/review/decided?who=eva&amp;page=2"' in first.text
    second = user.get("/review/decided?who=eva&page=2")
    assert len(names(second)) == 1
    assert 'rel="next"' not in second.text
    assert 'rel="prev"' in second.text


@pytest.fixture
def judged(results: ReviewedResults) -> None:
    """Decisions about results of two rules, long ago."""
    about: dict[str, Any] = {"findings": ("HU", "SELF_MADE"), "scanner": SCANNER, "version": "0.9"}
    rejected = {**about, "structures": ("kidney_left",)}
    results.decide(results.make("a"), DecisionKind.REJECTED, **rejected)
    results.decide(results.make("b"), DecisionKind.ACCEPTED, **about)
    results.decide(results.make("c", rule="mr"), DecisionKind.ACCEPTED, version="1.0")


def tables(page: httpx.Response) -> list[list[str]]:
    """Returns the lines of all tables of rates, each as its cells."""
    lines = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", page.text, re.DOTALL)
    cells = (re.split("</t[hd]>", line)[:-1] for line in lines)
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in line] for line in cells]


@pytest.mark.usefixtures("judged")
def test_the_page_shows_the_rates_of_a_period_and_a_rule(user: httpx.Client) -> None:
    shown = tables(user.get(ALL))
    for line in (
        ["all decisions", "2", "0", "1", "3", "33.3 %", "33.3 %"],
        ["week 36, 2001", "2", "0", "1", "3", "33.3 %", "33.3 %"],
        ["Left kidney", "1", "3", "33.3 %", "33.3 %"],
        ["unusual density HU", "1", "0", "1", "2", "50.0 %", "50.0 %"],
        ["SELF_MADE", "1", "0", "1", "2", "50.0 %", "50.0 %"],
        ["not known", "1", "0", "0", "1", "0.0 %", "0.0 %"],
        ["1.0", "1", "0", "0", "1", "0.0 %", "0.0 %"],
    ):
        assert line in shown, line
    assert tables(user.get(f"{ALL}&rule=mr"))[0][:5] == ["all decisions", "1", "0", "0", "1"]
    for query in ("", "?weeks=4", "?weeks=x"):
        assert "Nothing was decided in this period." in user.get(f"/review/rates{query}").text
    assert '<option value="" selected>all decisions</option>' in user.get(ALL).text


@pytest.mark.usefixtures("judged")
def test_the_csv_has_all_rates_in_one_table_and_no_formula(user: httpx.Client) -> None:
    answer = user.get(path_of(user.get(f"{ALL}&rule=ct"), "csv"))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert 'attachment; filename="review-rates.csv"' in answer.headers["content-disposition"]
    rows = list(csv.reader(StringIO(answer.text)))
    assert rows[0] == (
        ["dimension", "value", "accepted", "rejected", "released", "decisions", "reject_rate"]
    )
    assert {tuple(row) for row in rows[1:]} == {
        ("all", "", "1", "1", "0", "2", "0.5000"),
        ("week", "2001-W36", "1", "1", "0", "2", "0.5000"),
        ("structure", "kidney_left", "", "1", "", "2", "0.5000"),
        ("finding", "HU", "1", "1", "0", "2", "0.5000"),
        ("finding", "SELF_MADE", "1", "1", "0", "2", "0.5000"),
        ("scanner", f"'{SCANNER}", "1", "1", "0", "2", "0.5000"),
        ("version", "0.9", "1", "1", "0", "2", "0.5000"),
    }
    assert len(list(csv.reader(StringIO(user.get("/review/rates.csv").text)))) == 1


def test_a_table_of_many_values_says_how_many_are_in_the_csv_only(
    user: httpx.Client, results: ReviewedResults
) -> None:
    findings = tuple(f"F{number}" for number in range(26))
    results.decide(results.make("a"), DecisionKind.ACCEPTED, findings=findings)
    assert "1 more is in the CSV." in user.get(ALL).text
    assert user.get("/review/rates.csv?weeks=").text.count("finding,") == 26

import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from gateway.dispatch.study_indexing import StudyIndexing
from gateway.store.events import EventKind
from gateway.store.schema import EVENTS
from gateway.store.study_index import StudyQuery
from gateway.web.saved_searches import SavedSearches
from gateway.web.search_page_data import EXPIRED, PROBLEM_DATE, PROBLEM_ORDER, PROBLEM_STATE
from tests.unit.gateway.web.browsing import form_token
from tests.unit.gateway.web.filling import Filled

MANY = 27


@pytest.fixture
def studies(gateway: Filled, instance: Path) -> list[str]:
    """Two indexed studies; the first is done."""
    patients = (("Müller^Eva", "4711", "A-100", "20261126"), ("Smith^Jo", "815", "", "20261120"))
    found = [
        gateway.receive(
            *(instance,),
            PatientName=name,
            PatientID=patient_id,
            AccessionNumber=number,
            StudyDate=date,
        )
        for name, patient_id, number, date in patients
    ]
    gateway.succeed(gateway.open_job(found[0]))
    StudyIndexing(gateway.storage, gateway.database).apply()
    return found


def search(client: httpx.Client, **fields: str) -> httpx.Response:
    """Fills in the form of the search, and follows the redirection."""
    form = {"form_token": form_token(client.get("/search")), **fields}
    return client.post("/search", data=form, follow_redirects=True)


def found(page: httpx.Response) -> list[str]:
    return re.findall(r"<h3><a [^>]*>([^<]*)</a>", page.text)


@pytest.mark.usefixtures("studies")
def test_the_search_page_finds_studies_by_patient_number_date_rule_and_state(
    user: httpx.Client,
) -> None:
    assert found(search(user)) == ["Müller, Eva", "Smith, Jo"]
    for fields in (
        {"patient": "mueller"},
        {"patient": "4711"},
        {"accession_number": "a100"},
        {"first_date": "2026-11-21", "last_date": "2026-11-26"},
        {"rule": "ct"},
        {"state": "done"},
    ):
        assert found(search(user, **fields)) == ["Müller, Eva"], fields
    page = search(user, patient="nobody")
    assert "No study was found" in page.text
    assert 'value="nobody"' in page.text


def test_a_study_found_on_the_search_page_shows_its_jobs_and_leads_to_its_page(
    user: httpx.Client, studies: list[str]
) -> None:
    page = search(user, patient="Müller").text
    assert f'href="/studies/{studies[0]}"' in page
    assert "ct: done" in page
    assert "Accession number A-100" in page
    without_job = user.get(f"/studies/{studies[1]}")
    assert "There is no job for this study." in without_job.text


@pytest.mark.usefixtures("studies")
def test_no_address_of_the_page_names_the_patient_that_a_user_searches_for(
    user: httpx.Client,
) -> None:
    page = search(user, patient="Müller", accession_number="A-100")
    addresses = [*(str(answer.url) for answer in page.history), str(page.url)]
    assert not any(word in address for address in addresses for word in ("ller", "A-100"))
    assert found(user.get(str(page.url))) == ["Müller, Eva"], "the address can be opened again"


def test_the_history_names_who_searched_and_by_which_attributes_and_not_the_patient(
    user: httpx.Client, gateway: Filled
) -> None:
    search(user, patient="Müller", first_date="2026-11-20")
    statement = select(EVENTS.c.who, EVENTS.c.detail).where(EVENTS.c.kind == EventKind.SEARCHED)
    with gateway.database.transaction() as connection:
        (event,) = connection.execute(statement).all()
    assert tuple(event) == ("Dr. Example", "patient, first_date")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"first_date": "yesterday"}, PROBLEM_DATE),
        ({"first_date": "2026-11-27", "last_date": "2026-11-26"}, PROBLEM_ORDER),
        ({"state": "<b>"}, PROBLEM_STATE),
    ],
)
def test_the_search_form_names_and_keeps_what_is_no_date_or_state(
    user: httpx.Client, fields: dict[str, str], problem: str
) -> None:
    page = search(user, patient="<i>", **fields).text
    assert problem in page
    assert 'value="&lt;i&gt;"' in page
    assert "<b>" not in page.partition('id="live"')[0].partition("<h1>")[2]


def test_a_study_search_with_many_studies_has_several_pages(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    for number in range(MANY):
        gateway.receive(instance, PatientName=f"Test^{number:02}")
    StudyIndexing(gateway.storage, gateway.database).apply(batch_seconds=60.0)
    first = search(user, patient="test")
    second = user.get(f"{first.url}&page=2")
    assert (len(found(first)), len(found(second))) == (25, MANY - 25)
    assert {*found(first), *found(second)} == {f"Test, {number:02}" for number in range(MANY)}
    assert "&amp;page=2" in first.text
    assert 'rel="next"' not in second.text
    assert found(user.get(f"{first.url}&page=999999")) == []


def test_the_search_page_counts_studies_that_are_not_indexed_yet(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    gateway.receive(instance)
    assert "1 study is not indexed yet" in search(user, patient="x").text


def test_the_page_asks_to_repeat_an_unknown_or_old_study_search(user: httpx.Client) -> None:
    assert EXPIRED in user.get("/search?search=unknown").text


def test_a_study_search_is_kept_for_its_user_alone_until_many_others_came() -> None:
    searches, query = SavedSearches(kept=2), StudyQuery(patient="Müller")
    name = searches.save("anna", query)
    assert searches.find("anna", name) == query
    assert searches.find("otto", name) is None
    for _ in range(2):
        searches.save("otto", query)
    assert searches.find("anna", name) is None

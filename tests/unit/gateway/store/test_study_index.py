from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from gateway.store.database import Database
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger
from gateway.store.study_index import (
    SearchedState,
    StudyAttributes,
    StudyIndex,
    StudyQuery,
    index_again,
)
from tests.postgres import running_postgres
from tests.unit.gateway.instances import ELSEWHERE, ONE, SECOND
from tests.unit.gateway.web.filling import new_job

EVA = StudyAttributes(
    study_instance_uid=ONE.study_instance_uid,
    patient_name="Müller, Eva",
    patient_id="4711-08",
    accession_number="A-100",
    study_date="2026-11-26",
    description="Thorax",
    modalities="CT",
    other_names="Müller^Eva=山田^太郎",
)
ADAM = StudyAttributes(
    study_instance_uid=ELSEWHERE.study_instance_uid,
    patient_name="Smith, Adam",
    patient_id="4712",
    accession_number="B200",
    study_date="2026-11-20",
)
FOUND = {"eva": replace(EVA, other_names=""), "adam": ADAM}


@pytest.fixture(params=["sqlite", "postgres"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StudyIndex]:
    """An index with two studies; the first has a job."""
    if request.param == "sqlite":
        with Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as database:
            yield filled(database)
        return
    with running_postgres() as url, Database(url) as database:
        yield filled(database)


def filled(database: Database) -> StudyIndex:
    index, ledger = StudyIndex(database), Ledger(database)
    ledger.add([ONE, ELSEWHERE])
    found = {each.study_instance_uid: each for each in (EVA, ADAM)}
    index.save((study, found[study.study_instance_uid]) for study in index.unindexed(10))
    (growing,) = [
        study
        for study in ledger.growing_studies()
        if study.study_instance_uid == EVA.study_instance_uid
    ]
    JobList(database).open(growing, [new_job(EVA.study_instance_uid)], "test")
    return index


QUERIES: dict[str, tuple[StudyQuery, list[str]]] = {
    "no condition": (StudyQuery(), ["eva", "adam"]),
    "name": (StudyQuery(patient="mueller e"), ["eva"]),
    "name in another script": (StudyQuery(patient="山田"), ["eva"]),
    "patient ID": (StudyQuery(patient="4711"), ["eva"]),
    "part of both IDs": (StudyQuery(patient="471"), ["eva", "adam"]),
    "another name": (StudyQuery(patient="miller"), []),
    "accession number": (StudyQuery(accession_number="a100"), ["eva"]),
    "first date": (StudyQuery(first_date=date(2026, 11, 21)), ["eva"]),
    "last date": (StudyQuery(last_date=date(2026, 11, 20)), ["adam"]),
    "rule": (StudyQuery(rule="ct"), ["eva"]),
    "another rule": (StudyQuery(rule="mr"), []),
    "state": (StudyQuery(state=SearchedState.WAITING), ["eva"]),
    "another state": (StudyQuery(rule="ct", state=SearchedState.NEEDS_REVIEW), []),
    "no job": (StudyQuery(state=SearchedState.NO_JOB), ["adam"]),
    "all conditions": (
        StudyQuery(
            patient="eva",
            accession_number="A-1",
            first_date=date(2026, 11, 26),
            last_date=date(2026, 11, 26),
            rule="ct",
            state=SearchedState.WAITING,
        ),
        ["eva"],
    ),
}


def test_the_study_search_finds_studies_by_each_condition_and_by_all_together(
    index: StudyIndex,
) -> None:
    for label, (query, names) in QUERIES.items():
        found = index.search(query, limit=10)
        assert found == [FOUND[name] for name in names], label


def test_each_page_of_a_study_search_continues_the_one_before(index: StudyIndex) -> None:
    pages = [index.search(StudyQuery(), limit=1, offset=offset) for offset in range(3)]
    assert pages == [[FOUND["eva"]], [ADAM], []]


def test_a_study_that_has_grown_or_changed_is_indexed_for_the_search_again(
    database: Database,
) -> None:
    index, ledger = filled(database), Ledger(database)
    assert index.count_unindexed() == 0
    ledger.add([SECOND])
    (grown,) = index.unindexed(10)
    assert (grown.study_instance_uid, grown.n_instances) == (ONE.study_instance_uid, 2)
    with database.transaction() as connection:  # while its attributes are being read
        index_again(connection, ONE.study_instance_uid)
    index.save([(grown, replace(EVA, patient_name="Old"))])
    assert index.of(ONE.study_instance_uid) is None
    (again,) = index.unindexed(10)
    index.save([(again, replace(EVA, patient_name="New"))])
    assert index.count_unindexed() == 0
    changed = index.of(ONE.study_instance_uid)
    assert changed is not None
    assert changed.patient_name == "New"


def test_the_study_search_lists_the_jobs_of_found_studies(index: StudyIndex) -> None:
    jobs = index.jobs_of([EVA.study_instance_uid, ADAM.study_instance_uid])
    assert [job.rule for job in jobs[EVA.study_instance_uid]] == ["ct"]
    assert jobs[ADAM.study_instance_uid] == []

from dataclasses import replace

from gateway.store.database import Database
from gateway.store.jobs import JobList
from gateway.store.ledger import EndedTransfer, GrowingStudy, Ledger
from tests.unit.gateway.instances import ELSEWHERE, ONE, SECOND


def test_the_ledger_returns_instances_in_the_order_in_which_they_came(ledger: Ledger) -> None:
    ledger.add([ONE, ELSEWHERE, SECOND])
    back = replace(ONE, sop_instance_uid="1.2.5", received_at=SECOND.received_at - 3600.0)
    ledger.add([SECOND, back])  # the clock was set back
    assert list(ledger.instances("1.2")) == [ONE, SECOND, back]
    assert [kept.arrival for kept in ledger.content("1.2")] == [1, 2, 3]
    assert ledger.content("1.2", until_arrival=2) == [ONE, SECOND]
    assert set(ledger.instances()) == {ONE, ELSEWHERE, SECOND, back}


def test_an_instance_that_is_added_to_the_ledger_again_changes_nothing(ledger: Ledger) -> None:
    ledger.add([ONE])
    ledger.add([replace(ONE, received_at=2000.0), SECOND])
    assert list(ledger.instances()) == [ONE, SECOND]


def test_another_content_of_an_instance_is_another_entry_in_the_ledger(ledger: Ledger) -> None:
    ledger.add([ONE])
    ledger.add([replace(ONE, sha256="b" * 64)])
    assert len(list(ledger.instances())) == 2


def end(ledger: Ledger, transfer: str, at: float, *, is_whole: bool = True) -> None:
    ledger.end_transfer(EndedTransfer(transfer=transfer, ended_at=at, is_whole=is_whole))


def test_a_study_in_the_ledger_grows_until_it_is_passed_on(
    ledger: Ledger, database: Database
) -> None:
    ledger.add([ONE, SECOND])
    (study,) = ledger.growing_studies()
    assert study == GrowingStudy(
        study_instance_uid="1.2",
        n_instances=2,
        last_received_at=SECOND.received_at,
        transfers_ended_at=None,
    )
    JobList(database).open(study, [], "")
    assert ledger.growing_studies() == []
    ledger.add([ONE, SECOND])
    assert ledger.growing_studies() == [], "an identical instance is nothing new"
    ledger.add([replace(ONE, sop_instance_uid="1.2.5")])
    (study,) = ledger.growing_studies()
    assert study.n_instances == 3
    assert study.last_received_at == SECOND.received_at


def test_the_ledger_does_not_lose_an_instance_that_comes_while_its_study_is_passed_on(
    ledger: Ledger, database: Database
) -> None:
    ledger.add([ONE])
    (study,) = ledger.growing_studies()
    ledger.add([SECOND])
    JobList(database).open(study, [], "")
    (again,) = ledger.growing_studies()
    assert again.n_instances == 2


def test_the_ledger_keeps_the_time_at_which_the_last_transfer_of_a_study_ended(
    ledger: Ledger,
) -> None:
    ledger.add([ONE, replace(SECOND, transfer="second")])
    end(ledger, "first", 1002.0)
    assert [study.transfers_ended_at for study in ledger.growing_studies()] == [None]
    end(ledger, "second", 1003.0)
    assert [study.transfers_ended_at for study in ledger.growing_studies()] == [1003.0]


def test_a_transfer_that_was_cut_off_has_not_ended_in_the_ledger(ledger: Ledger) -> None:
    ledger.add([ONE])
    end(ledger, "first", 1002.0, is_whole=False)
    assert [study.transfers_ended_at for study in ledger.growing_studies()] == [None]


def test_the_ledger_lists_growing_studies_oldest_first(ledger: Ledger) -> None:
    ledger.add([ONE])
    ledger.add([ELSEWHERE])
    assert [study.study_instance_uid for study in ledger.growing_studies()] == ["1.3", "1.2"]

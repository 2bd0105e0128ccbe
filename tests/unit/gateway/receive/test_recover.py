"""A ledger that knows less than the storage has."""

import shutil
from pathlib import Path

import pytest

from gateway.receive.intake import Intake, describe
from gateway.receive.recover import SENDER, recover
from gateway.record.ledger import KeptInstance, Ledger
from gateway.record.storage import Storage
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.receive.test_intake import received


@pytest.fixture
def lost(storage: Storage, phantom_series: WrittenSeries) -> KeptInstance:
    """An instance that is stored and of which the ledger knows nothing."""
    file = received(storage, phantom_series.paths[0])
    instance = describe(file)
    storage.keep(file.path, instance.study_instance_uid, instance.sha256)
    return instance


def test_what_the_ledger_has_lost_is_on_record_again(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    content = storage.path(lost).read_bytes()
    recovered = recover(storage, ledger)
    assert (recovered.removed, recovered.recorded) == (0, 1)
    (found,) = ledger.instances()
    assert (found.sop_instance_uid, found.sha256) == (lost.sop_instance_uid, lost.sha256)
    assert found.sender == SENDER
    assert found.received_at == storage.path(lost).stat().st_mtime
    assert storage.path(found).read_bytes() == content
    assert recover(storage, ledger).recorded == 0


def test_nothing_says_that_its_study_is_whole(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    recover(storage, ledger)
    (study,) = ledger.growing_studies()
    assert study.study_instance_uid == lost.study_instance_uid
    assert study.transfers_ended_at is None


def test_what_is_on_record_stays_as_it_is(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    kept = intake.take(received(storage, phantom_series.paths[0]))
    recover(storage, ledger)
    assert list(ledger.instances()) == [kept]


def test_what_is_torn_or_half_received_is_removed(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    torn = storage.path(lost)
    torn.write_bytes(torn.read_bytes()[:-1])
    storage.new_file().write_bytes(b"half")
    recovered = recover(storage, ledger)
    assert (recovered.removed, recovered.recorded) == (2, 0)
    assert not torn.exists()
    assert not list(storage.incoming.iterdir())
    assert not list(ledger.instances())


def test_what_somebody_else_has_put_there_is_left(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    elsewhere = Path(shutil.copytree(storage.path(lost).parent, storage.study_folder("1.2.3")))
    recovered = recover(storage, ledger)
    assert (recovered.removed, recovered.recorded) == (0, 1)
    assert len(list(elsewhere.iterdir())) == 1

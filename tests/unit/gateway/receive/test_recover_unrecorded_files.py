"""Tests recovery of stored files that are not in the ledger."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.receive.intake import Intake, describe
from gateway.receive.recover_unrecorded_files import SENDER, recover, repair
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance, Ledger
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.instances import ELSEWHERE
from tests.unit.gateway.receive.test_intake import received


@contextmanager
def calls_counted() -> Iterator[list[str]]:
    """Yields the names of files and folders that are opened or listed in the block."""
    calls: list[str] = []
    is_over = False

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if not is_over and event in ("open", "os.listdir", "os.scandir"):
            calls.append(str(arguments[0]))

    sys.addaudithook(note)  # for good
    try:
        yield calls
    finally:
        is_over = True


@pytest.fixture
def cut_off(storage: Storage, phantom_series: WrittenSeries) -> KeptInstance:
    """An instance whose receiver was killed when it was stored and not yet in the ledger."""
    file = received(storage, phantom_series.paths[0])
    instance = describe(file)
    storage.keep(file.path, instance.study_instance_uid, instance.sha256)
    return instance


@pytest.fixture
def lost(storage: Storage, cut_off: KeptInstance) -> KeptInstance:
    """An instance that is stored, and of which the ledger does not know any more."""
    for file in storage.incoming.iterdir():
        file.unlink()
    return cut_off


def test_a_start_of_the_receiver_records_an_instance_whose_commit_was_cut_off(
    storage: Storage, ledger: Ledger, cut_off: KeptInstance
) -> None:
    ledger.add([ELSEWHERE])
    storage.new_file().write_bytes(b"half")
    recovered = recover(storage, ledger)
    assert (recovered.removed, recovered.recorded) == (1, 1)
    (found,) = ledger.instances(cut_off.study_instance_uid)
    assert found.received_at == storage.path(cut_off).stat().st_mtime
    assert not list(storage.incoming.iterdir())


def test_the_work_at_a_start_of_the_receiver_does_not_grow_with_the_stored_files(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    ledger.add([ELSEWHERE])
    looked_at = []
    for number in range(2):
        for n in range(100 * number):
            folder = storage.study_folder(f"1.2.{n}")
            folder.mkdir()
            (folder / f"{n:064}").touch()
        cut = storage.new_file()
        cut.hardlink_to(storage.path(lost))
        with calls_counted() as calls:
            recover(storage, ledger)
        looked_at.append(len(calls))
    assert looked_at[0] == looked_at[1]


def test_recovery_records_stored_instances_that_the_ledger_has_lost_again(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    content = storage.path(lost).read_bytes()
    recovered = recover(storage, ledger)  # all is looked at, for the ledger is empty
    assert (recovered.removed, recovered.recorded) == (0, 1)
    (found,) = ledger.instances()
    assert (found.sop_instance_uid, found.sha256) == (lost.sop_instance_uid, lost.sha256)
    assert found.sender == SENDER
    assert found.received_at == storage.path(lost).stat().st_mtime
    assert storage.path(found).read_bytes() == content
    assert recover(storage, ledger).recorded == 0


def test_the_study_of_a_recovered_instance_does_not_count_as_complete(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    recover(storage, ledger)
    (study,) = ledger.growing_studies()
    assert study.study_instance_uid == lost.study_instance_uid
    assert study.transfers_ended_at is None


def test_recovery_of_unrecorded_files_leaves_recorded_instances_unchanged(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    kept = intake.take(received(storage, phantom_series.paths[0]))
    for bring in (recover, repair):
        bring(storage, ledger)
        assert list(ledger.instances()) == [kept]


def test_recovery_of_unrecorded_files_removes_truncated_and_partly_received_files(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    torn = storage.path(lost)
    torn.write_bytes(torn.read_bytes()[:-1])
    storage.new_file().write_bytes(b"half")
    recovered = repair(storage, ledger)
    assert (recovered.removed, recovered.recorded) == (2, 0)
    assert not torn.exists()
    assert not list(storage.incoming.iterdir())
    assert not list(ledger.instances())


def test_recovery_of_unrecorded_files_leaves_files_of_others_in_the_storage_folder(
    storage: Storage, ledger: Ledger, lost: KeptInstance
) -> None:
    elsewhere = Path(shutil.copytree(storage.path(lost).parent, storage.study_folder("1.2.3")))
    recovered = repair(storage, ledger)
    assert (recovered.removed, recovered.recorded) == (0, 1)
    assert len(list(elsewhere.iterdir())) == 1

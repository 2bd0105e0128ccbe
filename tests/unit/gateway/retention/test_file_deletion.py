"""Tests how files of deleted studies are removed, and which stay because they came again."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from gateway.retention.file_deletion import STEP_SECONDS, FileDeletion
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance, Ledger
from gateway.store.schema import INSTANCES, LEAVING, STUDIES
from tests.unit.gateway.instances import ONE, SECOND

OLD_SECONDS = 1000.0


class Clock:
    """Is moved by hand."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def next_step(self) -> None:
        self.now += STEP_SECONDS + 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path, storage: Storage) -> Path:
    assert storage.incoming.parent == tmp_path / "storage"
    return tmp_path / "storage" / "leaving"


@pytest.fixture
def leaving(folder: Path, storage: Storage, database: Database, clock: Clock) -> FileDeletion:
    return FileDeletion(folder, storage, database, clock)


def keep(storage: Storage, instance: KeptInstance, *, is_old: bool = True) -> Path:
    """Puts a file where the receiver would."""
    file = storage.incoming / "one"
    file.write_text(instance.sha256)
    if is_old:
        moment = time.time() - OLD_SECONDS
        os.utime(file, (moment, moment))
    storage.keep(file, instance.study_instance_uid, instance.sha256)
    file.unlink()  # as the receiver does when the file is on record
    return storage.path(instance)


def delete_study(leaving: FileDeletion, database: Database) -> None:
    with database.transaction() as connection:
        for table in (INSTANCES, STUDIES):
            connection.execute(delete(table).where(table.c.study_instance_uid == "1.2"))
        leaving.begin(connection, "1.2")


def is_leaving(database: Database) -> bool:
    with database.transaction() as connection:
        return bool(connection.execute(select(func.count()).select_from(LEAVING)).scalar_one())


def test_files_of_a_deleted_study_are_moved_and_then_removed(
    leaving: FileDeletion,
    folder: Path,
    storage: Storage,
    database: Database,
    ledger: Ledger,
    clock: Clock,
) -> None:
    files = [keep(storage, item) for item in (ONE, SECOND)]
    ledger.add([ONE, SECOND])
    delete_study(leaving, database)
    leaving.go_on()
    assert all(file.exists() for file in files), "the audit trail reads them"
    clock.next_step()
    leaving.go_on()
    assert not files[0].parent.exists()
    assert len([*folder.glob("*/*")]) == 2
    leaving.go_on()
    assert len([*folder.glob("*/*")]) == 2
    clock.next_step()
    leaving.go_on()
    assert [*folder.iterdir()] == []
    assert not is_leaving(database)


def test_the_deletion_of_a_study_continues_after_a_crash(
    leaving: FileDeletion, folder: Path, storage: Storage, database: Database, clock: Clock
) -> None:
    file = keep(storage, ONE)
    delete_study(leaving, database)
    (folder / file.parent.name).mkdir()  # the crash came before the first file was moved
    for _ in range(2):
        clock.next_step()
        FileDeletion(folder, storage, database, clock).go_on()
    assert not file.exists()
    assert [*folder.iterdir()] == []


def test_the_deletion_of_a_study_leaves_a_file_whose_instance_came_again(
    leaving: FileDeletion, storage: Storage, database: Database, ledger: Ledger, clock: Clock
) -> None:
    stays, goes = keep(storage, ONE), keep(storage, SECOND)
    delete_study(leaving, database)
    keep(storage, ONE)
    ledger.add([ONE])
    for _ in range(3):
        clock.next_step()
        leaving.go_on()
    assert stays.read_text() == ONE.sha256
    assert not goes.exists()


def test_a_file_moved_for_deletion_is_moved_back_if_its_instance_comes_again(
    leaving: FileDeletion, storage: Storage, database: Database, ledger: Ledger, clock: Clock
) -> None:
    file = keep(storage, ONE)
    delete_study(leaving, database)
    keep(storage, ONE)  # there is a file already, so nothing is kept; its row is on the way
    clock.next_step()
    leaving.go_on()
    assert not file.exists()
    ledger.add([ONE])
    leaving.go_on()
    assert file.read_text() == ONE.sha256
    for _ in range(3):
        clock.next_step()
        leaving.go_on()
    assert file.read_text() == ONE.sha256
    assert not is_leaving(database)


def test_a_file_that_is_being_received_is_not_moved_for_deletion(
    leaving: FileDeletion, storage: Storage, database: Database, ledger: Ledger, clock: Clock
) -> None:
    keep(storage, ONE)
    delete_study(leaving, database)
    clock.next_step()
    arriving = keep(storage, SECOND, is_old=False)
    os.utime(arriving, (clock.now, clock.now))
    leaving.go_on()
    assert arriving.exists()
    ledger.add([SECOND])
    for _ in range(2):
        clock.next_step()
        leaving.go_on()
    assert arriving.exists()
    assert not storage.path(ONE).exists()


def test_no_file_is_moved_for_deletion_while_its_study_is_received_again(
    leaving: FileDeletion, storage: Storage, database: Database, ledger: Ledger, clock: Clock
) -> None:
    file = keep(storage, ONE)
    delete_study(leaving, database)
    clock.next_step()
    ledger.add([replace(SECOND, received_at=clock.now)])
    leaving.go_on()
    assert file.exists()
    clock.next_step()
    leaving.go_on()
    assert not file.exists()


def test_a_study_that_is_deleted_twice_in_a_row_is_removed_completely(
    leaving: FileDeletion, folder: Path, storage: Storage, database: Database, clock: Clock
) -> None:
    keep(storage, ONE)
    delete_study(leaving, database)
    clock.next_step()
    leaving.go_on()
    keep(storage, SECOND)
    delete_study(leaving, database)
    for _ in range(2):
        clock.next_step()
        leaving.go_on()
    assert not storage.path(SECOND).exists()
    assert [*folder.iterdir()] == []


def test_files_that_can_not_be_deleted_do_not_delay_other_studies(
    leaving: FileDeletion,
    folder: Path,
    storage: Storage,
    database: Database,
    clock: Clock,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stuck = keep(storage, ONE)
    (folder / stuck.parent.name).write_text("in the way")
    other = keep(storage, replace(ONE, study_instance_uid="1.3"))
    delete_study(leaving, database)
    with database.transaction() as connection:
        leaving.begin(connection, "1.3")
    clock.next_step()
    leaving.go_on()
    assert stuck.exists()
    assert not other.exists()
    logged = capfd.readouterr()
    assert "not_deleted" in logged.out + logged.err


def test_the_folder_of_a_deleted_job_is_removed_with_its_content(
    leaving: FileDeletion, folder: Path, storage: Storage
) -> None:
    job = storage.output_folder("j")
    job.mkdir(parents=True)
    (job / "seg.dcm").write_text("")
    for _ in range(2):
        leaving.remove(storage.job_folder("j"), "j")
    assert not storage.job_folder("j").exists()
    assert [*folder.iterdir()] == []


def test_the_rest_of_a_deleted_folder_is_removed_after_a_crash(
    leaving: FileDeletion, folder: Path
) -> None:
    (folder / "j").mkdir()
    (folder / "j" / "seg.dcm").write_text("")
    leaving.go_on()
    assert [*folder.iterdir()] == []

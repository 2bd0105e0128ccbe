"""Tests backup, restore and verification of a store with studies, results and jobs."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from zipfile import ZipFile

import pytest
import yaml
from sqlalchemy import NullPool, create_engine, text
from typer.testing import CliRunner, Result

from cli.__main__ import app
from gateway.backup.backup import back_up, verify_backup
from gateway.backup.restore import migrate, restore
from gateway.config import GatewaySettings, load_gateway_settings
from gateway.receive.intake import Intake
from gateway.store.accounts import AccountList
from gateway.store.database import LEDGER_FILE, open_database
from gateway.store.file_storage import Storage
from gateway.store.job import JobState
from gateway.store.jobs import JobList
from gateway.store.ledger import KeptInstance, Ledger
from gateway.store.sessions import SessionList
from gateway.store.workers import WorkerList
from tests.accounts import USER, add_account
from tests.phantom.study import WrittenSeries
from tests.postgres import running_postgres
from tests.unit.gateway.receive.test_intake import received
from tests.unit.gateway.store.test_migrate_schema import OLD_STORE
from totalmap.errors import ConfigError, ExitStatus

N_INSTANCES = 48
STATES = [JobState.SEGMENTED, JobState.RUNNING, JobState.QUEUED]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with ZipFile(OLD_STORE) as store:
        store.extractall(tmp_path / "storage")
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump({"storage_folder": str(tmp_path / "storage")}))
    return path


@pytest.fixture
def settings(file: Path) -> GatewaySettings:
    return load_gateway_settings(file)


@pytest.fixture
def backup(file: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "backup"
    done = run("backup", folder, "-c", file)
    assert done.exit_code == 0, done.output
    assert f"{N_INSTANCES} instances" in done.output
    return folder


def run(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["gateway", *map(str, words)])


def instances(settings: GatewaySettings) -> list[KeptInstance]:
    with open_database(settings) as database:
        return [*Ledger(database).instances()]


def states(settings: GatewaySettings) -> list[JobState]:
    with open_database(settings) as database:
        jobs = JobList(database).jobs(list(JobState))
        return [job.state for job in sorted(jobs, key=lambda job: job.created_at)]


def take(settings: GatewaySettings, paths: Sequence[Path]) -> Iterator[KeptInstance]:
    storage = Storage(settings.storage_folder)
    with (
        open_database(settings) as database,
        closing(Intake(storage, Ledger(database), keep_free_gb=0.0)) as intake,
    ):
        for path in paths:
            yield intake.take(received(storage, path))


def test_a_damaged_ledger_is_restored_from_a_backup_with_what_came_after_it(
    settings: GatewaySettings, file: Path, backup: Path, phantom_series: WrittenSeries
) -> None:
    storage = Storage(settings.storage_folder)
    lost = storage.path(instances(settings)[0])
    list(take(settings, phantom_series.paths[:1]))
    before = {instance.sha256 for instance in instances(settings)}
    lost.unlink()
    ledger = settings.storage_folder / LEDGER_FILE
    os.truncate(ledger, ledger.stat().st_size // 2)
    assert run("verify", "-c", file).exit_code == ExitStatus.OWN_CHECK
    done = run("restore", backup, "-c", file)
    assert done.exit_code == 0, done.output
    assert "1 instances that came after" in done.output
    assert {instance.sha256 for instance in instances(settings)} == before
    assert states(settings) == STATES
    assert run("verify", "-c", file).exit_code == 0


def test_a_backup_of_the_gateway_is_restored_into_an_empty_folder(
    settings: GatewaySettings, backup: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(yaml.safe_dump({"storage_folder": str(tmp_path / "new")}))
    done = run("restore", backup, "-c", elsewhere)
    assert done.exit_code == 0, done.output
    new = load_gateway_settings(elsewhere)
    assert instances(new) == instances(settings)
    assert states(new) == STATES
    assert run("verify", "-c", elsewhere).exit_code == 0


def test_a_restore_of_a_backup_ends_the_sessions_of_all_users(
    settings: GatewaySettings, file: Path, tmp_path: Path
) -> None:
    with open_database(settings) as database:
        add_account(database)
        account = AccountList(database).require(USER)
        token = SessionList(database, 100.0, 100.0).open(account, "10.0.0.1").token
    run("backup", tmp_path / "backup", "-c", file)
    assert run("restore", tmp_path / "backup", "-c", file).exit_code == 0
    with open_database(settings) as database:
        assert AccountList(database).find(USER) is not None
        assert SessionList(database, 100.0, 100.0).find(token, is_acting=True) is None


def test_a_gateway_backup_made_while_instances_come_in_is_consistent(
    settings: GatewaySettings, file: Path, tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    come = Event()

    def keep_taking() -> list[KeptInstance]:
        taken = []
        for instance in take(settings, phantom_series.paths):
            taken.append(instance)
            come.set()
        return taken

    with ThreadPoolExecutor() as pool:
        taking = pool.submit(keep_taking)
        assert come.wait(60)
        done = run("backup", tmp_path / "backup", "-c", file)
        taking.result()
    assert done.exit_code == 0, done.output
    assert run("verify", tmp_path / "backup").exit_code == 0
    saved = instances(GatewaySettings(storage_folder=tmp_path / "backup"))
    assert N_INSTANCES < len(saved) <= len(instances(settings))


@pytest.mark.parametrize("says", ["missing", "changed"])
def test_the_gateway_command_verify_names_stored_files_that_are_missing_or_changed(
    settings: GatewaySettings, file: Path, backup: Path, says: str
) -> None:
    instance = instances(settings)[0]
    for folder, words in ((settings.storage_folder, ["-c", file]), (backup, [backup])):
        path = Storage(folder).path(instance)
        content = path.read_bytes()
        path.unlink()
        if says == "changed":
            path.write_bytes(content[:-1] + b"?")
        done = run("verify", *words)
        assert done.exit_code == ExitStatus.OWN_CHECK
        assert f"{path.name}: {says}" in done.output
        assert "1 files are missing or changed" in done.output


def test_an_incomplete_or_changed_gateway_backup_is_refused(file: Path, backup: Path) -> None:
    with (backup / LEDGER_FILE).open("ab") as ledger:
        ledger.write(b"more")
    assert "ledger.sqlite is changed" in run("restore", backup, "-c", file).output
    (backup / "SHA256SUMS").unlink()
    for command in ("restore", "verify"):
        done = run(command, backup, *(["-c", file] if command == "restore" else []))
        assert done.exit_code == ExitStatus.INPUT
        assert "it is no backup, or one that was cut off" in done.output


def test_a_gateway_backup_into_a_folder_with_files_is_refused(file: Path, tmp_path: Path) -> None:
    done = run("backup", tmp_path, "-c", file)
    assert done.exit_code == ExitStatus.USAGE
    assert "is not empty" in done.output


def test_the_gateway_command_repair_records_files_that_the_ledger_does_not_have(
    settings: GatewaySettings, file: Path
) -> None:
    instance = instances(settings)[0]
    with open_database(settings) as database, database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM instances WHERE sha256 = ?", (instance.sha256,))
    assert "Put on record: 1 files." in run("repair", file).output
    assert len(instances(settings)) == N_INSTANCES


def test_a_ledger_in_postgres_is_saved_in_a_backup_and_restored(
    settings: GatewaySettings, tmp_path: Path
) -> None:
    before = instances(settings)
    with running_postgres() as url:
        server = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with server.connect() as connection:
            connection.execute(text("CREATE DATABASE other"))
        saved = settings.model_copy(update={"ledger_url": url})
        migrate(saved)
        back_up(saved, tmp_path / "backup")
        assert [*verify_backup(tmp_path / "backup")] == []
        new = saved.model_copy(
            update={
                "storage_folder": tmp_path / "new",
                "ledger_url": f"{url.rpartition('/')[0]}/other",
            }
        )
        restore(new, tmp_path / "backup")
        assert instances(new) == before
        assert states(new) == STATES
        with open_database(new) as database:
            # The next event gets a number that no other has.
            WorkerList(database).pause("test", is_paused=True)
        with pytest.raises(ConfigError, match="name an empty database"):
            restore(new, tmp_path / "backup")


def test_a_gateway_backup_on_another_file_system_holds_copies(
    settings: GatewaySettings, backup: Path
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        assert folder.stat().st_dev != settings.storage_folder.stat().st_dev
        back_up(settings, folder)
        assert (folder / "SHA256SUMS").read_text() == (backup / "SHA256SUMS").read_text()
        assert [*verify_backup(folder)] == []

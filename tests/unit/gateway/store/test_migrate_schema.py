"""Tests the layout of the database: new, upgraded from version 0.1.0, and downgraded."""

import sqlite3
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, inspect, text

from gateway.config import Role
from gateway.store import migrate_schema
from gateway.store.accounts import AccountList
from gateway.store.audit_events import record_logged_in
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryList
from gateway.store.events import history
from gateway.store.schema import LAYOUT, METADATA
from tests.conftest import REPOSITORY
from tests.postgres import running_postgres
from totalmap.errors import ConfigError

OLD_STORE = REPOSITORY / "tests" / "store-0.1.0.zip"


@pytest.fixture
def old_ledger(tmp_path: Path) -> Path:
    with ZipFile(OLD_STORE) as store:
        return Path(store.extract("ledger.sqlite", tmp_path))


def content(file: Path) -> list[str]:
    """Returns a ledger as SQL: all rows, and all tables but for the one of alembic."""
    with sqlite3.connect(file) as connection:
        return sorted(line for line in connection.iterdump() if "alembic" not in line)


def differences(connection: Connection) -> list[object]:
    """Returns in what the tables differ from those that the code describes."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, METADATA))


def downgrade(url: str, version: str) -> None:
    with Database(url) as database:
        database.downgrade(version)


# An index of an expression is not compared.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection", "ignore:autogenerate skipping")
def test_the_database_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        for url in (f"sqlite:///{tmp_path / 'ledger.sqlite'}", postgres):
            Database(url).close()
            with create_engine(url, poolclass=NullPool).connect() as connection:
                assert differences(connection) == []
                found = connection.execute(text("SELECT version_num FROM alembic_version"))
                assert found.scalars().all() == [LAYOUT]


def test_the_newest_database_migration_is_the_layout_of_the_code() -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(migrate_schema.__file__).parent / "migrations")
    )
    assert ScriptDirectory.from_config(config).get_heads() == [LAYOUT]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection", "ignore:autogenerate skipping")
def test_a_ledger_of_0_1_0_is_upgraded_and_downgraded_without_changes(old_ledger: Path) -> None:
    before, url = content(old_ledger), f"sqlite:///{old_ledger}"
    for _ in range(2):
        Database(url).close()
        with create_engine(url, poolclass=NullPool).connect() as connection:
            assert differences(connection) == []
            # Version 0.1.0 compares it with 1, and refuses the upgraded ledger.
            assert connection.execute(text("SELECT version FROM schema")).scalar() != 1
        downgrade(url, "0.1.0")
        assert content(old_ledger) == before


def test_a_ledger_of_a_later_version_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    Database(f"sqlite:///{file}").close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = content(file)
    with pytest.raises(ConfigError, match=r"the ledger has layout 9999.*up to " + LAYOUT):
        Database(f"sqlite:///{file}")
    assert content(file) == before


def test_a_downgrade_of_the_database_to_an_unknown_version_is_refused(old_ledger: Path) -> None:
    with pytest.raises(ConfigError, match=r"version 0\.0\.9: choose one of 0\.1\.0"):
        downgrade(f"sqlite:///{old_ledger}", "0.0.9")


# Kind, job, who and detail, as version 0.1.0 stored them; the object, its name, the outcome and
# the detail after the upgrade.
CONVERTED = {
    ("received", None, "CT1", "2 instances"): ("study", None, "success", "2 instances"),
    ("started", "j", "host-1", "attempt 1"): ("job", None, "success", "attempt 1"),
    ("postponed", "j", None, "no memory"): ("job", None, "minor failure", "no memory"),
    ("dead", "j", None, "to be or not: a reason"): (
        *("job", None, "serious failure", "to be or not: a reason"),
    ),
    ("dead", "j", None, "to pacs: it is down: 5"): (
        *("delivery", "pacs", "serious failure", "it is down: 5"),
    ),
    ("delivered", "j", None, "to pacs"): ("delivery", "pacs", "success", None),
    ("not delivered", "j", None, "to a_b-c: down"): ("delivery", "a_b-c", "minor failure", "down"),
    ("retried", "j", "anna", None): ("job", None, "success", None),
    ("retried", "j", "anna", "to pacs"): ("delivery", "pacs", "success", None),
    ("superseded", None, None, "grown"): ("study", None, "success", "grown"),
    ("superseded", "j", None, "grown"): ("job", None, "success", "grown"),
    ("viewed", None, "anna", None): ("study", None, "success", None),
    ("viewed", "j", "anna", "results/seg.dcm"): ("result", "results/seg.dcm", "success", None),
    ("deleted", "j", None, "results: 5 files"): ("results", None, "success", "results: 5 files"),
    ("deleted", None, None, "sources: 9"): ("sources", None, "success", "sources: 9"),
    ("login failed", None, "eve", "wrong name or password"): (
        *("session", None, "minor failure", "wrong name or password"),
    ),
    ("login failed", None, "eve", "too many attempts"): (
        *("session", None, "serious failure", "too many attempts"),
    ),
    ("rejected", None, "X", "not known"): ("connection", None, "minor failure", "not known"),
    ("started up", None, "receive", None): ("process", "receive", "success", None),
    ("paused", None, "anna", None): ("queue", None, "success", None),
    ("clock jumped", None, None, "by +90 s"): ("clock", None, "success", "by +90 s"),
}
_INSERT_OLD = text(
    "INSERT INTO events (at, study_instance_uid, what, job_id, who, detail)"
    " VALUES (1.0, '1.2', :what, :job_id, :who, :detail)"
)
_SELECT_OLD = text("SELECT what, job_id, who, detail FROM events ORDER BY event_id")


def test_a_migration_of_the_database_converts_stored_events_to_typed_columns_and_back(
    tmp_path: Path,
) -> None:
    names = ("what", "job_id", "who", "detail")
    rows = [dict(zip(names, row, strict=True)) for row in CONVERTED]
    with running_postgres() as postgres:
        for url in (f"sqlite:///{tmp_path / 'ledger.sqlite'}", postgres):
            Database(url).close()
            downgrade(url, "0.1.0")
            with create_engine(url, poolclass=NullPool).begin() as connection:
                connection.execute(_INSERT_OLD, rows)
            with Database(url) as database:
                found = [
                    (event.object_kind, event.object_name, event.outcome, event.detail)
                    for event in history(database, "1.2")
                ]
            assert found == list(CONVERTED.values())
            downgrade(url, "0.1.0")
            with create_engine(url, poolclass=NullPool).connect() as connection:
                assert [tuple(row) for row in connection.execute(_SELECT_OLD)] == list(CONVERTED)


_INSERT_JOB = text(
    "INSERT INTO jobs (job_id, study_instance_uid, rule, sender, content_digest, content_until,"
    " n_images, is_urgent, application, destinations, state, attempts, run, not_before,"
    " is_enqueued, created_at)"
    " VALUES (:job_id, '1.2', 'all', 'CT1', :job_id, 1, 1, :no, '{}', '{}', 'superseded', 1, 1, 0,"
    " :no, 1)"
)
_INSERT_DELIVERY = text(
    "INSERT INTO deliveries (job_id, destination, state, attempts, run, not_before, is_enqueued,"
    " created_at, is_asked) VALUES (:job_id, :destination, :state, 3, 1, 0, :no, 1, :no)"
)
_INSERT_REPLACED = text(
    "INSERT INTO replaced_results (job_id, destination, replaced_at, new_job_id, is_note_alone)"
    " VALUES (:job_id, :destination, 1, 'new', :is_note_alone)"
)
_SELECT_DELIVERIES = text("SELECT job_id, destination, state FROM deliveries")
DELIVERED_BEFORE = {
    *(("old", "pacs", "delivered"), ("new", "pacs", "waiting")),
    *(("old", "archive", "delivered"), ("new", "archive", "dead")),
    *(("old", "viewer", "committed"), ("new", "viewer", "delivered")),
}


def test_a_migration_of_the_database_gives_waiting_notes_of_rejection_their_deliveries(
    tmp_path: Path,
) -> None:
    with running_postgres() as postgres:
        for url in (f"sqlite:///{tmp_path / 'ledger.sqlite'}", postgres):
            Database(url).close()
            downgrade(url, "0.2.0")
            with create_engine(url, poolclass=NullPool).begin() as connection:
                for job_id in ("old", "new"):
                    connection.execute(_INSERT_JOB, {"job_id": job_id, "no": False})
                for job_id, destination, state in DELIVERED_BEFORE:
                    row = {"job_id": job_id, "destination": destination, "state": state}
                    connection.execute(_INSERT_DELIVERY, {**row, "no": False})
                for destination in ("pacs", "archive", "viewer"):
                    row = {"job_id": "old", "destination": destination}
                    is_alone = destination == "archive"
                    connection.execute(_INSERT_REPLACED, {**row, "is_note_alone": is_alone})
            with Database(url) as database:
                waiting = DeliveryList(database).unqueued()
                assert {(delivery.job_id, delivery.destination) for delivery in waiting} == {
                    *(("old", "pacs"), ("old", "archive")),
                }
                assert all(delivery.is_rejection for delivery in waiting)
            downgrade(url, "0.2.0")
            with create_engine(url, poolclass=NullPool).connect() as connection:
                found = {tuple(row) for row in connection.execute(_SELECT_DELIVERIES)}
            assert found == {
                *(("old", "pacs", "dead"), ("new", "pacs", "waiting")),
                ("old", "archive", "dead"),
                *(("old", "viewer", "committed"), ("new", "viewer", "delivered")),
            }


def test_a_database_downgrade_removes_accounts_and_events_the_old_version_can_not_read(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with Database(url) as database:
        accounts = AccountList(database)
        accounts.add("anna", Role.ADMINISTRATOR, "a hash", "root")
        accounts.set_password("anna", "another", "root")
        record_logged_in(database, "anna", "10.0.0.1")
    downgrade(url, "0.2.0")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        found = connection.execute(text("SELECT what FROM events")).scalars().all()
        assert found == ["logged in"]
        assert not inspect(connection).has_table("accounts")
    with Database(url) as database:
        assert AccountList(database).accounts() == []

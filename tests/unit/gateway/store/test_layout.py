"""The layout of the database: made anew, upgraded from a store of version 0.1.0, and back."""

import sqlite3
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text

from gateway.store import layout
from gateway.store.database import Database
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
def test_the_steps_make_the_tables_that_the_code_describes(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        for url in (f"sqlite:///{tmp_path / 'ledger.sqlite'}", postgres):
            Database(url).close()
            with create_engine(url, poolclass=NullPool).connect() as connection:
                assert differences(connection) == []
                found = connection.execute(text("SELECT version_num FROM alembic_version"))
                assert found.scalars().all() == [LAYOUT]


def test_the_newest_step_is_the_layout_of_the_code() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(layout.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [LAYOUT]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection", "ignore:autogenerate skipping")
def test_a_ledger_of_0_1_0_is_upgraded_and_goes_back_unchanged(old_ledger: Path) -> None:
    before, url = content(old_ledger), f"sqlite:///{old_ledger}"
    for _ in range(2):
        Database(url).close()
        with create_engine(url, poolclass=NullPool).connect() as connection:
            assert differences(connection) == []
            # Version 0.1.0 compares it with 1, and refuses the upgraded ledger.
            assert connection.execute(text("SELECT version FROM schema")).scalar() != 1
        downgrade(url, "0.1.0")
        assert content(old_ledger) == before


def test_a_ledger_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    Database(f"sqlite:///{file}").close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = content(file)
    with pytest.raises(ConfigError, match=r"the ledger has layout 9999.*up to " + LAYOUT):
        Database(f"sqlite:///{file}")
    assert content(file) == before


def test_an_unknown_version_to_go_back_to_is_refused(old_ledger: Path) -> None:
    with pytest.raises(ConfigError, match=r"version 0\.0\.9: choose one of 0\.1\.0"):
        downgrade(f"sqlite:///{old_ledger}", "0.0.9")

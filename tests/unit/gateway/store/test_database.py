from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.store.database import Database
from gateway.store.ledger import Ledger
from tests.unit.gateway.instances import ONE
from totalmap.errors import ConfigError, ResourceError

OPENERS = 8


def test_rows_stored_in_the_ledger_are_there_after_the_database_is_opened_again(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with Database(url) as database:
        Ledger(database).add([ONE])
    with Database(url) as database:
        assert list(Ledger(database).instances()) == [ONE]


def test_a_commit_of_the_ledger_database_waits_for_the_disk(database: Database) -> None:
    with database.transaction() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_a_missing_folder_of_the_ledger_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"nowhere/ledger\.sqlite"):
        Database(f"sqlite:///{tmp_path / 'nowhere' / 'ledger.sqlite'}")


@pytest.mark.parametrize("url", ["nonsense", "nosuch://host/name"])
def test_an_invalid_url_of_the_ledger_database_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql"):
        Database(url)


def test_a_new_ledger_database_may_be_opened_by_many_at_the_same_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with ThreadPoolExecutor(OPENERS) as pool:
        for database in pool.map(Database, [url] * OPENERS):
            database.close()

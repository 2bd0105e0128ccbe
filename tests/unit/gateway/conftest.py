from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from gateway.receive.intake import Intake
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.ledgers import write_empty_ledger


@pytest.fixture(autouse=True)
def _events_are_heard() -> None:
    """A command that another test has run may have silenced them."""
    structlog.reset_defaults()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(write_empty_ledger(tmp_path)) as opened:
        yield opened


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def intake(storage: Storage, ledger: Ledger) -> Iterator[Intake]:
    with closing(Intake(storage, ledger, keep_free_gb=0.0)) as taking:
        yield taking

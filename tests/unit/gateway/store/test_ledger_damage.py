"""Tests a ledger whose file is truncated or overwritten, at the start and during use."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from gateway.config import GatewaySettings
from gateway.receive.intake import Intake
from gateway.store.database import LEDGER_FILE, Database, open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.ledger_damage import DamagedLedger
from gateway.supervise.ledger_integrity_check import checking_ledger
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.instances import ELSEWHERE, ONE, SECOND
from tests.unit.gateway.receive.test_intake import received
from totalmap.errors import ExitStatus

PAGE_BYTES = 4096


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(storage_folder=tmp_path)


@pytest.fixture
def database(settings: GatewaySettings) -> Iterator[Database]:
    with open_database(settings) as opened:
        Ledger(opened).add([ONE, SECOND])
        yield opened


@pytest.fixture
def file(settings: GatewaySettings, database: Database) -> Path:  # noqa: ARG001  it is filled
    """The ledger's file, with all that was committed."""
    path = settings.storage_folder / LEDGER_FILE
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 + 100)


def overwrite_header(file: Path) -> None:
    with file.open("r+b") as content:
        content.write(b"no database here")


def flip_page_types(file: Path) -> None:
    """Changes the first byte of each page but the first, which says what the page holds."""
    with file.open("r+b") as content:
        for offset in range(PAGE_BYTES, file.stat().st_size, PAGE_BYTES):
            content.seek(offset)
            content.write(b"\xff")


DAMAGES = pytest.mark.parametrize("damage", [truncate, overwrite_header, flip_page_types])


@DAMAGES
def test_a_damaged_ledger_ends_the_gateway_at_its_start(
    settings: GatewaySettings, database: Database, file: Path, damage: Callable[[Path], None]
) -> None:
    database.close()
    damage(file)
    stop = Event()
    with (
        pytest.raises(DamagedLedger, match=r"ledger\.sqlite is damaged.*gateway restore") as raised,
        checking_ledger(settings, stop),
    ):
        assert stop.wait(60)
    assert raised.value.exit_status == ExitStatus.OWN_CHECK


def test_a_repaired_ledger_is_used_again(
    settings: GatewaySettings, database: Database, file: Path
) -> None:
    sound = file.read_bytes()
    truncate(file)
    with pytest.raises(DamagedLedger):
        database.check()
    database.close()
    file.write_bytes(sound)
    with checking_ledger(settings, Event()), open_database(settings) as opened:
        assert [*Ledger(opened).instances()] == [ONE, SECOND]


@DAMAGES
def test_ledger_damage_found_while_running_stops_every_process_from_acknowledging(
    settings: GatewaySettings,
    database: Database,
    file: Path,
    damage: Callable[[Path], None],
    phantom_series: WrittenSeries,
) -> None:
    storage = Storage(settings.storage_folder)
    with (
        open_database(settings) as other,
        closing(Intake(storage, Ledger(other), keep_free_gb=0.0)) as intake,
    ):
        intake.take(received(storage, phantom_series.paths[0]))
        damage(file)
        with pytest.raises(DamagedLedger):  # as once a day
            database.check()
        with pytest.raises(DamagedLedger):
            intake.take(received(storage, phantom_series.paths[1]))
        with pytest.raises(DamagedLedger):
            Ledger(database).add([ELSEWHERE])

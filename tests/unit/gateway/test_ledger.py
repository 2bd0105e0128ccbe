from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from gateway.ledger import SCHEMA_VERSION, KeptInstance, Ledger
from totalmap.errors import ConfigError, ResourceError

ONE = KeptInstance(
    sop_instance_uid="1.2.3",
    sha256="a" * 64,
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    study_instance_uid="1.2",
    series_instance_uid="1.2.1",
    size_bytes=7,
    sender="CT1",
    received_at=1000.5,
)
SECOND = replace(ONE, sop_instance_uid="1.2.4", received_at=1001.0)
ELSEWHERE = replace(ONE, sop_instance_uid="1.3.4", study_instance_uid="1.3", received_at=999.0)


def test_what_was_added_is_found_in_the_order_in_which_it_came(ledger: Ledger) -> None:
    ledger.add([SECOND, ONE, ELSEWHERE])
    assert list(ledger.instances()) == [ELSEWHERE, ONE, SECOND]
    assert list(ledger.instances("1.2")) == [ONE, SECOND]


def test_the_same_again_changes_nothing(ledger: Ledger) -> None:
    ledger.add([ONE])
    ledger.add([replace(ONE, received_at=2000.0), SECOND])
    assert list(ledger.instances()) == [ONE, SECOND]


def test_another_content_is_another_entry(ledger: Ledger) -> None:
    ledger.add([ONE])
    ledger.add([replace(ONE, sha256="b" * 64)])
    assert len(list(ledger.instances())) == 2


def test_it_is_there_after_it_was_opened_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with Ledger(url) as ledger:
        ledger.add([ONE])
    with Ledger(url) as ledger:
        assert list(ledger.instances()) == [ONE]


def test_a_commit_waits_for_the_disk(ledger: Ledger) -> None:
    with ledger._engine.connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_another_layout_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    Ledger(url).close()
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE schema SET version = version + 1"))
    with pytest.raises(ConfigError, match=f"layout {SCHEMA_VERSION + 1}.*reads {SCHEMA_VERSION}"):
        Ledger(url)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"nowhere/ledger\.sqlite"):
        Ledger(f"sqlite:///{tmp_path / 'nowhere' / 'ledger.sqlite'}")

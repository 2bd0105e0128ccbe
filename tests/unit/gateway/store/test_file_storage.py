import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import GatewaySettings, ReceiveSection
from gateway.receive.receive_process import receiving
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.unit.gateway.instances import ONE
from totalmap.errors import ResourceError

CONTENT = b"content"
INSTANCE = replace(ONE, sha256=hashlib.sha256(CONTENT).hexdigest())


def receive(storage: Storage, content: bytes) -> Path:
    file = storage.incoming / "received.dcm"
    file.write_bytes(content)
    return file


def keep(storage: Storage, content: bytes = CONTENT) -> None:
    storage.keep(receive(storage, content), INSTANCE.study_instance_uid, INSTANCE.sha256)


def test_the_file_storage_keeps_a_file_in_the_folder_of_its_study(storage: Storage) -> None:
    keep(storage)
    path = storage.path(INSTANCE)
    assert path.read_bytes() == CONTENT
    assert path.parent == storage.study_folder(INSTANCE.study_instance_uid)


def test_no_uid_is_part_of_a_path_in_the_file_storage(storage: Storage) -> None:
    assert storage.study_folder("../../etc").parent == storage.study_folder("1.2").parent


def test_the_file_storage_never_replaces_an_existing_file(storage: Storage) -> None:
    keep(storage)
    inode = storage.path(INSTANCE).stat().st_ino
    keep(storage)
    assert storage.path(INSTANCE).stat().st_ino == inode


def test_the_file_storage_finds_files_without_a_row_in_the_ledger(
    storage: Storage, ledger: Ledger
) -> None:
    keep(storage)
    assert storage.not_on_record(ledger) == [storage.path(INSTANCE)]
    ledger.add([INSTANCE])
    assert not storage.not_on_record(ledger)


def test_old_partial_files_are_removed_from_the_file_storage(storage: Storage) -> None:
    old = receive(storage, b"half")
    os.utime(old, (0, 0))
    new = storage.incoming / "new.dcm"
    new.write_bytes(b"half")
    storage.remove_partial_files(untouched_seconds=60)
    assert list(storage.incoming.iterdir()) == [new]


def test_a_second_gateway_can_not_receive_into_the_same_folder(tmp_path: Path) -> None:
    settings = GatewaySettings(storage_folder=tmp_path, receive=ReceiveSection(port=0))
    with (
        receiving(settings),
        pytest.raises(ResourceError, match="another gateway receives into this folder"),
        receiving(settings),
    ):
        pass
    with receiving(settings):
        pass

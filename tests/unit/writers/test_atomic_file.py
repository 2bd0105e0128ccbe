from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from totalmap.errors import ConfigError, OutputError
from totalmap.writers.atomic_file import write_atomically


def write(file: BinaryIO, content: bytes = b"1") -> None:
    file.write(content)


def nothing(_: Path) -> None:
    """Accepts any file."""


def test_an_atomic_write_replaces_an_earlier_file_and_makes_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "made" / "a.dcm"
    for content in (b"1", b"22"):
        write_atomically(target, partial(write, content=content), nothing)
        assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def test_a_file_whose_atomic_write_is_wrong_or_not_finished_does_not_appear(tmp_path: Path) -> None:
    target = tmp_path / "a.dcm"

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OutputError("stop")

    def refuse(written: Path) -> None:
        assert written.parent == tmp_path
        assert written.suffix == ".part"
        assert written.read_bytes() == b"1"
        raise OutputError("wrong")

    with pytest.raises(OutputError, match="stop"):
        write_atomically(target, fail, nothing)
    with pytest.raises(OutputError, match="wrong"):
        write_atomically(target, write, refuse)
    assert list(tmp_path.iterdir()) == []


def test_threads_that_write_the_same_file_atomically_leave_one_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "a.dcm"
    content = bytes(range(256)) * 4096

    def write_once(_: int) -> None:
        write_atomically(target, partial(write, content=content), nothing)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write_once, range(32)))
    assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_without_write_permission_is_named_as_the_cause_of_a_failed_atomic_write(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"a\.dcm can't be written: "):
        write_atomically(tmp_path / "file" / "a.dcm", write, nothing)
    (tmp_path / "a.dcm").mkdir()
    with pytest.raises(ConfigError, match=r"a\.dcm can't be written: Is a directory"):
        write_atomically(tmp_path / "a.dcm", write, nothing)

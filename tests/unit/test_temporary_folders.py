import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from totalmap.errors import ResourceError
from totalmap.temporary_folders import remove_temporary_folders, temporary_folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_is_private_and_removed_at_the_end(place: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == place
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").write_text("content")
    assert not list(place.iterdir())


def test_a_temporary_folder_is_removed_after_an_error(place: Path) -> None:
    with suppress(ZeroDivisionError), temporary_folder() as folder:
        (folder / "file").write_text("content")
        raise ZeroDivisionError
    assert not list(place.iterdir())


def test_all_temporary_folders_are_removed_while_a_thread_writes_into_one(place: Path) -> None:
    begun = threading.Event()

    def write(folder: Path) -> None:
        try:
            for number in range(1_000_000):
                (folder / str(number)).write_text("content")
                if number == 100:
                    begun.set()
        except OSError:  # its folder is gone
            return

    with temporary_folder() as first, temporary_folder():
        writer = threading.Thread(target=write, args=(first,))
        writer.start()
        begun.wait()
        remove_temporary_folders()
        writer.join()
        assert not list(place.iterdir())


def test_a_temporary_folder_that_can_not_be_made_is_a_resource_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(ResourceError, match="TMPDIR"), temporary_folder():
        pass

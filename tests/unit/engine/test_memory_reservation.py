"""Tests that the runs of a machine count the memory that the others still need."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.memory_holder import memory_held
from totalmap.engine.memory_reservation import (
    one_at_a_time,
    other_reservations,
    remove_reservations,
    reserved,
    unreserved_bytes,
    wait_for_others,
)
from totalmap.machine_limits import available_bytes, used_bytes

GB = 10**9
# What other processes of the machine allocate or free meanwhile.
NOISE = 1.5 * GB


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """TMPDIR of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_memory_that_another_process_has_reserved_is_not_free_until_it_ends(folder: Path) -> None:
    with memory_held(4.0, folder) as holder:
        (reservation,) = other_reservations()
        assert reservation.pid == holder.pid
        assert reservation.reserved_bytes == 4 * GB
        assert unreserved_bytes() == pytest.approx(available_bytes() - 4 * GB, abs=NOISE)
        holder.kill()
        holder.wait()
        assert other_reservations() == []
    assert unreserved_bytes() == pytest.approx(available_bytes(), abs=NOISE)
    assert not list(folder.glob("*/*.reserved")), "what a killed process left is removed"


def test_a_memory_reservation_shrinks_by_what_its_process_has_allocated(folder: Path) -> None:
    with memory_held(4.0, folder):
        (reservation,) = other_reservations()
        before = used_bytes(reservation.pid) - 10**8
        grown = type(reservation)(
            pid=reservation.pid, reserved_bytes=4 * GB, used_before_bytes=before
        )
        assert grown.missing_bytes() == pytest.approx(4 * GB - 10**8, abs=10**7)


def test_a_process_does_not_count_its_own_memory_reservation(folder: Path) -> None:
    with one_at_a_time(), reserved(GB):
        assert len(list(folder.glob("*/*.reserved"))) == 1
        assert other_reservations() == []
    assert not list(folder.iterdir()), "the last run leaves nothing behind"


def test_a_process_that_ends_at_once_removes_its_memory_reservations_first(folder: Path) -> None:
    with one_at_a_time():
        held = ExitStack()
        held.enter_context(reserved(GB))
    assert list(folder.glob("*/*.reserved"))
    remove_reservations()
    assert not list(folder.iterdir())
    held.close()
    assert not list(folder.iterdir())


def test_a_process_that_ends_while_it_decides_about_memory_leaves_no_folder(folder: Path) -> None:
    with one_at_a_time():
        assert list(folder.glob("*/lock"))
        remove_reservations()
        assert not list(folder.iterdir())
    assert not list(folder.iterdir())


def test_looking_for_the_memory_reservations_of_others_makes_no_folder(folder: Path) -> None:
    assert other_reservations() == []
    wait_for_others()
    assert not list(folder.iterdir())


def test_the_folder_of_memory_reservations_stays_while_another_process_holds_memory(
    folder: Path,
) -> None:
    with memory_held(1.0, folder):
        with one_at_a_time(), reserved(1000):
            pass
        assert len(list(folder.glob("*/*.reserved"))) == 1


def test_waiting_for_memory_ends_when_the_process_that_holds_memory_is_killed(folder: Path) -> None:
    wait_for_others()
    with memory_held(1.0, folder) as holder:
        holder.kill()
        wait_for_others()
        assert other_reservations() == []


@pytest.mark.parametrize("kind", ["file", "link", "open to others"])
def test_a_folder_of_memory_reservations_that_others_can_write_is_not_used(
    folder: Path, kind: str
) -> None:
    place = folder / f"totalmap-memory-{os.geteuid()}"
    if kind == "file":
        place.touch()
    elif kind == "link":
        (folder / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(folder / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o777)
    with one_at_a_time(), reserved(GB):
        assert other_reservations() == []
    assert not list(folder.glob("*/*.reserved"))

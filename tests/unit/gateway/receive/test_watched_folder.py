"""Tests that files are taken from a watched folder only when they are complete."""

import os
import shutil
import socket
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pydicom
import pytest
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from gateway.config import WatchedFolderSection
from gateway.receive.intake import Intake
from gateway.receive.watched_folder import (
    MAX_DEPTH,
    PATIENCE,
    POLLS_IN_QUIET,
    REJECTED,
    Watch,
    Wholeness,
    watching,
    wholeness,
)
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.disk import small_disk
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series, write_study
from tests.transfer_syntaxes import ALL_SYNTAXES, transcode
from tests.waiting import wait_until
from totalmap.errors import ResourceError

QUIET_SECONDS = 0.125
MOST_LOOKS = 10 * PATIENCE * POLLS_IN_QUIET


def what_is(path: Path, content: bytes | None = None) -> Wholeness:
    if content is not None:
        path.write_bytes(content)
    with path.open("rb") as file:
        return wholeness(file)


@pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=lambda uid: uid.keyword)
def test_the_watched_folder_recognizes_a_truncated_file_in_every_transfer_syntax(
    tmp_path: Path, syntax: UID
) -> None:
    path = write_series(tmp_path / "in", 1, SeriesSpec(rows=32, columns=32, n_slices=1)).paths[0]
    transcode(path, syntax)
    content = path.read_bytes()
    assert what_is(path) is Wholeness.WHOLE
    # Elements have an even length: an odd cut is never between two.
    for kept in (len(content) - 1, len(content) - 19, len(content) // 2 | 1, 401, 131, 10, 0):
        assert what_is(path, content[:kept]) is Wholeness.CUT_OFF, kept


def test_every_file_of_a_scanner_in_the_watched_folder_counts_as_complete(tmp_path: Path) -> None:
    write_study(tmp_path, 3, size=32, n_slices=4)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {what_is(file) for file in files} == {Wholeness.WHOLE}


def test_zeros_at_the_end_of_a_file_in_the_watched_folder_are_ignored(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    content = phantom_series.paths[0].read_bytes()
    for n_bytes in (1, 7, 8, 500):
        assert what_is(tmp_path / "file", content + bytes(n_bytes)) is Wholeness.WHOLE


def test_the_watched_folder_recognizes_a_file_that_is_not_dicom(tmp_path: Path) -> None:
    assert what_is(tmp_path / "file", b"PK\x03\x04" + bytes(1000)) is Wholeness.NOT_DICOM


def test_a_file_in_the_watched_folder_with_an_unfinished_sequence_counts_as_truncated(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    dataset = pydicom.dcmread(phantom_series.paths[0])
    del dataset.PixelData
    dataset.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    dataset["SharedFunctionalGroupsSequence"].is_undefined_length = True
    dataset.save_as(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    assert what_is(tmp_path / "file") is Wholeness.WHOLE
    assert what_is(tmp_path / "file", content[:-8]) is Wholeness.CUT_OFF


def test_a_watched_file_that_unpacks_to_a_huge_size_is_checked_with_little_memory(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    """50 MB that are packed into 50 kB, and 50,000 items before the pixels."""
    dataset = pydicom.dcmread(phantom_series.paths[0])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = bytes(50_000_000)
    dataset.save_as(tmp_path / "deflated")
    content = phantom_series.paths[0].read_bytes()
    pixels = content.index(b"\xe0\x7f\x10\x00OW")
    sequence = b"\x09\x00\x10\x10SQ\x00\x00\xff\xff\xff\xff"
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 50_000 + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    many = content[:pixels] + sequence + items + content[pixels:]
    tracemalloc.start()
    assert what_is(tmp_path / "deflated") is Wholeness.WHOLE
    assert what_is(tmp_path / "items", many) is Wholeness.WHOLE
    assert what_is(tmp_path / "items", many[:-1]) is Wholeness.CUT_OFF
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    watched = tmp_path / "watched"
    watched.mkdir()
    return watched


@dataclass
class SteppedWatch:
    """A watch whose clock goes on with each look, however long the machine takes for it.

    Attributes:
        seconds: What its clock says.
    """

    folder: Path
    intake: Intake
    storage: Storage
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._watch = Watch(
            settings_of(self.folder), self.intake, self.storage, clock=lambda: self.seconds
        )

    def look(self) -> None:
        """Looks while no time goes by."""
        self._watch.look(Event())

    def look_for(self, seconds: float) -> None:
        """Looks as often as the gateway does in so many seconds."""
        self.look()
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(end, self.seconds + QUIET_SECONDS / POLLS_IN_QUIET)
            self.look()

    def look_until(self, is_so: Callable[[], bool]) -> None:
        """Looks as often as the gateway does until something is so."""
        for _ in range(MOST_LOOKS):
            self.look()
            if is_so():
                return
            self.seconds += QUIET_SECONDS / POLLS_IN_QUIET
        raise AssertionError(f"it is not so after {self.seconds:g} s")


@pytest.fixture
def watch(folder: Path, intake: Intake, storage: Storage) -> SteppedWatch:
    return SteppedWatch(folder, intake, storage)


def settings_of(folder: Path) -> WatchedFolderSection:
    return WatchedFolderSection(folder=folder, quiet_seconds=QUIET_SECONDS)


def kept(ledger: Ledger) -> set[str]:
    return {instance.sop_instance_uid for instance in ledger.instances()}


def rejected(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in (folder / REJECTED).glob("*"))


def test_files_are_taken_from_the_watched_folder_and_removed_with_their_folders(
    folder: Path, intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    paths = phantom_series.paths
    with watching(settings_of(folder), intake, storage):
        shutil.copytree(phantom_series.folder, folder / "a" / "study")
        for path in paths[:3]:
            shutil.copy(path, folder / "once more")
            shutil.move(folder / "once more", folder / path.name)
        wait_until(lambda: not list(folder.iterdir()))
        assert kept(ledger) == set(phantom_series.sop_uids)
        wait_until(lambda: ledger.growing_studies()[0].transfers_ended_at is not None)
    sent = {pydicom.dcmread(path).SOPInstanceUID: path.read_bytes() for path in paths}
    for instance in ledger.instances():
        assert storage.path(instance).read_bytes() == sent[instance.sop_instance_uid]
        assert instance.sender == "FOLDER"
    assert not list(storage.incoming.iterdir())


def test_a_growing_file_is_not_taken_from_the_watched_folder_before_it_is_complete(
    folder: Path, watch: SteppedWatch, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    content = phantom_series.paths[0].read_bytes()
    with (folder / "growing").open("wb", buffering=0) as file:
        for at in range(0, len(content), 2000):
            file.write(content[at : at + 2000])
            watch.look()
            assert not kept(ledger)
        file.flush()
        watch.look_for(QUIET_SECONDS / 2)
        assert not kept(ledger)
    watch.look_until(lambda: not list(folder.iterdir()))
    assert kept(ledger) == {phantom_series.sop_uids[0]}


def test_the_watched_folder_waits_for_an_interrupted_copy(
    folder: Path, watch: SteppedWatch, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    content = phantom_series.paths[0].read_bytes()
    shutil.copy(phantom_series.paths[1], folder)
    with (folder / "halted").open("wb", buffering=0) as file:
        file.write(content[:-1])
        watch.look_for(3 * QUIET_SECONDS)
        assert kept(ledger) == {phantom_series.sop_uids[1]}
        (study,) = ledger.growing_studies()
        assert study.transfers_ended_at is None, "there is more to come"
        file.write(content[-1:])
    watch.look_until(lambda: not list(folder.iterdir()))
    assert kept(ledger) == set(phantom_series.sop_uids[:2])
    (study,) = ledger.growing_studies()
    assert study.transfers_ended_at is not None


def test_the_watched_folder_rejects_a_copy_that_is_never_completed(
    folder: Path, watch: SteppedWatch, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    half = phantom_series.paths[0].read_bytes()[:-1]
    (folder / "half").write_bytes(half)
    watch.look_until(lambda: rejected(folder) == [half])
    assert watch.seconds >= PATIENCE * QUIET_SECONDS
    assert not kept(ledger)


def test_the_watched_folder_moves_files_that_are_not_dicom_to_rejected_and_replaces_none(
    folder: Path, watch: SteppedWatch, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    for sub, content in (("a", b"one"), ("b", b"two"), ("c", b"three")):
        (folder / sub).mkdir()
        (folder / sub / "report.pdf").write_bytes(content + bytes(200))
    watch.look_until(lambda: len(rejected(folder)) == 3)
    assert [item.rstrip(b"\0") for item in rejected(folder)] == [b"one", b"three", b"two"]
    said = capsys.readouterr().out
    assert said.count("file_rejected") == 3
    assert "report.pdf" not in said  # a path may hold a patient's name
    watch.look_for(3 * QUIET_SECONDS)
    assert not capsys.readouterr().out, "it is tried again"
    assert not kept(ledger)


def test_the_watched_folder_moves_dicom_without_a_study_uid_to_rejected(
    folder: Path, watch: SteppedWatch, phantom_series: WrittenSeries
) -> None:
    dataset = pydicom.dcmread(phantom_series.paths[0])
    del dataset.StudyInstanceUID
    dataset.save_as(folder / "no study")
    watch.look_until(lambda: len(rejected(folder)) == 1)


def test_links_to_files_outside_the_watched_folder_are_not_followed(
    folder: Path, watch: SteppedWatch, ledger: Ledger, tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    outside = Path(shutil.copytree(phantom_series.folder, tmp_path / "outside"))
    before = sorted(outside.iterdir())
    (folder / "link to a file").symlink_to(before[0])
    (folder / "link to a folder").symlink_to(outside)
    (folder / REJECTED).symlink_to(outside)
    (folder / "no DICOM").write_bytes(bytes(200))
    with pytest.raises(ResourceError, match="not be removed"):
        watch.look_for(3 * QUIET_SECONDS)
    assert sorted(outside.iterdir()) == before
    assert (folder / "no DICOM").exists()
    assert not kept(ledger)


def test_pipes_and_sockets_are_left_in_the_watched_folder(
    folder: Path, watch: SteppedWatch, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
        shutil.copy(phantom_series.paths[0], folder)
        watch.look_until(lambda: len(list(folder.iterdir())) == 2)
    assert len(kept(ledger)) == 1


def test_a_watched_file_that_can_not_be_removed_is_taken_once_and_does_not_delay_others(
    folder: Path,
    watch: SteppedWatch,
    storage: Storage,
    ledger: Ledger,
    phantom_series: WrittenSeries,
) -> None:
    closed = folder / "a"
    closed.mkdir()
    shutil.copy(phantom_series.paths[0], closed)
    with small_disk(folder / "b", "1m") as disk:
        shutil.copy(phantom_series.paths[1], disk)
        assert os.system(f"mount -o remount,ro {disk}") == 0  # noqa: S605  our own
        with pytest.raises(ResourceError, match="not be removed: Read-only file system"):
            watch.look_for(5 * QUIET_SECONDS)
        assert kept(ledger) == set(phantom_series.sop_uids[:2])
        for instance in ledger.instances():
            storage.path(instance).unlink()  # it would be there again
        with pytest.raises(ResourceError):
            watch.look()
        assert not [instance for instance in ledger.instances() if storage.path(instance).exists()]
        assert list(disk.iterdir())


def test_old_empty_folders_are_removed_from_the_watched_folder(
    folder: Path, watch: SteppedWatch
) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    watch.look()
    assert (folder / "a" / "b").exists()
    watch.look_until(lambda: not list(folder.iterdir()))


def test_files_in_very_deep_watched_folders_are_left_without_an_error(
    folder: Path, watch: SteppedWatch, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    deep = folder.joinpath(*["d"] * (MAX_DEPTH + 5))
    deep.mkdir(parents=True)
    shutil.copy(phantom_series.paths[0], deep)
    shutil.copy(phantom_series.paths[1], folder)
    watch.look_until(lambda: kept(ledger) == {phantom_series.sop_uids[1]})
    assert list(deep.iterdir())


def test_a_missing_watched_folder_is_an_error_until_it_exists(
    folder: Path, watch: SteppedWatch, ledger: Ledger
) -> None:
    folder.rmdir()
    with pytest.raises(ResourceError, match="No such file"):
        watch.look()
    folder.mkdir()
    watch.look()
    assert not kept(ledger)


def test_a_watched_folder_that_disappears_does_not_end_the_transfer(
    folder: Path, watch: SteppedWatch, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    shutil.copy(phantom_series.paths[0], folder)
    (folder / "halted").write_bytes(phantom_series.paths[1].read_bytes()[:-1])
    watch.look_until(lambda: len(kept(ledger)) == 1)
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(ResourceError):
        watch.look()
    (study,) = ledger.growing_studies()
    assert study.transfers_ended_at is None
    away.rename(folder)
    (folder / "halted").unlink()
    watch.look_until(lambda: ledger.growing_studies()[0].transfers_ended_at is not None)


def test_a_full_disk_leaves_files_in_the_watched_folder(
    folder: Path, ledger: Ledger, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    shutil.copy(phantom_series.paths[0], folder)
    with small_disk(tmp_path / "disk", "2m") as disk:
        storage, filler = Storage(disk), disk / "filler"
        filler.write_bytes(bytes(1_500_000))
        with closing(Intake(storage, ledger, keep_free_gb=0.001)) as intake:
            watch = SteppedWatch(folder, intake, storage)
            with pytest.raises(ResourceError, match="keep_free_gb"):
                watch.look_for(5 * QUIET_SECONDS)
            assert len(list(folder.iterdir())) == 1
            assert not kept(ledger)
            filler.unlink()
            watch.look_until(lambda: not list(folder.iterdir()))
    assert len(kept(ledger)) == 1


def test_a_program_that_still_writes_a_watched_file_does_not_change_the_taken_copy(
    folder: Path,
    watch: SteppedWatch,
    storage: Storage,
    ledger: Ledger,
    phantom_series: WrittenSeries,
) -> None:
    content = phantom_series.paths[0].read_bytes()
    with (folder / "file").open("wb", buffering=0) as file:
        file.write(content)
        watch.look_until(lambda: not list(folder.iterdir()))
        file.write(b"more")
    (one,) = ledger.instances()
    assert storage.path(one).read_bytes() == content

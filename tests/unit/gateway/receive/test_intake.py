import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from gateway.receive.intake import Intake, MismatchedInstance, ReceivedFile
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.phantom.study import WrittenSeries
from totalmap.errors import ResourceError, UnreadableInstance


def received(storage: Storage, source: Path, uid: str | None = None) -> ReceivedFile:
    """A copy of a file, as if it had just come in."""
    path = storage.incoming / generate_uid()
    path.write_bytes(source.read_bytes())
    return ReceivedFile(path=path, sender="CT1", transfer="one", sop_instance_uid=uid)


def test_the_intake_stores_and_records_a_received_instance(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    source = phantom_series.paths[0]
    kept = intake.take(received(storage, source))
    assert storage.path(kept).read_bytes() == source.read_bytes()
    assert list(ledger.instances()) == [kept]
    header = pydicom.dcmread(source)
    assert kept.sop_instance_uid == header.SOPInstanceUID
    assert kept.study_instance_uid == header.StudyInstanceUID
    assert kept.size_bytes == source.stat().st_size
    assert kept.sender == "CT1"
    assert not list(storage.incoming.iterdir())


def test_the_intake_stores_each_instance_that_comes_from_many_threads_once(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    twice = [received(storage, path) for path in phantom_series.paths * 2]
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(intake.take, twice))
    assert all(storage.path(item).exists() for item in kept)
    on_record = {instance.sop_instance_uid for instance in ledger.instances()}
    assert len(list(ledger.instances())) == len(on_record) == len(phantom_series.paths)
    assert not list(storage.incoming.iterdir())


def test_the_intake_does_not_store_an_identical_instance_again(
    intake: Intake, storage: Storage, phantom_series: WrittenSeries
) -> None:
    first = intake.take(received(storage, phantom_series.paths[0]))
    inode = storage.path(first).stat()
    assert intake.take(received(storage, phantom_series.paths[0])).sha256 == first.sha256
    assert storage.path(first).stat() == inode


def test_the_intake_refuses_an_instance_other_than_the_announced_one(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    with pytest.raises(MismatchedInstance, match=r"announced instance 1\.2\.3 and sent"):
        intake.take(received(storage, phantom_series.paths[0], "1.2.3"))
    assert not list(ledger.instances())
    assert not list(storage.incoming.iterdir())


@pytest.mark.parametrize("content", [b"", b"no DICOM", bytes(128) + b"DICM\xff\xff"])
def test_the_intake_refuses_a_received_file_that_is_not_dicom(
    intake: Intake, storage: Storage, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UnreadableInstance):
        intake.take(received(storage, tmp_path / "file"))
    assert not list(storage.incoming.iterdir())


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"])
def test_the_intake_refuses_an_instance_without_an_identifier(
    intake: Intake, storage: Storage, phantom_copy: Path, keyword: str
) -> None:
    path = next(phantom_copy.iterdir())
    dataset = pydicom.dcmread(path)
    delattr(dataset, keyword)
    dataset.save_as(path)
    with pytest.raises(UnreadableInstance, match=f"{keyword} of 0 characters, 1 to 64"):
        intake.take(received(storage, path))


def test_the_intake_refuses_an_instance_when_the_disk_is_full(
    storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    with (
        closing(Intake(storage, ledger, keep_free_gb=1e9)) as intake,
        pytest.raises(ResourceError, match=r"keep_free_gb is 1e\+09"),
    ):
        intake.take(received(storage, phantom_series.paths[0]))
    assert not list(storage.incoming.iterdir())


def test_the_intake_refuses_an_instance_when_the_ledger_fails(
    intake: Intake, storage: Storage, database: Database, phantom_series: WrittenSeries
) -> None:
    intake.take(received(storage, phantom_series.paths[0]))
    with database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE instances")
    with pytest.raises(ResourceError, match="ledger"):
        intake.take(received(storage, phantom_series.paths[1]))


def test_closing_the_intake_of_received_instances_ends_its_thread(
    storage: Storage, ledger: Ledger
) -> None:
    before = threading.active_count()
    Intake(storage, ledger, keep_free_gb=0.0).close()
    assert threading.active_count() == before


def test_the_intake_refuses_a_huge_deflated_header_before_it_fills_the_memory(
    intake: Intake, storage: Storage, phantom_series: WrittenSeries
) -> None:
    """A private element of 200 MB, packed into 0.2 MB, stands before the study."""
    dataset = pydicom.dcmread(phantom_series.paths[0])
    del dataset.PixelData
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.add_new(0x00091010, "OB", bytes(200_000_000))
    path = storage.incoming / "bomb"
    dataset.save_as(path)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(UnreadableInstance, match="BrokenFile"):
        intake.take(ReceivedFile(path=path, sender="CT1", transfer="one"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000_000


def test_a_sender_refused_again_and_again_is_logged_once_for_each_reason(
    intake: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(100):
        intake.reject("STRANGER", "is none of receive.senders", "10.0.0.9")
        intake.refuse("STRANGER", "an instance is too large", "10.0.0.9")
    intake.reject("STRANGER", "calls another AE title", "10.0.0.9")
    lines = capsys.readouterr().out
    assert (lines.count("sender_rejected"), lines.count("sender_refused")) == (2, 1)

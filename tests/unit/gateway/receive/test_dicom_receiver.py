"""Tests the DICOM receiver with senders of dcmtk and of pynetdicom."""

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import disk_usage
from typing import Any, cast

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage
from pynetdicom.association import Association

from gateway.config import GatewaySettings, ReceiveSection, SenderSection
from gateway.receive.dicom_receiver import PDU_BYTES, running_receiver
from gateway.receive.intake import Intake
from gateway.receive.receive_process import receiving
from gateway.store.database import open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import GrowingStudy, Ledger
from tests.disk import small_disk
from tests.gateway_process import AE_TITLE, running_gateway, storescu
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import volume_of
from tests.sending import associate
from tests.servers import LOOPBACK, free_port, require_program
from tests.transfer_syntaxes import ALL_SYNTAXES, transcode
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until
from totalmap.errors import ResourceError

ANY_PORT = ReceiveSection(
    port=0,
    keep_free_gb=0.0,
    request_seconds=NEVER_SECONDS,
    pdu_seconds=NEVER_SECONDS,
    idle_seconds=NEVER_SECONDS,
)
FLOOD, FLOOD_WAVES = 670, 5


@pytest.fixture
def port(intake: Intake, storage: Storage) -> Iterator[int]:
    with running_receiver(ANY_PORT, intake, storage) as listening:
        yield listening


@contextmanager
def associated(port: int, title: str = "CT1", called: str = AE_TITLE) -> Iterator[Association]:
    """An association for uncompressed CT."""
    association = associate(port, title, called)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(port: int, *folders: Path) -> None:
    sender = storescu(port, folders)
    said, _ = sender.communicate()
    assert sender.returncode == 0, said


def test_the_dicom_receiver_stores_instances_sent_by_storescu_unchanged(
    port: int, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    send(port, phantom_series.folder)
    kept = {instance.sop_instance_uid: instance for instance in ledger.instances()}
    assert len(kept) == len(phantom_series.paths)
    for path in phantom_series.paths:
        sent = pydicom.dcmread(path)
        found = pydicom.dcmread(storage.path(kept[sent.SOPInstanceUID]))
        assert found == sent
        assert found.PixelData == sent.PixelData


def test_the_application_reads_a_study_that_the_dicom_receiver_stored(
    port: int, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    send(port, phantom_series.folder)
    first = next(ledger.instances())
    volume = volume_of(storage.study_folder(first.study_instance_uid))
    assert (volume.voxels == volume_of(phantom_series.folder).voxels).all()


def test_the_dicom_receiver_records_the_ae_title_of_the_sender(
    port: int, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    with associated(port, "CT ROOM 3") as association:
        association.send_c_store(pydicom.dcmread(phantom_series.paths[0]))
    assert [instance.sender for instance in ledger.instances()] == ["CT ROOM 3"]


@pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=lambda uid: uid.keyword)
def test_the_dicom_receiver_stores_every_supported_transfer_syntax_unchanged(
    port: int, storage: Storage, ledger: Ledger, tmp_path: Path, syntax: UID
) -> None:
    path = write_series(tmp_path / "in", 1, SeriesSpec(rows=32, columns=32, n_slices=1)).paths[0]
    transcode(path, syntax)
    sent = pydicom.dcmread(path)
    association = associate(port, contexts=[(CTImageStorage, syntax)])
    assert association.send_c_store(sent).Status == 0
    association.release()
    (kept,) = ledger.instances()
    found = pydicom.dcmread(storage.path(kept))
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.PixelData == sent.PixelData


def test_the_dicom_receiver_answers_c_echo(port: int) -> None:
    program = require_program("echoscu", "dcmtk")
    command = [str(program), "--call", AE_TITLE, LOOPBACK, str(port)]
    assert subprocess.run(command, check=False).returncode == 0


def test_the_dicom_receiver_rejects_an_association_that_calls_another_ae_title(port: int) -> None:
    with associated(port, called="OTHER") as association:
        assert association.is_rejected


@pytest.mark.parametrize(
    ("sender", "is_known"),
    [
        (SenderSection(ae_title="CT1"), True),
        (SenderSection(ae_title="CT2"), False),
        (SenderSection.model_validate({"network": "127.0.0.0/8"}), True),
        (SenderSection.model_validate({"network": "10.1.0.0/16"}), False),
        (SenderSection.model_validate({"ae_title": "CT1", "network": "10.1.2.3"}), False),
    ],
)
def test_only_senders_in_the_settings_may_send_to_the_dicom_receiver(
    intake: Intake, storage: Storage, sender: SenderSection, is_known: bool
) -> None:
    settings = ANY_PORT.model_copy(update={"senders": (sender,)})
    with (
        running_receiver(settings, intake, storage) as port,
        associated(port) as association,
    ):
        assert association.is_established == is_known
        assert association.is_rejected != is_known


def store(association: Association, dataset: Dataset) -> int:
    """Returns the status, and -1 where there is none."""
    return int(association.send_c_store(dataset).get("Status", -1))


def test_the_dicom_receiver_refuses_an_instance_without_a_study_with_status_c000(
    port: int, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    """PS3.4 B.2.3; the association goes on."""
    good = pydicom.dcmread(phantom_series.paths[0])
    without_study = pydicom.dcmread(phantom_series.paths[1])
    del without_study.StudyInstanceUID
    with associated(port) as association:
        assert store(association, without_study) == 0xC000
        assert store(association, good) == 0x0000
    assert [instance.sop_instance_uid for instance in ledger.instances()] == [good.SOPInstanceUID]


def test_the_dicom_receiver_on_a_full_disk_refuses_with_status_a700_until_there_is_space(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        settings = GatewaySettings(
            storage_folder=disk, receive=ANY_PORT.model_copy(update={"keep_free_gb": 0.004})
        )
        filler = disk / "filler"
        with receiving(settings) as port, associated(port) as association:
            first, second = (pydicom.dcmread(path) for path in phantom_series.paths[:2])
            assert store(association, first) == 0x0000
            filler.write_bytes(bytes(5_000_000))
            assert store(association, second) == 0xA700
            assert kept(disk) == {first.SOPInstanceUID}
            filler.unlink()
            assert store(association, second) == 0x0000
            assert kept(disk) == {first.SOPInstanceUID, second.SOPInstanceUID}


def test_simultaneous_dicom_senders_do_not_use_the_space_that_has_to_stay_free(
    tmp_path: Path,
) -> None:
    """Four instances of 2 MB come at once, where less than 4 MB are free to be used."""
    spec = SeriesSpec(rows=1024, columns=1024, n_slices=4)
    paths = write_series(tmp_path / "in", 1, spec).paths
    with small_disk(tmp_path / "disk", "8m") as disk:
        settings = GatewaySettings(
            storage_folder=disk, receive=ANY_PORT.model_copy(update={"keep_free_gb": 0.004})
        )
        least_free = [disk_usage(disk).free]

        def status_of(path: Path, port: int) -> int:
            with associated(port) as association:
                return store(association, pydicom.dcmread(path))

        with receiving(settings) as port, ThreadPoolExecutor(len(paths)) as pool:
            sent = [pool.submit(status_of, path, port) for path in paths]
            wait_until(
                lambda: all(sending.done() for sending in sent),
                act=lambda: least_free.append(disk_usage(disk).free),
            )
            statuses = [sending.result() for sending in sent]
            assert set(statuses) <= {0x0000, 0xA700}
            assert statuses.count(0xA700) >= 3
            assert len(kept(disk)) == statuses.count(0x0000)
            assert not [*Storage(disk).incoming.iterdir()]
            assert min(least_free) > 4_000_000 - len(paths) * PDU_BYTES


def kept(folder: Path) -> set[str]:
    with open_database(GatewaySettings(storage_folder=folder)) as database:
        return {instance.sop_instance_uid for instance in Ledger(database).instances()}


def test_an_instance_that_is_too_large_ends_its_dicom_association(
    intake: Intake, storage: Storage, ledger: Ledger, tmp_path: Path
) -> None:
    spec = SeriesSpec(rows=512, columns=512, n_slices=1)
    dataset = pydicom.dcmread(write_series(tmp_path / "in", 1, spec).paths[0])
    settings = ANY_PORT.model_copy(update={"max_instance_mb": 0.2})
    with (
        running_receiver(settings, intake, storage) as port,
        associated(port) as association,
    ):
        assert "Status" not in association.send_c_store(dataset)  # there is no answer
        wait_until(lambda: not list(storage.incoming.iterdir()), "nothing left of it")
    assert not list(ledger.instances())


def test_a_pdu_longer_than_agreed_ends_its_dicom_association(
    port: int, phantom_series: WrittenSeries
) -> None:
    """One byte more than was agreed on is announced, and does not come."""
    with associated(port) as association:
        cast(Any, association.dul.socket).socket.sendall(
            b"\x04\x00" + (PDU_BYTES + 1).to_bytes(4, "big")
        )
        association.dimse_timeout = association.network_timeout = NEVER_SECONDS
        start = time.monotonic()
        with suppress(RuntimeError):  # there is no association any more
            assert store(association, pydicom.dcmread(phantom_series.paths[0])) == -1
        assert time.monotonic() - start < WAIT_SECONDS, "it waited for the rest"


def test_the_size_limit_of_the_dicom_receiver_applies_to_each_instance_and_not_to_the_sum(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    settings = ANY_PORT.model_copy(update={"max_instance_mb": 0.1})
    with running_receiver(settings, intake, storage) as port:
        send(port, phantom_series.folder)
    assert len(list(ledger.instances())) == len(phantom_series.paths)


@pytest.mark.parametrize("said", [b"", b"\x01\x00\x00\x00", b"GET / HTTP/1.1\r\n\r\n"])
def test_the_dicom_receiver_serves_a_sender_during_a_flood_of_connections(
    tmp_path: Path, phantom_series: WrittenSeries, said: bytes
) -> None:
    """2,000 in all: silent, half a request, another protocol."""
    datasets = [pydicom.dcmread(path) for path in phantom_series.paths[:FLOOD_WAVES]]
    port = free_port()
    with running_gateway(tmp_path, port), ExitStack() as stack:
        for dataset in datasets:
            for _ in range(FLOOD // FLOOD_WAVES):
                connection = socket.create_connection((LOOPBACK, port))
                connection.sendall(said)
                stack.enter_context(connection)
            start = time.monotonic()
            with associated(port) as association:
                assert store(association, dataset) == 0
            assert time.monotonic() - start < WAIT_SECONDS, "the flood had to go first"
    assert len(kept(tmp_path)) == len(datasets)


def test_the_dicom_receiver_closes_a_connection_that_ends_after_half_a_request_at_once(
    intake: Intake, storage: Storage
) -> None:
    with (
        running_receiver(ANY_PORT, intake, storage) as port,
        socket.create_connection((LOOPBACK, port), timeout=WAIT_SECONDS) as connection,
    ):
        connection.sendall(b"\x01\x00\x00\x00\x00\xc8half")
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_malformed_requests_do_not_disturb_the_dicom_receiver(
    port: int, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff", b"\x04" * 100, b"\x00"):
        with socket.create_connection((LOOPBACK, port)) as connection:
            connection.sendall(garbage)
    send(port, phantom_series.folder)
    assert len(list(ledger.instances())) == len(phantom_series.paths)


def test_a_port_in_use_is_an_error_of_the_dicom_receiver(intake: Intake, storage: Storage) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        settings = ANY_PORT.model_copy(update={"port": taken.getsockname()[1]})
        with (
            pytest.raises(ResourceError, match="can't listen there"),
            running_receiver(settings, intake, storage),
        ):
            pass


def test_the_dicom_receiver_stores_each_study_in_its_own_folder(
    port: int, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    other = write_series(tmp_path / "other", 2, SeriesSpec(rows=32, columns=32, n_slices=2))
    send(port, phantom_series.folder, other.folder)
    folders = {storage.path(instance).parent for instance in ledger.instances()}
    assert sorted(len(list(folder.iterdir())) for folder in folders) == [2, 40]


def growing(ledger: Ledger) -> GrowingStudy:
    (study,) = ledger.growing_studies()
    return study


def test_a_released_dicom_association_ends_its_transfer(
    port: int, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    send(port, phantom_series.folder)
    study = growing(ledger)
    assert study.n_instances == len(phantom_series.paths)
    assert study.transfers_ended_at is not None
    assert study.transfers_ended_at >= study.last_received_at


def test_an_open_dicom_association_has_not_ended_its_transfer(
    port: int, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    with associated(port) as association:
        store(association, pydicom.dcmread(phantom_series.paths[0]))
        assert growing(ledger).transfers_ended_at is None


def test_an_aborted_dicom_association_never_ends_its_transfer(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    with running_receiver(ANY_PORT, intake, storage) as port, associated(port) as association:
        store(association, pydicom.dcmread(phantom_series.paths[0]))
        association.abort()
    assert growing(ledger).transfers_ended_at is None

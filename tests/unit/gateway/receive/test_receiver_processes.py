"""Tests receiver processes, among which associations are shared."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pynetdicom.association import Association

from gateway.config import GatewaySettings, ReceiveSection, SenderSection
from gateway.receive.dicom_receiver import running_receiver
from gateway.receive.intake import Intake
from gateway.receive.receiver_processes import ReceiverProcess, running_receiver_processes
from gateway.store.database import Database, open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.gateway_process import children
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.receive.test_dicom_receiver import associated
from tests.unit.gateway.receive.test_refusals import refused
from tests.unit.gateway.receive.test_silent_senders import associated_in_the_end, silent_senders
from tests.unit.gateway.receive.test_tls import Certificates
from tests.unit.gateway.receive.test_tls import associated as associated_by_tls
from tests.unit.gateway.receive.test_tls import settings as with_tls
from tests.waiting import NEVER_SECONDS, wait_until

ANY_PORT = ReceiveSection(
    port=0,
    keep_free_gb=0.0,
    max_associations=4,
    max_associations_per_sender=4,
    pdu_seconds=NEVER_SECONDS,
    request_seconds=NEVER_SECONDS,
    idle_seconds=NEVER_SECONDS,
)


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver with one receiver process."""

    port: int
    process: ReceiverProcess
    storage: Storage
    database: Database


@contextmanager
def receiver(
    folder: Path, ways: ReceiveSection = ANY_PORT, hung_seconds: float = NEVER_SECONDS
) -> Iterator[Receiver]:
    settings = GatewaySettings(storage_folder=folder, receive=ways)
    storage = Storage(folder)
    with (
        open_database(settings) as database,
        closing(Intake(storage, Ledger(database), 0.0)) as intake,
        running_receiver_processes(settings, 1, hung_seconds) as (process,),
        running_receiver(ways, intake, storage, processes=[process]) as port,
    ):
        wait_until(lambda: process.is_ready)
        yield Receiver(port, process, storage, database)


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


def receiver_process_id() -> int:
    """Returns the one process that this one has started and that is a receiver process."""
    (found,) = (
        pid
        for pid in children(os.getpid())
        if b"receiver" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )
    return found


def store(association: Association, path: Path) -> int:
    return int(association.send_c_store(pydicom.dcmread(path)).Status)


def test_receiver_processes_share_associations_and_store_all_instances(
    receiving: Receiver, phantom_series: WrittenSeries
) -> None:
    with ExitStack() as held:
        made = [held.enter_context(associated(receiving.port)) for _ in range(4)]
        wait_until(lambda: receiving.process.busy == 2, "two of four")
        for association, path in zip(made, phantom_series.paths, strict=False):
            assert store(association, path) == 0
    kept = list(Ledger(receiving.database).instances())
    assert {item.sop_instance_uid for item in kept} == set(phantom_series.sop_uids[:4])
    assert len({item.transfer for item in kept}) == 4
    for item in kept:
        assert pydicom.dcmread(receiving.storage.path(item)).SOPInstanceUID == item.sop_instance_uid
    wait_until(lambda: receiving.process.busy == 0, "none any more")


def test_the_association_limit_holds_for_all_receiver_processes_together(
    receiving: Receiver,
) -> None:
    with ExitStack() as held:
        for _ in range(4):
            assert held.enter_context(associated(receiving.port)).is_established
        wait_until(lambda: receiving.process.busy == 2, "two of four")
        assert held.enter_context(associated(receiving.port)).is_rejected


def test_stalled_associations_of_every_receiver_process_make_room_for_new_ones(
    receiving: Receiver, phantom_series: WrittenSeries
) -> None:
    with silent_senders(receiving.port, 4), ExitStack() as held:
        wait_until(lambda: receiving.process.busy == 2, "two of four")
        for path in phantom_series.paths[:4]:
            association = held.enter_context(associated_in_the_end(receiving.port))
            assert store(association, path) == 0


def test_a_receiver_process_that_hangs_is_started_again(tmp_path: Path) -> None:
    with receiver(tmp_path, hung_seconds=1.0) as running:
        stopped = receiver_process_id()
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: not Path(f"/proc/{stopped}").exists(), "killed")
        wait_until(lambda: running.process.is_ready, "ready again")


def test_every_receiver_process_rejects_and_records_an_unknown_sender(tmp_path: Path) -> None:
    ways = ANY_PORT.model_copy(update={"senders": (SenderSection(ae_title="CT1"),)})
    with receiver(tmp_path, ways) as running:
        for _ in range(2):
            with associated(running.port, "CT9") as association:
                assert association.is_rejected
        assert {who for _, who, _ in refused(running.database)} == {"CT9"}


def test_a_killed_receiver_process_does_not_end_others_and_is_started_again(
    receiving: Receiver, phantom_series: WrittenSeries
) -> None:
    with ExitStack() as held:
        made = [held.enter_context(associated(receiving.port)) for _ in range(2)]
        killed = receiver_process_id()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: sum(item.is_established for item in made) == 1, "one lost")
        wait_until(lambda: not receiving.process.is_ready, "noticed")
        (ours,) = (item for item in made if item.is_established)
        assert store(ours, phantom_series.paths[0]) == 0
        with associated(receiving.port) as meanwhile:
            assert store(meanwhile, phantom_series.paths[1]) == 0
        wait_until(lambda: receiving.process.is_ready, "there again")
        assert receiver_process_id() != killed
        with associated(receiving.port) as after:
            wait_until(lambda: receiving.process.busy == 1, "in the other process")
            assert store(after, phantom_series.paths[2]) == 0


def test_a_receiver_process_ends_with_the_listening_process(tmp_path: Path) -> None:
    with receiver(tmp_path) as running, associated(running.port) as association:
        pid = receiver_process_id()
    assert not Path(f"/proc/{pid}").exists()
    wait_until(lambda: not association.is_established, "cut off")


def test_receiver_processes_serve_associations_over_tls(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    certificates = Certificates(tmp_path)
    ways = with_tls(certificates, senders_ca_file=certificates.ca)
    with receiver(tmp_path / "storage", ways) as running:
        for n in range(2):
            association = associated_by_tls(running.port, certificates, certificates.scanner)
            assert store(association, phantom_series.paths[n]) == 0
            association.release()
        assert not associated_by_tls(
            running.port, certificates, certificates.stranger
        ).is_established
        wait_until(lambda: len(refused(running.database)) == 1, "on record")
        wait_until(lambda: running.process.busy == 0, "none any more")

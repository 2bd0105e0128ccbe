"""Tests that acknowledged instances survive kill -9 of the receiver at any moment.

The longer version: KILLS=100 INSTANCES=10000 pytest tests/integration/test_receiver_kills.py
"""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from gateway.config import GatewaySettings
from gateway.store.database import open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.gateway_process import children, has_a_connection, running_gateway
from tests.phantom.study import WrittenSeries
from tests.sending import associate
from tests.servers import free_port
from tests.waiting import WAIT_SECONDS, wait_until

KILLS = int(os.environ.get("KILLS", "6"))
INSTANCES = int(os.environ.get("INSTANCES", "240"))
STUDIES = 40
# As long as it takes to receive a few instances.
LONGEST_DELAY_SECONDS = 0.02
SEED = 7


@pytest.fixture(scope="module")
def instances() -> list[tuple[str, str]]:
    """Study and SOP Instance UIDs of what is to be sent."""
    return [(f"2.25.{n % STUDIES + 1}", f"2.25.{n + 1000}") for n in range(INSTANCES)]


def send(
    port: int,
    dataset: Dataset,
    instances: list[tuple[str, str]],
    before_each: Callable[[int], object] = lambda _number: None,
) -> list[tuple[str, str]]:
    """Returns which instances were acknowledged before the receiver ended."""
    association = associate(port)
    acknowledged = []
    for number, (study, uid) in enumerate(instances):
        before_each(number)
        dataset.StudyInstanceUID = study
        dataset.SOPInstanceUID = uid
        dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
        if not association.is_established:
            break
        if association.send_c_store(dataset).get("Status") != 0:
            break
        acknowledged.append((study, uid))
    if association.is_established:
        association.release()
    return acknowledged


def send_and_kill(
    folder: Path, port: int, dataset: Dataset, instances: list[tuple[str, str]], random: Random
) -> list[tuple[str, str]]:
    """Kills the receiver while it takes instances; returns which were acknowledged before.

    It is killed after a random number of them, and anywhere in one of the next; the last instance
    is kept back until then.
    """
    first, last = random.randrange(1, len(instances)), len(instances) - 1
    with running_gateway(folder, port) as process:
        killer = threading.Timer(random.uniform(0.0, LONGEST_DELAY_SECONDS), process.kill)

        def before_each(number: int) -> None:
            if number == first:
                killer.start()
            if number == last:
                process.wait(WAIT_SECONDS)

        return send(port, dataset, instances, before_each)


def on_record(folder: Path) -> set[tuple[str, str]]:
    """Returns what is in the ledger; the file of each has the content that it had."""
    storage = Storage(folder)
    with open_database(GatewaySettings(storage_folder=folder)) as database:
        kept = list(Ledger(database).instances())
    for item in kept:
        assert hashlib.sha256(storage.path(item).read_bytes()).hexdigest() == item.sha256
    found = {(item.study_instance_uid, item.sop_instance_uid) for item in kept}
    assert len(found) == len(kept), "an instance is there twice"
    return found


def test_no_acknowledged_instance_is_lost_when_the_receiver_is_killed(
    instances: list[tuple[str, str]], phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    random = Random(SEED)  # noqa: S311  when to kill
    dataset = pydicom.dcmread(phantom_series.paths[0])
    waiting, acknowledged = list(instances), []
    port, share = free_port(), INSTANCES // KILLS
    for _ in range(KILLS):
        sent = send_and_kill(tmp_path, port, dataset, waiting[:share], random)
        assert 0 < len(sent) < share
        acknowledged += sent
        waiting = waiting[len(sent) :]
        assert set(acknowledged) <= on_record(tmp_path)
    with running_gateway(tmp_path, port):
        assert send(port, dataset, waiting) == waiting
        assert on_record(tmp_path) == set(instances)
    assert not list(Storage(tmp_path).incoming.iterdir())
    files = list((tmp_path / "studies").glob("*/*"))
    assert len(files) == len(instances)


def test_no_acknowledged_instance_is_lost_when_the_listening_process_is_killed(
    instances: list[tuple[str, str]], phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    """Another process is receiving then."""
    dataset, port = pydicom.dcmread(phantom_series.paths[0]), free_port()
    acknowledged: list[tuple[str, str]] = []
    with running_gateway(tmp_path, port, processes=2) as process:
        (receiver,) = children(process.pid)

        def kill() -> None:
            wait_until(lambda: has_a_connection(receiver, port), "in the receiver process")
            process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        while killer.is_alive():  # it is not there from the beginning
            acknowledged = send(port, dataset, instances)
    with running_gateway(tmp_path, port, processes=2):
        assert set(acknowledged) <= on_record(tmp_path)
        assert send(port, dataset, instances) == instances
        assert on_record(tmp_path) == set(instances)
    wait_until(lambda: not Path(f"/proc/{receiver}").exists(), "ended")

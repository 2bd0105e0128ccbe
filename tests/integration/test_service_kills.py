"""Tests that each study is segmented once, although the receiver is killed while studies come in.

The longer version: KILLS=100 STUDIES=40 SLICES=250, as `make soak` has it.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from threading import Event

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from gateway.store.ledger import Ledger
from tests.archive import running_archive
from tests.phantom.study import write_series
from tests.sending import associate
from tests.service import FEW_RESULTS, SMALL, Service, running_service
from tests.waiting import WAIT_SECONDS, wait_until

KILLS = int(os.environ.get("KILLS", "3"))
STUDIES = int(os.environ.get("STUDIES", "3"))
SLICES = int(os.environ.get("SLICES", "30"))
LONGEST_LIFE_SECONDS = 0.6
TRY_AGAIN_SECONDS = 0.2
SEED = 11


def study(folder: Path, seed: int) -> list[Dataset]:
    spec = replace(SMALL, n_slices=SLICES)
    return [pydicom.dcmread(path) for path in write_series(folder, seed, spec).paths]


@dataclass
class Sender:
    """Sends studies as modalities do: again and again what was not acknowledged.

    Attributes:
        studies: What it sends.
        n_acknowledged: Instances, so far.
        may_end: Set: it may send the last instance of all.
    """

    port: int
    studies: Sequence[Sequence[Dataset]]
    n_acknowledged: int = 0
    may_end: Event = field(default_factory=Event)

    @property
    def holds_the_last(self) -> bool:
        """Whether all but the last instance were acknowledged."""
        return self.n_acknowledged >= sum(map(len, self.studies)) - 1

    def send(self) -> None:
        """Sends one study after the other, all of each."""
        for instances in self.studies:
            sent = self._send_part(instances)
            while sent < len(instances):
                time.sleep(TRY_AGAIN_SECONDS)
                sent += self._send_part(instances[sent:])

    def _send_part(self, instances: Sequence[Dataset]) -> int:
        """Sends as much as it can in one association; returns how many were acknowledged."""
        association = associate(self.port)
        sent = 0
        for instance in instances:
            if instance is self.studies[-1][-1]:
                self.may_end.wait(WAIT_SECONDS)
            if not association.is_established:
                break
            if association.send_c_store(instance).get("Status") != 0x0000:
                break
            sent += 1
            self.n_acknowledged += 1
        if association.is_established:
            association.release()
        return sent


def kill_while(sender: Sender, service: Service) -> None:
    """Kills the receiver again and again, a random time after it has begun to receive.

    A receiver that never comes to receive would cut every study off for good. What a receiver
    process of the one before has still taken does not count. The sender is not done before the
    last kill.
    """
    random, before = Random(SEED), -1  # noqa: S311  when to kill
    try:
        for _ in range(KILLS):
            wait_until(partial(_is_further, sender, before), "an instance received")
            time.sleep(random.uniform(0.0, LONGEST_LIFE_SECONDS))
            killed = service.pid("receive")
            service.kill("receive")
            wait_until(
                lambda old=killed: service.pid("receive") not in (None, old),  # type: ignore[misc]
                "started again",
            )
            before = sender.n_acknowledged + 1  # which was on its way
    finally:
        sender.may_end.set()


def _is_further(sender: Sender, before: int) -> bool:
    return sender.n_acknowledged > before or sender.holds_the_last


def test_every_study_is_segmented_once_while_the_receiver_is_killed(
    quick_models: Path, tmp_path: Path
) -> None:
    studies = [study(tmp_path / str(seed), 200 + seed) for seed in range(STUDIES)]
    with (
        running_archive() as archive,
        running_service(
            tmp_path,
            FEW_RESULTS,
            receive={"processes": 2},
            work={"models_folder": str(quick_models)},
            rules=[{"name": "ct", "destinations": ["archive"]}],
            destinations=[{"name": "archive", "dicom": archive.destination}],
        ) as service,
    ):
        sender = Sender(service.settings.receive.port, studies)
        with ThreadPoolExecutor() as pool:
            killer = pool.submit(kill_while, sender, service)
            sender.send()
            killer.result()
        on_record = {instance.sop_instance_uid for instance in Ledger(service.database).instances()}
        assert {
            instance.SOPInstanceUID for instances in studies for instance in instances
        } == on_record
        service.let_senders_be_silent()
        for instances in studies:
            job = service.job_of(instances[0].StudyInstanceUID)
            service.wait_until_delivered(job)
            assert job.n_images == SLICES
        assert len(archive.of_class(SegmentationStorage)) == STUDIES
        for instances in studies:
            assert len(service.jobs.of_study(instances[0].StudyInstanceUID)) == 1
        different = {uid for uid, found in archive.contents.items() if len(set(found)) > 1}
        assert not different, "two objects have one UID"

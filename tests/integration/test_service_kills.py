"""kill -9 of the receiver while studies come in: each is segmented once, as a whole.

The longer version: KILLS=100 STUDIES=40 SLICES=250 CUT_OFF_SECONDS=60, as `make soak` has it.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from gateway.record.ledger import Ledger
from tests.archive import running_archive
from tests.conftest import DEMO_MODELS
from tests.phantom.study import write_series
from tests.sending import associate
from tests.service import SMALL, Service, running_service
from tests.waiting import wait_until

KILLS = int(os.environ.get("KILLS", "3"))
STUDIES = int(os.environ.get("STUDIES", "3"))
SLICES = int(os.environ.get("SLICES", "30"))
LONGEST_LIFE_SECONDS = 0.6
TRY_AGAIN_SECONDS = 0.2
CUT_OFF_SECONDS = float(os.environ.get("CUT_OFF_SECONDS", "12"))
SEGMENT_SECONDS = 120 + 20 * STUDIES
SEED = 11


def study(folder: Path, seed: int) -> list[Dataset]:
    spec = replace(SMALL, n_slices=SLICES)
    return [pydicom.dcmread(path) for path in write_series(folder, seed, spec).paths]


@dataclass
class Sender:
    """Sends studies as modalities do: again and again what was not acknowledged.

    Attributes:
        n_acknowledged: Instances, so far.
        is_done: Whether all studies are sent.
    """

    port: int
    n_acknowledged: int = 0
    is_done: bool = False

    def send(self, studies: Sequence[Sequence[Dataset]]) -> None:
        """Sends one study after the other, all of each."""
        for instances in studies:
            sent = self._send_part(instances)
            while sent < len(instances):
                time.sleep(TRY_AGAIN_SECONDS)
                sent += self._send_part(instances[sent:])
        self.is_done = True

    def _send_part(self, instances: Sequence[Dataset]) -> int:
        """Sends as much as it can in one association; returns how many were acknowledged."""
        association = associate(self.port)
        sent = 0
        for instance in instances:
            if not association.is_established:
                break
            if association.send_c_store(instance).get("Status") != 0x0000:
                break
            sent += 1
            self.n_acknowledged += 1
        if association.is_established:
            association.release()
        return sent


def kill_while(sender: Sender, service: Service) -> int:
    """Kills the receiver a random time after it has begun to receive; returns how often.

    A receiver that never comes to receive would cut every study off for good. What a desk of the
    one before has still taken does not count.
    """
    random, kills, before = Random(SEED), 0, -1  # noqa: S311  when to kill
    while kills < KILLS:
        wait_until(partial(_is_further, sender, before), "an instance received")
        time.sleep(random.uniform(0.0, LONGEST_LIFE_SECONDS))
        if sender.is_done:
            break
        killed = service.pid("receive")
        service.kill("receive")
        kills += 1
        wait_until(lambda old=killed: service.pid("receive") not in (None, old), "started again")  # type: ignore[misc]
        before = sender.n_acknowledged + 1  # which was on its way
    return kills


def _is_further(sender: Sender, before: int) -> bool:
    return sender.n_acknowledged > before or sender.is_done


def test_every_study_is_segmented_once(tmp_path: Path) -> None:
    studies = [study(tmp_path / str(seed), 200 + seed) for seed in range(STUDIES)]
    with (
        running_archive() as archive,
        running_service(
            tmp_path,
            receive={"processes": 2},
            complete={"quiet_unreleased_seconds": CUT_OFF_SECONDS},
            work={"models_folder": str(DEMO_MODELS)},
            rules=[{"name": "ct", "destinations": ["archive"]}],
            destinations=[{"name": "archive", "dicom": archive.destination}],
        ) as service,
    ):
        sender = Sender(service.settings.receive.port)
        with ThreadPoolExecutor() as pool:
            killer = pool.submit(kill_while, sender, service)
            sender.send(studies)
            assert killer.result() >= min(KILLS, STUDIES) // 2, "it was rarely killed"
        on_record = {one.sop_instance_uid for one in Ledger(service.database).instances()}
        assert {one.SOPInstanceUID for instances in studies for one in instances} == on_record
        uids = [instances[0].StudyInstanceUID for instances in studies]
        wait_until(
            lambda: len(archive.of_class(SegmentationStorage)) == STUDIES,
            "a SEG of every study",
            SEGMENT_SECONDS,
        )
        for uid in uids:
            (job,) = service.jobs.of_study(uid)
            service.wait_until_delivered(job)
            assert job.n_images == SLICES
        different = {uid for uid, found in archive.contents.items() if len(set(found)) > 1}
        assert not different, "two objects have one UID"

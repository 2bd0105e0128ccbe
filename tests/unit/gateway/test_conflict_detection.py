"""Tests that contradictory instances hold their study until a user decides."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import RLELossless, generate_uid

from gateway.config import (
    CompleteSection,
    DestinationSection,
    DicomDestination,
    GatewaySettings,
    RuleSection,
)
from gateway.receive.intake import Intake, ReceivedFile
from gateway.store.conflict import Conflict, ConflictKind, ConflictState
from gateway.store.conflicts import ConflictList
from gateway.store.counts_for_page_and_metrics import is_idle
from gateway.store.deliveries import DeliveryState
from gateway.store.events import EventKind
from gateway.store.job import Job, JobState
from gateway.store.ledger import KeptInstance
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.dispatch.test_dispatcher import DispatchBench, dispatching
from tests.unit.gateway.store.test_jobs import SEG

OTHER: dict[str, Any] = {"PatientID": "OTHER-7", "PatientName": "Other^Patient"}
ANOTHER: dict[str, Any] = {"PatientID": "OTHER-8", "PatientName": "Another^Patient"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Three slices that senders send, changed or not, and what the gateway makes of them."""

    bench: DispatchBench
    sources: tuple[Path, ...]
    conflicts: ConflictList

    @property
    def uid(self) -> str:
        return str(pydicom.dcmread(self.sources[0], stop_before_pixels=True).StudyInstanceUID)

    def send(
        self, *numbers: int, sender: str = "CT1", packed: bool = False, **attributes: Any
    ) -> list[KeptInstance]:
        """Has slices received and the dispatcher tick."""
        dispatcher, taken = self.bench.dispatcher, []
        with closing(Intake(dispatcher.storage, dispatcher.ledger, 0.0)) as intake:
            for number in numbers:
                dataset = pydicom.dcmread(self.sources[number])
                for keyword, value in attributes.items():
                    setattr(dataset, keyword, value)
                if packed:
                    dataset.compress(RLELossless, generate_instance_uid=False)
                path = dispatcher.storage.incoming / generate_uid()
                dataset.save_as(path)
                received = ReceivedFile(path=path, sender=sender, transfer=generate_uid())
                taken.append(intake.take(received))
        self.bench.tick()
        return taken

    def segmented(self) -> Job:
        """Has the newest job segmented, whose result goes to `pacs`."""
        job = self.jobs[-1]
        assert self.bench.dispatcher.jobs.begin(job.job_id, job.run, "host-1")
        assert self.bench.dispatcher.jobs.succeed(job.job_id, [SEG])
        self.bench.dispatcher.storage.output_folder(job.job_id).mkdir(parents=True)
        return job

    def blank(self) -> bytes:
        return bytes(len(pydicom.dcmread(self.sources[0]).PixelData))

    @property
    def jobs(self) -> list[Job]:
        return list(self.bench.jobs(self.uid))

    @property
    def held(self) -> Conflict:
        (conflict,) = self.conflicts.undecided()
        return conflict

    def take_new(self, conflict: Conflict) -> bool:
        replaced = self.bench.dispatcher.conflict_detector.replaced_by(conflict)
        return self.conflicts.take_new(conflict.conflict_id, conflict.n_instances, "anna", replaced)


@pytest.fixture
def study(tmp_path: Path, phantom_series: WrittenSeries) -> Iterator[Study]:
    with dispatching(tmp_path / "gateway", phantom_series.paths[0]) as bench:
        rule = RuleSection(destinations=("pacs",))
        pacs = DestinationSection(
            name="pacs", dicom=DicomDestination(ae_title="PACS", address="127.0.0.1")
        )
        complete = CompleteSection(quiet_seconds=60.0)  # as where senders are cut off
        settings = GatewaySettings(
            storage_folder=tmp_path, rules=(rule,), complete=complete, destinations=(pacs,)
        )
        quick = replace(bench, dispatcher=replace(bench.dispatcher, settings=settings))
        yield Study(
            bench=quick,
            sources=tuple(phantom_series.paths[:3]),
            conflicts=ConflictList(bench.database),
        )


def test_a_study_with_two_patients_is_held_before_the_gateway_makes_a_job(study: Study) -> None:
    study.send(0, 1)
    study.segmented()
    study.send(2, **OTHER)
    held = study.held
    assert held.kinds == (ConflictKind.PATIENT,)
    assert held.keywords == ("PatientID", "PatientName")
    assert held.n_instances == 1
    assert len(study.jobs) == 1, "nothing is made of a held study"
    assert study.bench.dispatcher.deliveries.unqueued() == [], "and nothing of it is delivered"
    (delivery,) = study.bench.dispatcher.deliveries.of_job(study.jobs[0].job_id)
    assert delivery.is_held
    assert is_idle(study.bench.database), "a drain does not wait for a decision"

    assert not study.conflicts.keep_first(held.conflict_id, 2, "anna"), "she saw something else"
    assert study.conflicts.keep_first(held.conflict_id, 1, "anna")
    study.bench.tick()
    assert len(study.jobs) == 1, "the study is as it was"
    (delivery,) = study.bench.dispatcher.deliveries.unfinished()
    assert not delivery.is_held
    assert study.bench.told(study.uid)[-2:] == [EventKind.CONFLICT_DECIDED, EventKind.COMPLETE]
    study.send(2, **OTHER, packed=True)
    assert not study.conflicts.undecided(), "she has decided against this content already"


def test_another_sender_can_not_replace_instances_of_a_study(study: Study) -> None:
    first = study.send(0, 1, 2)
    (job,) = study.jobs
    study.send(0, sender="EVIL", PixelData=study.blank(), **OTHER)
    held = study.held
    assert set(held.kinds) == set(ConflictKind)
    assert held.keywords == ("PatientID", "PatientName", "PixelData")
    jobs = study.bench.dispatcher.jobs
    assert jobs.begin(job.job_id, job.run, "host-1") is None, "no job of a held study starts"
    assert jobs.unqueued() == jobs.unfinished() == []
    assert study.bench.dispatcher.ledger.content(study.uid) == first


def test_a_running_job_of_a_held_study_delivers_nothing(study: Study) -> None:
    study.send(0)
    (job,) = study.jobs
    assert study.bench.dispatcher.jobs.begin(job.job_id, job.run, "host-1")
    study.send(0, PixelData=study.blank())
    assert study.held.kinds == (ConflictKind.CONTENT,)
    assert study.bench.dispatcher.jobs.succeed(job.job_id, [SEG])
    assert study.bench.dispatcher.deliveries.unqueued() == []
    assert study.conflicts.keep_first(study.held.conflict_id, 1, "anna")
    assert len(study.bench.dispatcher.deliveries.unqueued()) == 1


def test_the_same_content_in_another_encoding_is_no_conflict_of_a_study(study: Study) -> None:
    study.send(0, 1)
    name = str(pydicom.dcmread(study.sources[0]).PatientName).upper()
    study.send(0, 1, sender="PACS", packed=True, PatientName=f"{name}^^", PatientBirthDate="")
    assert not study.conflicts.undecided()
    assert len(study.jobs) == 1
    study.send(2, sender="PACS")
    assert [job.n_images for job in study.jobs] == [2, 3]


def test_a_corrected_patient_is_segmented_again_and_delivered_results_are_rejected(
    study: Study,
) -> None:
    study.send(0, 1)
    old = study.segmented()
    deliveries = study.bench.dispatcher.deliveries
    (delivery,) = deliveries.of_job(old.job_id)
    assert deliveries.delivered(delivery)
    study.send(0, 1, **OTHER)
    assert study.held.kinds == (ConflictKind.PATIENT,)
    assert study.take_new(study.held)
    study.bench.tick()
    superseded, new = study.jobs
    assert (superseded.state, new.state) == (JobState.SUPERSEDED, JobState.QUEUED)
    assert new.content_digest != old.content_digest
    (note,) = deliveries.unfinished()
    assert (note.job_id, note.is_rejection, note.is_held) == (old.job_id, True, False)
    assert not deliveries.delivered(delivery), "whoever still sends the results has lost the race"
    assert deliveries.delivered(note)
    assert study.bench.told(study.uid)[-1] == EventKind.DELIVERED
    study.segmented()
    (delivery,) = deliveries.unqueued()
    assert (delivery.job_id, delivery.is_rejection) == (new.job_id, False)
    study.send(0, packed=True)  # the sender of the old patient does not give in
    assert not study.conflicts.undecided()


def test_results_that_arrived_in_part_are_rejected_and_unsent_ones_are_not_sent(
    study: Study,
) -> None:
    study.send(0)
    first = study.segmented()
    deliveries = study.bench.dispatcher.deliveries
    (delivery,) = deliveries.of_job(first.job_id)
    deliveries.postpone(delivery, "the connection ended", 0.0)
    study.send(1)
    second = study.segmented()
    study.send(0, 1, **OTHER)
    assert study.take_new(study.held)
    (note,) = deliveries.unqueued()
    assert (note.job_id, note.is_rejection, note.attempts) == (first.job_id, True, 0)
    assert deliveries.of_job(second.job_id) == []
    study.send(0, 1, **ANOTHER)
    assert study.take_new(study.held)
    (kept,) = deliveries.unfinished()
    assert kept == note, "a second decision does not lose the note"


def test_a_rejected_study_makes_no_jobs_until_a_user_decides_again(study: Study) -> None:
    study.send(0)
    old = study.segmented()
    study.send(1, **OTHER)
    held = study.held
    assert study.conflicts.reject_study(held.conflict_id, 1, "anna")
    (delivery,) = study.bench.dispatcher.deliveries.of_job(old.job_id)
    assert delivery.state is DeliveryState.DEAD
    study.send(2)
    assert len(study.jobs) == 1
    (conflict,) = study.conflicts.of_study(study.uid)
    assert (conflict.state, conflict.decided_by) == (ConflictState.REJECTED, "anna")
    assert not study.conflicts.reject_study(held.conflict_id, 1, "anna"), "it is already"
    assert study.conflicts.keep_first(held.conflict_id, 1, "anna"), "she thinks again"
    study.bench.tick()
    assert [job.n_images for job in study.jobs] == [1, 2]

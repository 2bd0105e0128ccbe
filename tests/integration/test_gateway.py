"""Tests the whole gateway (`totalmap serve`) with senders and an archive."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage, SegmentationStorage
from pynetdicom.association import Association

from gateway.conflict_detection import ConflictDetector
from gateway.store.conflict import ConflictKind
from gateway.store.conflicts import ConflictList
from gateway.store.destination_states import DestinationStates
from gateway.store.events import history
from gateway.store.file_storage import Storage
from gateway.store.job import Job, JobState
from gateway.store.ledger import Ledger
from gateway.store.study_index import StudyIndex, StudyQuery
from gateway.store.workers import WorkerList
from gateway.web.health import DRAINED
from tests.archive import Archive, running_archive
from tests.conftest import DEMO_MODELS
from tests.phantom.study import SeriesSpec, write_series
from tests.sending import associate
from tests.servers import LOOPBACK, free_port
from tests.service import FEW_RESULTS, SMALL, Service, running_service
from tests.waiting import WAIT_SECONDS, wait_until
from totalmap.finding import REJECTION_NOTE

FIRST_PART, ALL = 20, SMALL.n_slices
# One that is not done while it is being stopped.
LONG = replace(SMALL, n_slices=150)


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with running_archive() as listening:
        yield listening


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[Service]:
    with running_service(
        tmp_path_factory.mktemp("service"),
        work={"models_folder": str(DEMO_MODELS), "stop_seconds": 0.1},
        rules=[
            {"name": "ct", "destinations": ["archive"]},
            {"name": "stat", "senders": ["STAT"], "urgent": True},
        ],
        destinations=[{"name": "archive", "dicom": archive.destination}],
    ) as running:
        yield running


def datasets(folder: Path, seed: int, spec: SeriesSpec = SMALL) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in write_series(folder, seed, spec).paths]


def store(association: Association, instances: Sequence[Dataset]) -> None:
    for instance in instances:
        assert association.send_c_store(instance).Status == 0x0000


def send(
    service: Service, instances: list[Dataset], title: str = "CT1", *, is_released: bool = True
) -> None:
    association = associate(service.settings.receive.port, title)
    store(association, instances)
    if is_released:
        association.release()
    else:
        association.abort()


def jobs_of(service: Service, instances: list[Dataset]) -> list[Job]:
    return list(service.jobs.of_study(instances[0].StudyInstanceUID))


def wait_for_jobs(service: Service, instances: list[Dataset], number: int) -> list[Job]:
    wait_until(lambda: len(jobs_of(service, instances)) >= number, f"{number} jobs")
    return jobs_of(service, instances)


def segs_of(archive: Archive, service: Service, job: Job) -> set[str]:
    uids = {result.sop_instance_uid for result in service.jobs.results(job.job_id)}
    return {uid for uid in archive.of_class(SegmentationStorage) if uid in uids}


def test_a_running_gateway_indexes_each_study_and_tests_its_destinations(
    service: Service, tmp_path: Path
) -> None:
    instance = datasets(tmp_path, 31)[0]
    instance.Modality = "MR"  # no rule makes a job of it
    send(service, [instance])
    index, states = StudyIndex(service.database), DestinationStates(service.database)
    wait_until(lambda: index.of(instance.StudyInstanceUID) is not None, "the study is indexed")
    found = index.search(StudyQuery(patient=str(instance.PatientID)), limit=5)
    assert instance.StudyInstanceUID in [study.study_instance_uid for study in found]
    wait_until(lambda: "archive" in states.all(), "the archive is tested")
    assert states.all()["archive"].fault is None


def test_the_gateway_segments_a_study_that_grows_again_and_an_identical_one_not(
    service: Service, archive: Archive, tmp_path: Path
) -> None:
    instances = datasets(tmp_path, 20)
    send(service, instances[:FIRST_PART])
    (first,) = wait_for_jobs(service, instances, 1)
    service.wait_until_delivered(first)
    send(service, instances[FIRST_PART:])
    _, second = wait_for_jobs(service, instances, 2)
    assert second.n_images == ALL
    service.wait_until_delivered(second)
    assert len(segs_of(archive, service, first) | segs_of(archive, service, second)) == 2
    arrived = len(archive.contents)
    send(service, instances)
    send(service, instances, title="CT2")
    results = [pydicom.dcmread(path) for path in _dicom_results(service, second)]
    _send_back(service, results)
    events = history(service.database, instances[0].StudyInstanceUID)
    wait_until(
        lambda: (
            [
                event.kind for event in history(service.database, instances[0].StudyInstanceUID)
            ].count(events[0].kind)
            == 3
        ),
        "looked at again, as our own results make it grow",
    )
    assert len(jobs_of(service, instances)) == 2
    assert len(archive.contents) == arrived


def _dicom_results(service: Service, job: Job) -> list[Path]:
    folder = Path(service.settings.storage_folder) / "jobs" / job.job_id / "output"
    return [
        folder / result.path
        for result in service.jobs.results(job.job_id)
        if result.sop_instance_uid
    ]


def _send_back(service: Service, results: Sequence[Dataset]) -> None:
    contexts = {(result.SOPClassUID, result.file_meta.TransferSyntaxUID) for result in results}
    association = associate(service.settings.receive.port, "ARCHIVE", contexts=contexts)
    store(association, results)
    association.release()


def test_a_study_that_grows_during_its_gateway_job_supersedes_the_job(
    service: Service, tmp_path: Path
) -> None:
    instances = datasets(tmp_path, 21, LONG)
    send(service, instances[:-FIRST_PART])
    (first,) = wait_for_jobs(service, instances, 1)
    service.wait_for(first, JobState.RUNNING)
    with service.stopped("work"):  # so that it is not done before
        send(service, instances[-FIRST_PART:])
        _, second = wait_for_jobs(service, instances, 2)
    service.wait_for(first, JobState.SUPERSEDED)
    service.wait_for(second, JobState.SEGMENTED)


def test_the_gateway_waits_longer_for_the_study_of_a_sender_that_dies(
    service: Service, tmp_path: Path
) -> None:
    instances = datasets(tmp_path, 22)
    send(service, instances[:FIRST_PART], is_released=False)
    send(service, instances[FIRST_PART:])
    assert jobs_of(service, instances) == []
    service.let_senders_be_silent()
    (job,) = wait_for_jobs(service, instances, 1)
    assert job.n_images == ALL
    service.jobs.cancel(job.job_id, "test")


def test_a_study_from_two_senders_makes_one_job_in_the_gateway(
    service: Service, tmp_path: Path
) -> None:
    instances = datasets(tmp_path, 23)
    port = service.settings.receive.port
    first, second = associate(port, "CT1"), associate(port, "CT2")
    store(first, instances[::2])
    store(second, instances[1:2])
    first.release()
    store(second, instances[3::2])
    second.release()
    (job,) = wait_for_jobs(service, instances, 1)
    assert job.n_images == ALL
    assert job.sender == "CT2"
    service.wait_for(job, JobState.SEGMENTED)


def test_content_of_another_sender_holds_a_study_in_the_gateway_until_a_user_decides(
    service: Service, archive: Archive, tmp_path: Path
) -> None:
    instances = datasets(tmp_path, 34)
    study = str(instances[0].StudyInstanceUID)
    send(service, instances)
    (first,) = wait_for_jobs(service, instances, 1)
    service.wait_until_delivered(first)
    arrived = set(archive.contents)
    for dataset in instances:
        dataset.PatientID, dataset.PatientName = "B-2", "Other^Patient"
    send(service, instances, title="CT2")
    conflicts = ConflictList(service.database)

    def is_held() -> bool:
        return [held.n_instances for held in conflicts.undecided()] == [ALL]

    wait_until(is_held, "held with all that came")
    (held,) = conflicts.undecided()
    assert set(held.kinds) == {ConflictKind.PATIENT, ConflictKind.SENDER}
    assert jobs_of(service, instances) == [service.jobs.job(first.job_id)]
    assert set(archive.contents) == arrived, "nothing of a held study is delivered"
    conflict_detector = ConflictDetector(
        Ledger(service.database), conflicts, Storage(Path(service.settings.storage_folder))
    )
    assert conflicts.take_new(held.conflict_id, ALL, "anna", conflict_detector.replaced_by(held))
    service.wait_for_deliveries(first)
    _, second = wait_for_jobs(service, instances, 2)
    service.wait_until_delivered(second)
    service.wait_for(first, JobState.SUPERSEDED)
    new = set(archive.contents) - arrived
    results = {result.sop_instance_uid for result in service.jobs.results(second.job_id)}
    (note,) = new - results
    assert note in archive.of_class(KeyObjectSelectionDocumentStorage)
    seg = next(path for path in _dicom_results(service, second) if path.name == "seg.dcm")
    assert pydicom.dcmread(seg, stop_before_pixels=True).PatientID == "B-2"
    assert not conflicts.is_held(study)


def test_urgent_jobs_start_first_when_a_pause_of_the_gateway_ends(
    service: Service, tmp_path: Path
) -> None:
    WorkerList(service.database).pause("somebody", is_paused=True)
    routine = [datasets(tmp_path / str(seed), seed) for seed in (24, 25)]
    for instances in routine:
        send(service, instances)
    waiting = [wait_for_jobs(service, instances, 1)[0] for instances in routine]
    stat = datasets(tmp_path / "stat", 26)
    send(service, stat, title="STAT")
    urgent = next(job for job in wait_for_jobs(service, stat, 2) if job.rule == "stat")
    assert service.jobs.make_urgent(waiting[1].job_id, "somebody")
    WorkerList(service.database).pause("somebody", is_paused=False)
    done = [service.wait_for(job, JobState.SEGMENTED) for job in [urgent, waiting[1], waiting[0]]]
    begun = [job.started_at or 0.0 for job in done]
    assert begun == sorted(begun)


def test_cancelling_a_running_gateway_job_lets_the_next_job_start(
    service: Service, tmp_path: Path
) -> None:
    instances = datasets(tmp_path / "one", 27)
    send(service, instances)
    (job,) = wait_for_jobs(service, instances, 1)
    service.wait_for(job, JobState.RUNNING)
    assert service.jobs.cancel(job.job_id, "somebody")
    other = datasets(tmp_path / "other", 28)
    send(service, other)
    (next_job,) = wait_for_jobs(service, other, 1)
    service.wait_for(next_job, JobState.SEGMENTED)
    found = service.jobs.job(job.job_id)
    assert found
    assert found.state is JobState.CANCELLED
    assert found.reason == "cancelled by somebody"


def test_a_stop_of_the_gateway_returns_the_running_job_to_the_queue_without_an_attempt(
    service: Service, tmp_path: Path
) -> None:
    instances = datasets(tmp_path, 29, LONG)
    send(service, instances)
    (job,) = wait_for_jobs(service, instances, 1)
    service.wait_for(job, JobState.RUNNING)
    assert service.stop() == 0
    given_back = service.jobs.job(job.job_id)
    assert given_back
    assert (given_back.state, given_back.attempts) == (JobState.QUEUED, 0)
    service.start()
    assert service.wait_for(job, JobState.SEGMENTED).attempts == 1


def test_the_gateway_holds_rejected_results_back_or_sends_them_to_reject_destinations(
    archive: Archive, tmp_path: Path
) -> None:
    """The demo model counts the vertebrae wrongly in voxels of 5 mm."""
    with running_service(
        tmp_path,
        work={"models_folder": str(DEMO_MODELS), "settings_file": None},
        rules=[
            {"name": "clinic", "destinations": ["pacs"]},
            {"name": "study", "destinations": ["pacs"], "reject_destinations": ["archive"]},
        ],
        destinations=[
            {"name": "archive", "dicom": archive.destination},
            {"name": "pacs", "dicom": {**archive.destination, "port": free_port()}},
        ],
    ) as service:
        instances = datasets(tmp_path / "study", 22)
        send(service, instances)
        jobs = {job.rule: job for job in wait_for_jobs(service, instances, 2)}
        held = service.wait_for(jobs["clinic"], JobState.HELD)
        assert held.reason
        results = service.jobs.results(held.job_id)
        assert any(result.path == "rejected/seg.dcm.held" for result in results)
        assert not service.deliveries.of_job(held.job_id)
        service.wait_until_delivered(jobs["study"])
        (delivery,) = service.deliveries.of_job(jobs["study"].job_id)
        assert delivery.destination == "archive"
        assert len(segs_of(archive, service, jobs["study"])) == 1
        results = service.jobs.results(jobs["study"].job_id)
        (note,) = [result.sop_instance_uid for result in results if result.kind == REJECTION_NOTE]
        assert note in archive.of_class(KeyObjectSelectionDocumentStorage)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("receive: {prot: 104}", "receive.prot"),
        ("rules: [{name: ct, destinations: [nowhere]}]", "rule ct: there is no such destination"),
        ("work: {models_folder: /nowhere}", "models folder /nowhere does not exist"),
    ],
)
def test_a_gateway_with_wrong_settings_says_why_and_ends(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "gateway.yaml"
    storage = f"storage_folder: {tmp_path / 'storage'}\n"
    port = "" if "receive" in text else f"receive: {{port: {free_port()}}}\n"
    file.write_text(f"{storage}{port}{text}\n")
    words = [sys.executable, "-m", "cli", "serve", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.returncode in (64, 66)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_drain_finishes_and_delivers_all_jobs_of_the_gateway_and_ends_it(
    archive: Archive, tmp_path: Path
) -> None:
    with running_service(
        tmp_path,
        FEW_RESULTS,
        work={"models_folder": str(DEMO_MODELS)},
        rules=[{"name": "ct", "destinations": ["archive"]}],
        destinations=[{"name": "archive", "dicom": archive.destination}],
    ) as service:
        instances = datasets(tmp_path / "study", 31)
        send(service, instances)
        words = [sys.executable, "-m", "cli", "gateway", "drain", str(service.file)]
        subprocess.run(words, check=True)
        assert service.process.wait(WAIT_SECONDS) == 0
        (job,) = jobs_of(service, instances)
        assert job.state is JobState.SEGMENTED
        assert segs_of(archive, service, job)
        service.start(is_receiving=False)
        wait_until(lambda: DRAINED in reasons(service), "named by /health")
        assert not service.is_receiving, "it stays drained, as after a start by systemd"
        said = subprocess.run(
            [*words[:3], "status", str(service.file)], capture_output=True, text=True, check=True
        )
        assert "Drained: nothing is received until `totalmap gateway resume`." in said.stdout
        subprocess.run([*words[:4], "resume", str(service.file)], check=True)
        wait_until(lambda: service.is_receiving, "receiving")
        wait_until(lambda: reasons(service) == [], "healthy")
        assert service.process.poll() is None


def reasons(service: Service) -> list[str]:
    """Returns the faults that /health names."""
    with suppress(httpx.TransportError):  # the page is not up yet
        url = f"http://{LOOPBACK}:{service.settings.web.port}/health"
        return list(httpx.get(url, timeout=WAIT_SECONDS).json()["reasons"])
    return ["the page does not answer"]

"""Tests a whole job, with a stand-in for Docker if the application does not matter."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
import pytest
import yaml
from pydicom.uid import generate_uid

from gateway.config import ContainerSection, GatewaySettings, RuleSection, WorkSection
from gateway.dispatch.job_rules import decide
from gateway.receive.intake import Intake, ReceivedFile
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryList
from gateway.store.events import EventKind, history
from gateway.store.file_storage import Storage
from gateway.store.job import Job, JobState, KeptResult
from gateway.store.jobs import JobList
from gateway.store.ledger import KeptInstance, Ledger
from gateway.store.rejected_results import RejectedResults
from gateway.work.application_runner import ContainerRunner, Runner, WarmRunner
from gateway.work.job_execution import JobExecutor
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.unit.gateway.store.test_jobs import stand
from tests.unit.gateway.work.docker_stand_in import DockerStandIn
from totalmap.settings import Device, ResultKind, Variant, load_settings

SEG = {"path": "results/seg.dcm", "kind": "seg", "sop_instance_uid": "2.25.1"}
RULE = RuleSection(
    application={"results": {"kinds": ["seg"]}, "segmentation": {"variant": "fast"}},
    destinations=("sender",),
)
SETTINGS = GatewaySettings(rules=(RULE,))
SMALL = SeriesSpec(rows=30, columns=30, n_slices=24, pixel_spacing_mm=(4.5, 4.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a worker has before it."""

    intake: Intake
    storage: Storage
    ledger: Ledger
    jobs: JobList
    database: Database
    docker: DockerStandIn

    def receive(self, *paths: Path) -> list[KeptInstance]:
        kept = []
        for path in paths:
            copy = self.storage.incoming / generate_uid()
            copy.write_bytes(path.read_bytes())
            kept.append(
                self.intake.take(ReceivedFile(path=copy, sender="CT1", transfer=generate_uid()))
            )
        return kept

    def open_job(self, settings: GatewaySettings = SETTINGS) -> Job:
        """Returns the job of the study that has grown last."""
        study = self.ledger.growing_studies()[-1]
        instances = list(self.ledger.instances(study.study_instance_uid))
        (new,) = decide(instances, settings, self.storage)
        self.jobs.open(study, [new], "")
        return stand(self.jobs, new.job_id)

    def work(
        self,
        settings: WorkSection | None = None,
        *,
        runner: Runner | None = None,
        worker: str = "host-1",
        device: str = "cpu",
    ) -> JobExecutor:
        container = ContainerSection(docker=str(self.docker.command))
        return JobExecutor(
            settings=settings or WorkSection(),
            storage=self.storage,
            ledger=self.ledger,
            jobs=self.jobs,
            rejected_results=RejectedResults(self.database),
            runner=runner or ContainerRunner(container, None, worker),
            worker=worker,
            device=device,
        )

    def do(self, work: JobExecutor, job: Job) -> Job:
        """Returns how a job stands after it was done."""
        begun = work.begin(job.job_id, stand(self.jobs, job.job_id).run)
        assert begun is not None
        work.segment(begun)
        return stand(self.jobs, job.job_id)


@pytest.fixture
def bench(
    intake: Intake, storage: Storage, ledger: Ledger, database: Database, tmp_path: Path
) -> Bench:
    return Bench(
        intake=intake,
        storage=storage,
        ledger=ledger,
        jobs=JobList(database),
        database=database,
        docker=DockerStandIn(tmp_path / "docker"),
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    return write_series(tmp_path_factory.mktemp("small"), 3, SMALL)


def changed(path: Path, folder: Path, **attributes: str) -> Path:
    """Returns another file, of an instance with other attributes."""
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    copy = folder / f"{generate_uid()}.dcm"
    dataset.save_as(copy)
    return copy


def names(kept: Sequence[KeptInstance]) -> list[str]:
    return sorted(f"{item.sha256}.dcm" for item in kept)


def test_a_finished_gateway_job_stores_its_results_and_opens_deliveries(
    bench: Bench, small: WrittenSeries, database: Database
) -> None:
    kept = bench.receive(*small.paths)
    bench.docker.succeeds(SEG)
    job = bench.do(bench.work(), bench.open_job())
    assert (job.state, job.reason, job.worker) == (JobState.SEGMENTED, None, "host-1")
    assert bench.jobs.results(job.job_id) == [
        KeptResult(path="results/seg.dcm", kind="seg", sop_instance_uid="2.25.1")
    ]
    assert [delivery.destination for delivery in DeliveryList(database).unqueued()] == ["sender"]
    assert bench.docker.text("input").split() == names(kept)
    assert bench.work().begin(job.job_id, job.run) is None, "it is done"


def test_the_input_of_a_job_stays_the_same_although_the_study_has_grown(
    bench: Bench, small: WrittenSeries, tmp_path: Path
) -> None:
    kept = bench.receive(*small.paths[1:])
    job = bench.open_job()
    bench.receive(small.paths[0])
    bench.receive(changed(small.paths[1], tmp_path, PatientPosition="FFS"))
    bench.docker.succeeds(SEG)
    assert bench.do(bench.work(), job).state is JobState.SEGMENTED
    assert bench.docker.text("input").split() == names(kept)


def test_the_input_of_a_gateway_job_holds_only_images_each_with_its_first_content(
    bench: Bench, small: WrittenSeries, tmp_path: Path
) -> None:
    first, *others = bench.receive(*small.paths)
    report = changed(
        small.paths[0],
        tmp_path,
        SOPClassUID=pydicom.uid.EnhancedSRStorage,
        SOPInstanceUID=generate_uid(),
    )
    (new, _) = bench.receive(changed(small.paths[0], tmp_path, PatientPosition="FFS"), report)
    assert new.sop_instance_uid == first.sop_instance_uid
    bench.docker.succeeds(SEG)
    bench.do(bench.work(), bench.open_job())
    assert bench.docker.text("input").split() == names([first, *others])


def test_a_job_whose_study_has_changed_is_dead(bench: Bench, small: WrittenSeries) -> None:
    bench.receive(*small.paths)
    (new,) = decide(list(bench.ledger.instances()), SETTINGS, bench.storage)
    (study,) = bench.ledger.growing_studies()
    bench.jobs.open(study, [replace(new, content_digest="f" * 64)], "")
    job = bench.do(bench.work(), stand(bench.jobs, new.job_id))
    assert job.state is JobState.DEAD
    assert job.reason == "the study has changed since; a new job segments it as it is now"
    assert not bench.docker.calls()


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "auto"])
def test_the_settings_of_a_gateway_rule_override_app_yaml(
    bench: Bench, small: WrittenSeries, device: str, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("segmentation: {structures: [liver], variant: full}\nresults:\n")
    bench.receive(*small.paths)
    bench.docker.succeeds(SEG)
    bench.do(bench.work(WorkSection(settings_file=own), device=device), bench.open_job())
    written = tmp_path / "written.yaml"
    written.write_text(bench.docker.text("settings.yaml"))
    settings = load_settings(written, {})
    assert settings.segmentation.variant is Variant.FAST
    assert settings.segmentation.structures == ("liver",)
    assert settings.segmentation.device is Device(device.partition(":")[0])
    assert settings.results.kinds == (ResultKind.SEG,)
    assert yaml.safe_load(own.read_text())["segmentation"]["variant"] == "full"


def test_a_job_that_runs_out_of_memory_is_postponed_and_dead_after_its_attempts(
    bench: Bench, small: WrittenSeries, database: Database
) -> None:
    bench.receive(*small.paths)
    job = bench.open_job()
    bench.docker.fails(75, "out of memory")
    work = bench.work(WorkSection(attempts=3, retry_seconds=90.0))
    for attempt in (1, 2):
        before = time.time()
        job = bench.do(work, job)
        assert (job.state, job.reason) == (JobState.QUEUED, "out of memory")
        assert (job.attempts, job.run) == (attempt, attempt + 1)
        assert before + 90.0 <= job.not_before <= time.time() + 90.0
    job = bench.do(work, job)
    assert job.state is JobState.DEAD
    assert job.reason == "begun 3 times without success: out of memory"
    assert history(database, job.study_instance_uid)[-1].kind is EventKind.DEAD


def test_the_worker_does_not_try_a_study_again_that_can_not_be_segmented(
    bench: Bench, small: WrittenSeries
) -> None:
    bench.receive(*small.paths)
    bench.docker.fails(65, "no CT series")
    job = bench.do(bench.work(), bench.open_job())
    assert (job.state, job.reason, job.attempts) == (JobState.DEAD, "no CT series", 1)


def test_a_job_that_kills_its_worker_every_time_is_dead(bench: Bench, small: WrittenSeries) -> None:
    bench.receive(*small.paths)
    job = bench.open_job()
    work = bench.work(WorkSection(attempts=3))
    for _ in range(3):
        assert work.begin(job.job_id, 1) is not None
        bench.jobs.progress(job.job_id, "segment")
    job = bench.do(work, job)
    assert job.state is JobState.DEAD
    assert job.reason == (
        "begun 3 times without success: it has ended its worker, the last time at segment"
    )
    assert not bench.docker.calls()


def test_the_worker_removes_the_output_of_an_earlier_attempt(
    bench: Bench, small: WrittenSeries
) -> None:
    """The container is killed before it can clear the output of the attempt before."""
    bench.receive(*small.paths)
    job = bench.open_job()
    work = bench.work()
    bench.docker.succeeds(SEG)
    begun = work.begin(job.job_id, 1)
    assert begun is not None
    work.runner.run(prepared(bench, job), _Silent())  # and here its worker is killed
    bench.docker.ends(137)
    job = bench.do(work, job)
    assert job.state is JobState.QUEUED
    assert job.reason == "the container ended with 137 and left no status.json"
    assert bench.docker.text("output") == ""
    assert [words[0] for words in bench.docker.calls()][-2:] == ["rm", "run"]


class _Silent:
    def stage_started(self, stage: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...


def prepared(bench: Bench, job: Job) -> Path:
    folder = bench.storage.job_folder(job.job_id)
    (folder / "input").mkdir(parents=True)
    (folder / "settings.yaml").touch()
    return folder


@pytest.mark.parametrize("exit_status", [0, 65, 75])
def test_a_worker_that_was_taken_for_lost_does_not_end_the_job_of_another_worker(
    bench: Bench, small: WrittenSeries, exit_status: int
) -> None:
    bench.receive(*small.paths)
    job = bench.open_job()
    first, second = bench.work(), bench.work(worker="host-2")
    begun = first.begin(job.job_id, 1)
    assert begun is not None
    assert second.begin(job.job_id, 1) is not None
    if exit_status:
        bench.docker.fails(exit_status, "something")
    else:
        bench.docker.succeeds(SEG)
    first.segment(begun)
    job = stand(bench.jobs, job.job_id)
    assert (job.state, job.worker, job.run) == (JobState.RUNNING, "host-2", 1)


def test_missing_images_postpone_a_gateway_job_with_a_reason(
    bench: Bench, small: WrittenSeries
) -> None:
    kept = bench.receive(*small.paths)
    job = bench.open_job()
    bench.storage.path(kept[3]).unlink()
    job = bench.do(bench.work(), job)
    assert job.state is JobState.QUEUED, "the disk may come back"
    assert job.reason == "images of the study are not on the disk"


def test_a_missing_application_settings_file_is_the_reason_of_a_dead_job(
    bench: Bench, small: WrittenSeries, tmp_path: Path
) -> None:
    bench.receive(*small.paths)
    settings = WorkSection(settings_file=tmp_path / "missing.yaml")
    job = bench.do(bench.work(settings), bench.open_job())
    assert job.state is JobState.DEAD
    assert "missing.yaml can't be read: No such file" in (job.reason or "")


def test_a_job_folder_that_can_not_be_written_postpones_the_job(
    bench: Bench, small: WrittenSeries
) -> None:
    bench.receive(*small.paths)
    job = bench.open_job()
    bench.storage.job_folder(job.job_id).touch()
    job = bench.do(bench.work(), job)
    assert job.state is JobState.QUEUED
    assert job.reason == "the job's folder can't be written: Not a directory"


def test_wrong_settings_of_a_rule_are_the_reason_of_a_dead_job(
    bench: Bench, small: WrittenSeries, fast_models: Path
) -> None:
    bench.receive(*small.paths)
    wrong = RULE.model_copy(update={"application": {"segmentation": {"tsk": "total"}}})
    job = bench.open_job(GatewaySettings(rules=(wrong,)))
    job = bench.do(bench.work(runner=WarmRunner(fast_models)), job)
    assert job.state is JobState.DEAD
    assert "segmentation.tsk" in (job.reason or "")


def test_a_warm_worker_segments_one_study_after_another(
    bench: Bench, small: WrittenSeries, fast_models: Path, tmp_path: Path
) -> None:
    work = bench.work(runner=WarmRunner(fast_models))
    work.warm_up(RULE.application)
    assert not list((bench.storage.job_folder("x").parent).iterdir())
    short = write_series(tmp_path / "short", 4, replace(SMALL, n_slices=5))
    bench.receive(*short.paths)
    job = bench.do(work, bench.open_job())
    assert (job.state, job.attempts) == (JobState.DEAD, 1)
    assert (job.reason or "").endswith("5 slices, at least 10 are needed"), job.reason
    kept = bench.receive(*small.paths)
    links = bench.storage.path(kept[0]).stat().st_nlink
    job = bench.do(work, bench.open_job())
    assert job.state is JobState.SEGMENTED
    assert (job.reason or "").startswith("Needs review: The series covers 69 mm")
    assert job.stage == "write_seg"
    (seg,) = [result for result in bench.jobs.results(job.job_id) if result.kind == "seg"]
    written = pydicom.dcmread(bench.storage.output_folder(job.job_id) / seg.path)
    assert written.SOPInstanceUID == seg.sop_instance_uid
    assert written.StudyInstanceUID == job.study_instance_uid
    assert bench.storage.path(kept[0]).stat().st_nlink == links, "nothing keeps the file"

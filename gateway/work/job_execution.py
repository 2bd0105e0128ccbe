"""Runs one job: prepares its input, runs the application, and stores the outcome."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import WorkSection
from gateway.store.current_images_of_study import content_digest, images
from gateway.store.file_storage import INPUT_NAME, SETTINGS_NAME, Storage
from gateway.store.job import Job
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger
from gateway.store.rejected_results import RejectedResults
from gateway.work.application_runner import Failure, Outcome, Runner
from gateway.work.application_settings import write_overlay
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.errors import InputError, ResourceError, TotalMapError, internal_error
from totalmap.log import get_logger

# The time between two reports of a job's progress; more would keep the database busy.
PROGRESS_SECONDS = 1.0

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobExecutor:
    """Runs jobs, one at a time.

    Attributes:
        worker: Its name, the same after each start.
        device: As in `work.devices`.
    """

    settings: WorkSection
    storage: Storage
    ledger: Ledger
    jobs: JobList
    rejected_results: RejectedResults
    runner: Runner
    worker: str
    device: str

    def begin(self, job_id: str, run: int) -> Job | None:
        """Begins a job that comes out of the queue; returns None if there is nothing left to do.

        Raises:
            ResourceError: The database fails; the job is queued again by the next sweep.
        """
        return self.jobs.begin(job_id, run, self.worker)

    def segment(self, job: Job) -> None:
        """Runs a job that was begun, and stores the outcome.

        Raises:
            ResourceError: As `begin`.
        """
        log.info("job_started", job=job.job_id, attempt=job.attempts)
        if job.attempts > self.settings.attempts:
            outcome = Outcome(failure=Failure(message=_why_killed(job), is_final=False))
        else:
            outcome = self._run(job)
        self._settle(job, outcome)

    def warm_up(self, application: Mapping[str, Any]) -> None:
        """Loads the networks before the first job comes.

        Args:
            application: The sections of the first rule, of which most jobs will be.

        Raises:
            ConfigError: The settings are wrong.
            ModelError: Weights are missing, not on record or changed, or a licence is missing.
        """
        folder = self.storage.job_folder(f"warm-up-{self.worker}")
        folder.mkdir(exist_ok=True)
        try:
            self.runner.warm_up(self._write_settings(folder, application))
        finally:
            shutil.rmtree(folder)

    def _run(self, job: Job) -> Outcome:
        folder = self.storage.job_folder(job.job_id)
        try:
            self._prepare(job, folder)
            return self.runner.run(folder, _Progress(self.jobs, job.job_id))
        except TotalMapError as error:
            is_final = error.exit_status != ResourceError.exit_status
            return Outcome(failure=Failure(message=str(error), is_final=is_final))
        except OSError as error:
            message = f"the job's folder can't be written: {error.strerror}"
            return Outcome(failure=Failure(message=message, is_final=False))
        except Exception as error:  # a job never fails without a reason
            return Outcome(failure=Failure(message=str(internal_error(error)), is_final=True))
        finally:  # links would keep deleted files on the disk
            shutil.rmtree(folder / INPUT_NAME, ignore_errors=True)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        failure = outcome.failure
        if failure is None:
            self.jobs.succeed(job.job_id, outcome.results, judgement=outcome.judgement, begun=job)
            event = "results_held_back" if outcome.judgement.is_held else "job_succeeded"
            verdict = outcome.judgement.verdict
            log.info(event, job=job.job_id, results=len(outcome.results), verdict=verdict)
        elif failure.is_final or job.attempts >= self.settings.attempts:
            reason = failure.message
            if not failure.is_final:
                reason = f"begun {self.settings.attempts} times without success: {reason}"
            self.jobs.die(job.job_id, reason, begun=job)
            log.error("job_dead", job=job.job_id, reason=reason)
        else:
            again = time.time() + self.settings.retry_seconds
            self.jobs.postpone(job.job_id, failure.message, again, begun=job)
            log.warning("job_postponed", job=job.job_id, reason=failure.message)

    def _prepare(self, job: Job, folder: Path) -> None:
        """Writes the input and settings of a job, and removes everything of an earlier attempt.

        Raises:
            InputError: The study has changed, so that these are not its images any more.
            ResourceError: Images of the study are not on the disk.
            ConfigError: The settings file can't be read.
        """
        found = self.ledger.content(job.study_instance_uid, job.content_until)
        if content_digest(found) != job.content_digest:
            raise InputError("the study has changed since; a new job segments it as it is now")
        self.runner.abandon()
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        (folder / INPUT_NAME).mkdir(parents=True)
        self.storage.link(images(found), folder / INPUT_NAME)
        self._write_settings(folder, job.application, self.rejected_results.uid_key(job))

    def _write_settings(
        self, folder: Path, application: Mapping[str, Any], uid_key: str = ""
    ) -> Path:
        base = self.settings.settings_file or DEFAULT_SETTINGS
        path = folder / SETTINGS_NAME
        write_overlay(base, application, self.device, path, uid_key)
        return path


class _Progress:
    """Stores the progress of a job."""

    def __init__(self, jobs: JobList, job_id: str) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._stage = ""
        self._told_at = 0.0

    def stage_started(self, stage: str) -> None:
        """Stores which stage begins."""
        self._stage = stage
        with _failure_logged():
            self._jobs.progress(self._job_id, stage)

    def progress(self, done: int, total: int) -> None:
        """Stores how many tiles are done, at most once a second."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            with _failure_logged():
                self._jobs.progress(self._job_id, self._stage, done, total)


@contextmanager
def _failure_logged() -> Iterator[None]:
    try:
        yield
    except ResourceError as error:  # the job goes on without it
        log.warning("progress_not_recorded", reason=str(error))


def _why_killed(job: Job) -> str:
    where = f", the last time at {job.stage}" if job.stage else ""
    return f"it has ended its worker{where}"

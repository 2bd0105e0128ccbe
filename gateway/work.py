"""One job from begin to end: its input, the application, what came of it."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.command import DEFAULT_SETTINGS
from gateway.complete import content_digest, images
from gateway.config import WorkSection
from gateway.joblist import Job, JobList
from gateway.ledger import KeptInstance, Ledger
from gateway.overlay import write_overlay
from gateway.runner import INPUT_NAME, SETTINGS_NAME, Failure, Outcome, Runner
from gateway.storage import Storage
from totalmap.errors import ResourceError
from totalmap.log import get_logger

# Of what a job says about itself; more would keep the database busy.
PROGRESS_SECONDS = 1.0

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Takes jobs, one at a time.

    Attributes:
        worker: Its name, the same after each start.
        device: As in `work.devices`.
    """

    settings: WorkSection
    storage: Storage
    ledger: Ledger
    jobs: JobList
    runner: Runner
    worker: str
    device: str

    def segment(self, job_id: str, run: int) -> None:
        """Does a job that comes out of the queue; does nothing if it is done already.

        Raises:
            ResourceError: The database fails; the job is queued again by the next sweep.
        """
        job = self.jobs.begin(job_id, run, self.worker)
        if job is None:
            return
        log.info("job_started", job=job_id, attempt=job.attempts)
        if job.attempts > self.settings.attempts:
            outcome = Outcome(failure=_killed(job, self.settings.attempts))
        else:
            outcome = self._run(job)
        self._settle(job, outcome)

    def warm_up(self, application: Mapping[str, Any]) -> None:
        """Has the networks loaded before the first job comes.

        Args:
            application: What the rule lays over app.yaml that most jobs will be of.

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
        try:
            folder = self._prepare(job)
            if folder is None:
                message = "the study has changed since, and is done anew as it is now"
                return Outcome(failure=Failure(message=message, is_final=True))
            return self.runner.run(folder, _Progress(self.jobs, job.job_id))
        except OSError as error:
            message = f"the job's folder can't be written: {error.strerror}"
            return Outcome(failure=Failure(message=message, is_final=False))
        except Exception as error:  # a job is never left without a reason
            log.exception("job_broken", job=job.job_id)
            message = f"unexpected {type(error).__name__}; this is a defect of TotalMAP"
            return Outcome(failure=Failure(message=message, is_final=True))

    def _settle(self, job: Job, outcome: Outcome) -> None:
        failure = outcome.failure
        if failure is None:
            self.jobs.succeed(job.job_id, outcome.results)
            log.info("job_succeeded", job=job.job_id, results=len(outcome.results))
        elif failure.is_final or job.attempts >= self.settings.attempts:
            self.jobs.die(job.job_id, failure.message)
            log.error("job_dead", job=job.job_id, reason=failure.message)
        else:
            again = time.time() + self.settings.retry_seconds
            self.jobs.postpone(job.job_id, failure.message, again)
            log.warning("job_postponed", job=job.job_id, reason=failure.message)

    def _prepare(self, job: Job) -> Path | None:
        """Returns the folder of a job with its input and settings, None if its input is gone."""
        found = [
            one
            for one in self.ledger.instances(job.study_instance_uid)
            if one.received_at <= job.content_until
        ]
        if content_digest(found) != job.content_digest:
            return None
        folder = self.storage.job_folder(job.job_id)
        with suppress(FileNotFoundError):
            shutil.rmtree(folder / INPUT_NAME)
        (folder / INPUT_NAME).mkdir(parents=True)
        for one in images(found):
            os.link(self.storage.path(one), folder / INPUT_NAME / _name(one))
        self._write_settings(folder, job.application)
        return folder

    def _write_settings(self, folder: Path, application: Mapping[str, Any]) -> Path:
        base = self.settings.settings_file or DEFAULT_SETTINGS
        path = folder / SETTINGS_NAME
        write_overlay(base, application, self.device, path)
        return path


class _Progress:
    """Puts on record what a job is doing."""

    def __init__(self, jobs: JobList, job_id: str) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._stage = ""
        self._told_at = 0.0

    def stage_started(self, stage: str) -> None:
        """Says which stage begins."""
        self._stage = stage
        with _told_if_possible():
            self._jobs.progress(self._job_id, stage)

    def progress(self, done: int, total: int) -> None:
        """Says how many tiles are done, not more often than somebody looks."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            with _told_if_possible():
                self._jobs.progress(self._job_id, self._stage, done, total)


@contextmanager
def _told_if_possible() -> Iterator[None]:
    try:
        yield
    except ResourceError as error:  # nothing depends on it
        log.warning("progress_not_recorded", reason=str(error))


def _killed(job: Job, attempts: int) -> Failure:
    where = f", the last time at {job.stage}" if job.stage else ""
    reason = job.reason or f"it has ended its worker{where}"
    return Failure(message=f"begun {attempts} times without success: {reason}", is_final=True)


def _name(instance: KeptInstance) -> str:
    return f"{instance.sha256}.dcm"

"""What a job is, and how it may stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Where a job stands.

    `held`: it has results, and they are not to be believed, so that they go nowhere.
    """

    QUEUED = "queued"
    RUNNING = "running"
    SEGMENTED = "segmented"
    HELD = "held"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is to be done.

    Attributes:
        job_id: Names rule and content: the same again is the same job.
        sender: Who sent the newest of it.
        content_digest: Of the images (gateway/dispatch/complete.py).
        content_until: When the newest of them came; seconds since 1970, UTC.
        application: Sections of app.yaml that the rule lays over it.
        destinations: By name.
    """

    job_id: str
    study_instance_uid: str
    rule: str
    sender: str
    content_digest: str
    content_until: float
    n_images: int
    is_urgent: bool
    application: Mapping[str, Any]
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(NewJob):
    """A job as it stands.

    Attributes:
        reason: Why it is dead, its results are held, it was cancelled, or waits.
        attempts: How often it was begun, since somebody last asked for it.
        run: Grows whenever it is put into the queue anew.
        not_before: Seconds since 1970, UTC, as all moments are.
        worker: Who runs it, or did.
        stage: What it is doing, as in status.json's `timings_seconds`.
    """

    state: JobState
    reason: str | None
    attempts: int
    run: int
    not_before: float
    created_at: float
    started_at: float | None
    ended_at: float | None
    worker: str | None
    stage: str | None
    tiles_done: int | None
    tiles: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResult:
    """A result of a job; `path` is relative to the job's output folder."""

    path: str
    kind: str
    sop_instance_uid: str | None

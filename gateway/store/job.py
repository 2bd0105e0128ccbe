"""What a job is, and how it may stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from totalmap.finding import Verdict


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


# Of many findings, the first say enough for a list.
REASONS_SHOWN = 3
_ADVICE = {Verdict.REVIEW: "To be reviewed:", Verdict.REJECT: "Not to be believed:"}

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
# Nothing of these was delivered; with other weights or settings it may be.
RETRYABLE_STATES = (JobState.DEAD, JobState.HELD, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """Where the results of a job go, by name, with each verdict on them."""

    ok: tuple[str, ...] = ()
    review: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()

    @classmethod
    def whatever(cls, *names: str) -> "Destinations":
        """Returns the same ones for every verdict."""
        return cls(ok=names, review=names, reject=names)

    def of(self, verdict: Verdict) -> tuple[str, ...]:
        """Returns those of results with a verdict."""
        return {
            Verdict.OK: self.ok,
            Verdict.REVIEW: self.review,
            Verdict.REJECT: self.reject,
        }[verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the application says of its results.

    Attributes:
        reasons: For the verdict, in sentences.
        is_held: Whether the application held them back.
    """

    verdict: Verdict = Verdict.OK
    reasons: tuple[str, ...] = ()
    is_held: bool = False

    @property
    def summary(self) -> str | None:
        """What is to be done and the first reasons; None where nothing is."""
        if self.verdict is Verdict.OK:
            return None
        more = len(self.reasons) - REASONS_SHOWN
        rest = (f"And {more} more.",) if more > 0 else ()
        return " ".join((_ADVICE[self.verdict], *self.reasons[:REASONS_SHOWN], *rest))


NO_DOUBT = Judgement()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is to be done.

    Attributes:
        job_id: Names rule and content: the same again is the same job.
        sender: Who sent the newest of it.
        content_digest: Of the images (gateway/dispatch/completeness.py).
        content_until: The `arrival` of the last of them (gateway/store/ledger.py).
        application: Sections of app.yaml that the rule lays over it.
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
    destinations: Destinations


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(NewJob):
    """A job as it stands.

    Attributes:
        reason: Why it is dead, its results are held or to be reviewed, it was cancelled, or waits.
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

"""Describes jobs: their states, destinations and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from totalmap.finding import Verdict
from totalmap.texts.catalogue import Language, Texts, texts_in


class JobState(StrEnum):
    """The state of a job.

    `held`: quality control has rejected its results, so they are delivered nowhere.
    """

    QUEUED = "queued"
    RUNNING = "running"
    SEGMENTED = "segmented"
    HELD = "held"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


# The number of findings in a summary.
REASONS_SHOWN = 3
# The first words of a summary, in the catalogue of texts.
_ADVICE = {Verdict.REVIEW: "reason.review", Verdict.REJECT: "reason.reject"}

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
# In these states nothing was delivered; a retry with other weights or settings may succeed.
RETRYABLE_STATES = (JobState.DEAD, JobState.HELD, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """The names of the destinations of a job's results, for each verdict."""

    ok: tuple[str, ...] = ()
    review: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()

    @classmethod
    def for_every_verdict(cls, *names: str) -> "Destinations":
        """Returns the same destinations for every verdict."""
        return cls(ok=names, review=names, reject=names)

    def of(self, verdict: Verdict) -> tuple[str, ...]:
        """Returns the destinations of results with a verdict."""
        return {
            Verdict.OK: self.ok,
            Verdict.REVIEW: self.review,
            Verdict.REJECT: self.reject,
        }[verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict of quality control on the results of a job.

    Attributes:
        reasons: Sentences that explain the verdict.
        is_held: Whether the application held the results back.
    """

    verdict: Verdict = Verdict.OK
    reasons: tuple[str, ...] = ()
    is_held: bool = False

    @property
    def summary(self) -> str | None:
        """The verdict and the first reasons in English; None if the verdict is ok."""
        return self.summary_in(texts_in(Language.ENGLISH))

    def summary_in(self, texts: Texts) -> str | None:
        """Returns the summary in a language; the reasons have to be in this language already."""
        if self.verdict is Verdict.OK:
            return None
        more = len(self.reasons) - REASONS_SHOWN
        rest = (texts("reason.more", count=more),) if more > 0 else ()
        return " ".join((texts(_ADVICE[self.verdict]), *self.reasons[:REASONS_SHOWN], *rest))


NO_DOUBT = Judgement()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be queued.

    Attributes:
        job_id: A digest of rule and content: the same again is the same job.
        sender: Who sent the newest image.
        content_digest: The digest of the images (gateway/store/current_images_of_study.py).
        content_until: The `arrival` of the last image (gateway/store/ledger.py).
        application: Sections of app.yaml that the rule overrides.
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
    """A job and its state.

    Attributes:
        reason: Why it is dead, held, to be reviewed, cancelled or waiting.
        attempts: How often it was begun since a user last retried it.
        run: Grows whenever it is queued again.
        not_before: Seconds since 1970, UTC, as all times.
        worker: The worker that runs it, or ran it last.
        stage: The stage that runs, as in `timings_seconds` of status.json.
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

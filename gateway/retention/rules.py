"""The rules of retention: when sources and results may be deleted."""

from dataclasses import dataclass

from gateway.config import RetentionSection
from gateway.store.deliveries import DeliveryState
from gateway.store.job import RETRYABLE_STATES, UNFINISHED, JobState

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDelivery:
    """What the rules want to know of a delivery.

    Attributes:
        needs_commitment: Whether its destination has to promise to keep what it got.
        done_at: When it was delivered, or promised; seconds since 1970, UTC. None: not yet.
    """

    state: DeliveryState
    needs_commitment: bool
    done_at: float | None

    @property
    def is_done(self) -> bool:
        """Whether the destination has the results, and has promised to keep them if it has to."""
        return self.state is not DeliveryState.DEAD and not self.is_open

    @property
    def is_open(self) -> bool:
        """Whether the destination may still need the results."""
        return self.state is DeliveryState.WAITING or (
            self.state is DeliveryState.DELIVERED and self.needs_commitment
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownJob:
    """What the rules want to know of a job.

    Attributes:
        is_note_due: Whether a destination has its results and is to be told that they are rejected.
    """

    job_id: str
    state: JobState
    ended_at: float | None
    deliveries: tuple[KnownDelivery, ...]
    is_note_due: bool = False

    @property
    def is_open(self) -> bool:
        """Whether something of it is still to be done."""
        is_unfinished = self.state in UNFINISHED or self.is_note_due
        return is_unfinished or any(delivery.is_open for delivery in self.deliveries)

    @property
    def is_failed(self) -> bool:
        """Whether somebody may want to try it, or a delivery of it, again."""
        return self.state in RETRYABLE_STATES or any(
            one.state is DeliveryState.DEAD for one in self.deliveries
        )

    @property
    def done_at(self) -> float:
        """When the last of it was done; seconds since 1970, UTC."""
        moments = (self.ended_at, *(one.done_at for one in self.deliveries))
        return max((one for one in moments if one is not None), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStudy:
    """What the rules want to know of a study.

    Attributes:
        last_at: When its newest instance came, or when a job or a delivery of it was given up,
            whichever is later; seconds since 1970, UTC.
        is_held: Whether somebody has to decide about it.
        is_rejected: Whether somebody has decided that nothing is made of it.
    """

    jobs: tuple[KnownJob, ...]
    last_at: float
    is_held: bool = False
    is_rejected: bool = False

    @property
    def is_open(self) -> bool:
        """Whether one of its jobs is, or somebody has to decide about it."""
        return self.is_held or any(job.is_open for job in self.jobs)

    @property
    def is_failed(self) -> bool:
        """Whether one of its jobs is, or the study was rejected."""
        return self.is_rejected or any(job.is_failed for job in self.jobs)

    @property
    def done_at(self) -> float:
        """When the last of it was done; seconds since 1970, UTC."""
        return max(self.last_at, *(one.done_at for one in self.jobs), 0.0)


def sources_may_go(study: KnownStudy, rules: RetentionSection, now: float) -> bool:
    """Returns whether the sources of a study may be deleted, of which nothing more is coming."""
    days = rules.failed_days if study.is_failed else rules.sources_days
    return not study.is_open and _is_past(days, study.done_at, now)


def results_may_go(job: KnownJob, study: KnownStudy, rules: RetentionSection, now: float) -> bool:
    """Returns whether the results of one of the jobs of a study may be deleted."""
    if study.is_failed:
        return not study.is_open and _is_past(rules.failed_days, study.done_at, now)
    is_open = job.is_open or study.is_held
    return not is_open and _is_past(rules.results_days, job.done_at, now)


def history_may_go(
    study: KnownStudy, last_event_at: float, rules: RetentionSection, now: float
) -> bool:
    """Returns whether all that is on record of a study may be deleted, whose files are gone.

    What a destination never got, or never promised to keep, stays on record.
    """
    is_delivered = all(one.is_done for job in study.jobs for one in job.deliveries)
    is_kept = study.is_failed and rules.failed_days is None
    last_at = max(study.done_at, last_event_at)
    return (
        is_delivered
        and not study.is_open
        and not is_kept
        and _is_past(rules.history_days, last_at, now)
    )


def _is_past(days: float | None, since: float, now: float) -> bool:
    return days is not None and now - since >= days * SECONDS_PER_DAY

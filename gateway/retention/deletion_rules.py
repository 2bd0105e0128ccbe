"""Decides when sources, results and histories may be deleted."""

from gateway.config import RetentionSection
from gateway.store.study_progress_for_retention import JobOfStudy, StudyState

SECONDS_PER_DAY = 86_400


def sources_may_go(study: StudyState, rules: RetentionSection, now: float) -> bool:
    """Returns whether the sources of a study may be deleted."""
    days = rules.failed_days if study.is_failed else rules.sources_days
    return not study.is_open and _is_past(days, study.done_at, now)


def results_may_go(job: JobOfStudy, study: StudyState, rules: RetentionSection, now: float) -> bool:
    """Returns whether the results of one of the jobs of a study may be deleted."""
    if study.is_failed:
        return not study.is_open and _is_past(rules.failed_days, study.done_at, now)
    is_open = job.is_open or study.is_held
    return not is_open and _is_past(rules.results_days, job.done_at, now)


def history_may_go(
    study: StudyState, last_event_at: float, rules: RetentionSection, now: float
) -> bool:
    """Returns whether the history of a study without files may be deleted.

    It stays if a destination never got the results, or never committed itself to keep them.
    """
    is_delivered = all(delivery.is_done for job in study.jobs for delivery in job.deliveries)
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

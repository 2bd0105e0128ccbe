"""Decides when a study is complete.

DICOM has no message for the end of a study. A sender that releases its association may come again
at once with the next series; one that was cut off will come again sooner or later.

The time without new instances is measured by a clock that can not be set. After a restart it starts
again.
"""

from collections.abc import Container
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.config import CompleteSection
from gateway.store.ledger import GrowingStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """How long nothing has happened to a study.

    Attributes:
        since_instance_seconds: Seconds since its last instance came.
        since_change_seconds: Seconds since that, or since its last transfer ended.
    """

    since_instance_seconds: float
    since_change_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The state of a study, and since when it has been so, in seconds since the boot."""

    n_instances: int
    ended_at: float | None
    instance_since: float
    change_since: float


class QuietTimes:
    """Measures how long studies have not changed, by looking at them again and again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def of(self, study: GrowingStudy) -> Quiet:
        """Returns how long a study has not changed; zero when it is seen for the first time."""
        now = self._clock.boot_seconds()
        before = self._seen.get(study.study_instance_uid)
        has_grown = before is None or before.n_instances != study.n_instances
        has_changed = has_grown or before is None or before.ended_at != study.transfers_ended_at
        seen = _Seen(
            n_instances=study.n_instances,
            ended_at=study.transfers_ended_at,
            instance_since=now if before is None or has_grown else before.instance_since,
            change_since=now if before is None or has_changed else before.change_since,
        )
        self._seen[study.study_instance_uid] = seen
        return Quiet(
            since_instance_seconds=now - seen.instance_since,
            since_change_seconds=now - seen.change_since,
        )

    def forget_all_but(self, study_instance_uids: Container[str]) -> None:
        """Forgets all studies except some."""
        for uid in [uid for uid in self._seen if uid not in study_instance_uids]:
            del self._seen[uid]


def is_complete(
    study: GrowingStudy, quiet: Quiet, settings: CompleteSection, expected: int | None = None
) -> bool:
    """Returns whether no more instances of a study are expected.

    Args:
        study: The study.
        quiet: How long it has not changed.
        settings: How long it has to be unchanged.
        expected: The number of its instances at the source; None: it is not known.
    """
    if expected is not None and study.n_instances >= expected:
        return True
    has_ended = study.transfers_ended_at is not None and expected is None
    if has_ended and quiet.since_change_seconds >= settings.quiet_seconds:
        return True
    return quiet.since_instance_seconds >= settings.quiet_unreleased_seconds

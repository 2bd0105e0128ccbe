"""Decides when all of a study is there.

DICOM has no word for the end of a study. A sender that releases its association has sent what it
wanted to send, but may come again at once with the next series; one that was cut off will come
again sooner or later.

How long it is quiet is counted by a clock that nobody can set. After a restart it is counted anew.
"""

from collections.abc import Container
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.config import CompleteSection
from gateway.store.ledger import GrowingStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """For how long nothing has happened to a study.

    Attributes:
        since_instance_seconds: Since an instance of it came.
        since_change_seconds: Since that, or since one of its transfers ended.
    """

    since_instance_seconds: float
    since_change_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A study as it was seen, and since when it has been so, in seconds since the boot."""

    n_instances: int
    ended_at: float | None
    instance_since: float
    change_since: float


class QuietTimes:
    """Looks at studies again and again, and knows how long each has been as it is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def of(self, study: GrowingStudy) -> Quiet:
        """Returns for how long a study has been quiet; zero when it is seen for the first time."""
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

    def forget_but(self, study_instance_uids: Container[str]) -> None:
        """Forgets all studies but some."""
        for uid in [uid for uid in self._seen if uid not in study_instance_uids]:
            del self._seen[uid]


def is_complete(
    study: GrowingStudy, quiet: Quiet, settings: CompleteSection, expected: int | None = None
) -> bool:
    """Returns whether nothing more of a study is to be expected.

    Args:
        study: What of it has come.
        quiet: For how long nothing has.
        settings: How long it has to be quiet.
        expected: How many instances its source has; None: it was not asked, or does not say.
    """
    if expected is not None and study.n_instances >= expected:
        return True
    has_ended = study.transfers_ended_at is not None and expected is None
    if has_ended and quiet.since_change_seconds >= settings.quiet_seconds:
        return True
    return quiet.since_instance_seconds >= settings.quiet_unreleased_seconds

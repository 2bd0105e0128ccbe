"""When all of a study is there.

DICOM has no word for the end of a study. A sender that releases its association has sent what it
wanted to send, but may come again at once with the next series; one that was cut off will come
again sooner or later.
"""

from gateway.config import CompleteSection
from gateway.record.ledger import GrowingStudy


def is_complete(
    study: GrowingStudy, now: float, settings: CompleteSection, expected: int | None = None
) -> bool:
    """Returns whether nothing more of a study is to be expected.

    Args:
        study: What of it has come.
        now: Seconds since 1970, UTC.
        settings: How long it has to be quiet.
        expected: How many instances its source has; None: it was not asked, or does not say.
    """
    if expected is not None and study.n_instances >= expected:
        return True
    if study.transfers_ended_at is not None and expected is None:
        quiet_since = max(study.transfers_ended_at, study.last_received_at)
        if now - quiet_since >= settings.quiet_seconds:
            return True
    return now - study.last_received_at >= settings.quiet_unreleased_seconds

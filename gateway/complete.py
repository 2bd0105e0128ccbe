"""When all of a study is there, and which content it is then.

DICOM has no word for the end of a study. A sender that releases its association has sent what it
wanted to send, but may come again at once with the next series; one that was cut off will come
again sooner or later.
"""

import hashlib
from collections.abc import Iterable

from gateway.config import CompleteSection
from gateway.ledger import GrowingStudy, KeptInstance
from totalmap.dicom.filters import SLICE_CLASSES


def is_complete(study: GrowingStudy, now: float, settings: CompleteSection) -> bool:
    """Returns whether nothing more of a study is to be expected.

    Args:
        study: What of it has come.
        now: Seconds since 1970, UTC.
        settings: How long it has to be quiet.
    """
    if study.transfers_ended_at is not None:
        quiet_since = max(study.transfers_ended_at, study.last_received_at)
        if now - quiet_since >= settings.quiet_seconds:
            return True
    return now - study.last_received_at >= settings.quiet_unreleased_seconds


def current(instances: Iterable[KeptInstance]) -> tuple[KeptInstance, ...]:
    """Returns the newest content of each instance, in the order of their UIDs."""
    ordered = sorted(instances, key=lambda one: (one.received_at, one.sha256))
    newest = {one.sop_instance_uid: one for one in ordered}
    return tuple(newest[uid] for uid in sorted(newest))


def images(instances: Iterable[KeptInstance]) -> tuple[KeptInstance, ...]:
    """Returns the newest content of each instance that may be segmented, in the order of UIDs.

    A report or a segmentation that comes later makes no other study of it: otherwise our own
    results, sent back by the archive, would be segmented for ever.
    """
    return tuple(one for one in current(instances) if one.sop_class_uid in SLICE_CLASSES)


def content_digest(instances: Iterable[KeptInstance]) -> str:
    """Returns a name for the images of a study: the same images, the same name.

    Whatever the order in which they came, and how often.
    """
    digest = hashlib.sha256()
    for one in images(instances):
        digest.update(f"{one.sop_instance_uid} {one.sha256}\n".encode())
    return digest.hexdigest()

"""What a study is made of, and a name for that: the same images, the same name."""

import hashlib
from collections.abc import Iterable

from gateway.record.ledger import KeptInstance
from totalmap.dicom.filters import SLICE_CLASSES


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

"""What a study is made of, and a name for that: the same images, the same name."""

import hashlib
from collections.abc import Iterable

from gateway.store.ledger import KeptInstance
from totalmap.dicom.selection_filters import SLICE_CLASSES


def current(instances: Iterable[KeptInstance]) -> tuple[KeptInstance, ...]:
    """Returns the first content of each instance that came, in the order of their UIDs.

    Nobody replaces by sending what is there already: who sends another content causes a conflict
    (gateway/conflict_detection.py).
    """
    ordered = sorted(
        instances, key=lambda kept: (kept.arrival, kept.received_at, kept.sha256), reverse=True
    )
    first = {kept.sop_instance_uid: kept for kept in ordered}
    return tuple(first[uid] for uid in sorted(first))


def images(instances: Iterable[KeptInstance]) -> tuple[KeptInstance, ...]:
    """Returns the first content of each instance that may be segmented, in the order of UIDs.

    A report or a segmentation that comes later makes no other study of it: otherwise our own
    results, sent back by the archive, would be segmented for ever.
    """
    return tuple(kept for kept in current(instances) if kept.sop_class_uid in SLICE_CLASSES)


def content_digest(instances: Iterable[KeptInstance]) -> str:
    """Returns a name for the images of a study: the same images, the same name.

    Whatever the order in which they came, and how often.
    """
    digest = hashlib.sha256()
    for kept in images(instances):
        digest.update(f"{kept.sop_instance_uid} {kept.sha256}\n".encode())
    return digest.hexdigest()

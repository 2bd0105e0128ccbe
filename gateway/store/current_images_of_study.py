"""Selects the current images of a study, and names them by a digest."""

import hashlib
from collections.abc import Iterable

from gateway.store.ledger import KeptInstance
from totalmap.dicom.selection_filters import SLICE_CLASSES


def current(instances: Iterable[KeptInstance]) -> tuple[KeptInstance, ...]:
    """Returns the first content of each instance, in the order of their UIDs.

    Another content of an instance does not replace the first one; it causes a conflict
    (gateway/conflict_detection.py).
    """
    ordered = sorted(
        instances, key=lambda kept: (kept.arrival, kept.received_at, kept.sha256), reverse=True
    )
    first = {kept.sop_instance_uid: kept for kept in ordered}
    return tuple(first[uid] for uid in sorted(first))


def images(instances: Iterable[KeptInstance]) -> tuple[KeptInstance, ...]:
    """Returns the first content of each image that may be segmented, in the order of UIDs.

    Reports and segmentations are left out. Otherwise our own results, sent back by the archive,
    would make it another study, to be segmented again and again.
    """
    return tuple(kept for kept in current(instances) if kept.sop_class_uid in SLICE_CLASSES)


def content_digest(instances: Iterable[KeptInstance]) -> str:
    """Returns a digest that names the images of a study.

    It does not depend on the order in which they came, nor on how often.
    """
    digest = hashlib.sha256()
    for kept in images(instances):
        digest.update(f"{kept.sop_instance_uid} {kept.sha256}\n".encode())
    return digest.hexdigest()

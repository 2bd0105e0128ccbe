"""Which jobs a complete study makes: every rule that fits it is one."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.tag import Tag

from gateway.config import SENDER, GatewaySettings, RuleSection
from gateway.store.files import Storage
from gateway.store.job import Destinations, NewJob
from gateway.store.ledger import KeptInstance
from gateway.store.study_content import content_digest, images
from totalmap.dicom.file_reader import read_header
from totalmap.errors import ResourceError
from totalmap.log import get_logger

_ATTRIBUTES = ("Modality", "BodyPartExamined", "StudyDescription", "SeriesDescription")
_TAGS = [Tag(keyword) for keyword in _ATTRIBUTES]

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """What rules look at in a series."""

    modality: str
    body_part: str
    descriptions: tuple[str, str]


def decide(
    instances: Iterable[KeptInstance], settings: GatewaySettings, storage: Storage
) -> Sequence[NewJob]:
    """Returns the jobs of a study.

    Args:
        instances: All that it is made of.
        settings: With the rules.
        storage: Where the files are.

    Raises:
        ResourceError: A file can't be read now; it may be so later.
    """
    found = images(instances)
    if not found:
        return []
    newest = max(found, key=lambda kept: kept.arrival)
    headers = [_read_header(storage.path(one)) for one in _one_of_each_series(found)]
    digest = content_digest(found)
    return [
        NewJob(
            job_id=_job_id(digest, rule),
            study_instance_uid=newest.study_instance_uid,
            rule=rule.name,
            sender=newest.sender,
            content_digest=digest,
            content_until=newest.arrival,
            n_images=len(found),
            is_urgent=rule.urgent,
            application=rule.whole_application,
            destinations=_destinations(rule, newest.sender, settings),
        )
        for rule in settings.rules
        if len(found) >= rule.min_instances and fits(rule, newest.sender, headers)
    ]


def fits(rule: RuleSection, sender: str, headers: Sequence[SeriesHeader]) -> bool:
    """Returns whether a rule wants a study: its sender, and one series of it in every respect."""
    if rule.senders and sender not in rule.senders:
        return False
    return any(
        (not rule.modalities or one.modality in rule.modalities)
        and _is_any_found(rule.body_parts, (one.body_part,))
        and _is_any_found(rule.descriptions, one.descriptions)
        for one in headers
    )


def _is_any_found(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    return not patterns or any(
        re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in texts
    )


def _destinations(rule: RuleSection, sender: str, settings: GatewaySettings) -> Destinations:
    """Returns each destination once; `sender` is the one whose AE title sent the study."""

    def known(names: Iterable[str]) -> tuple[str, ...]:
        named = (_name_of(sender, settings) if name == SENDER else name for name in names)
        return tuple(dict.fromkeys(named))

    return Destinations(
        **{verdict.value: known(names) for verdict, names in rule.destinations_of.items()}
    )


def _name_of(sender: str, settings: GatewaySettings) -> str:
    """Returns the destination that a sender is; `sender` where none is known by its AE title."""
    for one in settings.destinations:
        if one.dicom is not None and one.dicom.ae_title == sender:
            return one.name
    return SENDER


def _job_id(digest: str, rule: RuleSection) -> str:
    document = json.dumps([digest, rule.name, rule.whole_application], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def _one_of_each_series(instances: Iterable[KeptInstance]) -> Iterable[KeptInstance]:
    return {one.series_instance_uid: one for one in instances}.values()


def _read_header(path: Path) -> SeriesHeader:
    """Returns what a file says of its series; nothing where it is broken, which is no match."""
    try:
        with path.open("rb") as file:
            header = read_header(file, _TAGS, needs_prefix=True)
    except OSError as error:  # else a disk that is away would make a study one that nobody wants
        raise ResourceError(
            f"instance {path.name} of a study can't be read: {error.strerror}"
        ) from error
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("header_not_read", file=path.name, kind=type(error).__name__)
        return SeriesHeader(modality="", body_part="", descriptions=("", ""))
    modality, body_part, study, series = (
        str(header.get(attribute) or "").strip() for attribute in _ATTRIBUTES
    )
    return SeriesHeader(modality=modality, body_part=body_part, descriptions=(study, series))

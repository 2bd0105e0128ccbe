"""Decides which jobs a complete study makes: one for each rule that matches it."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.tag import Tag

from gateway.config import SENDER, GatewaySettings, RuleSection
from gateway.store.file_storage import Storage
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
    """The attributes of a series that rules look at."""

    modality: str
    body_part: str
    descriptions: tuple[str, str]


def decide(
    instances: Iterable[KeptInstance], settings: GatewaySettings, storage: Storage
) -> Sequence[NewJob]:
    """Returns the jobs of a study.

    Args:
        instances: The instances of the study.
        settings: Of the gateway, with the rules.
        storage: With the files.

    Raises:
        ResourceError: A file can't be read now; a later attempt may succeed.
    """
    found = images(instances)
    if not found:
        return []
    newest = max(found, key=lambda kept: kept.arrival)
    headers = [_read_header(storage.path(instance)) for instance in _one_of_each_series(found)]
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
    """Returns whether a rule matches a study: its sender, and all attributes of one series."""
    if rule.senders and sender not in rule.senders:
        return False
    return any(
        (not rule.modalities or header.modality in rule.modalities)
        and _is_any_found(rule.body_parts, (header.body_part,))
        and _is_any_found(rule.descriptions, header.descriptions)
        for header in headers
    )


def _is_any_found(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    return not patterns or any(
        re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in texts
    )


def _destinations(rule: RuleSection, sender: str, settings: GatewaySettings) -> Destinations:
    """Returns the destinations of a rule, each once, with `sender` replaced by its name."""

    def known(names: Iterable[str]) -> tuple[str, ...]:
        named = (_name_of(sender, settings) if name == SENDER else name for name in names)
        return tuple(dict.fromkeys(named))

    return Destinations(
        **{verdict.value: known(names) for verdict, names in rule.destinations_of.items()}
    )


def _name_of(sender: str, settings: GatewaySettings) -> str:
    """Returns the name of the destination with a sender's AE title; `sender` if there is none."""
    for destination in settings.destinations:
        if destination.dicom is not None and destination.dicom.ae_title == sender:
            return destination.name
    return SENDER


def _job_id(digest: str, rule: RuleSection) -> str:
    document = json.dumps([digest, rule.name, rule.whole_application], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def _one_of_each_series(instances: Iterable[KeptInstance]) -> Iterable[KeptInstance]:
    return {instance.series_instance_uid: instance for instance in instances}.values()


def _read_header(path: Path) -> SeriesHeader:
    """Returns the attributes of a file's series; empty ones for a broken file."""
    try:
        with path.open("rb") as file:
            header = read_header(file, _TAGS, needs_prefix=True)
    except OSError as error:  # a study must not be ignored because a disk is away
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

"""Decides which jobs a complete study makes: one for each rule that matches it."""

import hashlib
import json
from collections.abc import Iterable, Sequence

from gateway.config import SENDER, GatewaySettings, RuleSection
from gateway.rule_matching import compared_with_rules, match
from gateway.store.current_images_of_study import content_digest, images
from gateway.store.file_storage import Storage
from gateway.store.job import Destinations, NewJob
from gateway.store.ledger import KeptInstance


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
    study = compared_with_rules(found, storage)
    newest = max(found, key=lambda kept: kept.arrival)
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
        if match(rule, study).fits
    ]


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

"""Compares studies with rules, and says which conditions of a rule a study does not meet."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.tag import Tag

from gateway.config import RuleSection
from gateway.read_stored_header import read_stored_header, unreadable
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance
from totalmap.texts.catalogue import Joined, Message

_ATTRIBUTES = ("Modality", "BodyPartExamined", "StudyDescription", "SeriesDescription")
_TAGS = [Tag(keyword) for keyword in _ATTRIBUTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """The attributes of a series that rules look at.

    Attributes:
        descriptions: Of the study, and of the series.
    """

    modality: str
    body_part: str
    descriptions: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedWithRules:
    """What rules look at in a study.

    Attributes:
        sender: Who sent the newest image.
        n_images: The number of images that may be segmented.
        series: One for each series of these images.
    """

    sender: str
    n_images: int
    series: tuple[SeriesHeader, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmetCondition:
    """A condition of a rule that a study or series does not meet.

    Attributes:
        name: The condition, in English words.
        value: What the study or series has; empty if it has nothing there.
        wanted: What the rule wants.
    """

    name: str
    value: str
    wanted: str

    @property
    def sentence(self) -> Message:
        """Returns the sentence for people."""
        key = f"unmet.{self.name.replace(' ', '_')}"
        return Message(key, value=self.value or Message("unmet.empty"), wanted=self.wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesMatch:
    """A series, and the conditions that it does not meet."""

    series: SeriesHeader
    unmet: tuple[UnmetCondition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMatch:
    """Whether a rule matches a study, and why not.

    Attributes:
        unmet: The conditions on the study as a whole that are not met.
        series: Each series; one of them has to meet all conditions on series.
    """

    rule: RuleSection
    unmet: tuple[UnmetCondition, ...]
    series: tuple[SeriesMatch, ...]

    @property
    def fits(self) -> bool:
        """Whether the rule makes a job of the study."""
        return not self.unmet and any(not match.unmet for match in self.series)


def match(rule: RuleSection, study: ComparedWithRules) -> RuleMatch:
    """Compares a study with a rule: its sender, its size, and all attributes of one series."""
    return RuleMatch(
        rule=rule,
        unmet=tuple(_unmet_by_study(rule, study)),
        series=tuple(
            SeriesMatch(series=header, unmet=tuple(_unmet_by_series(rule, header)))
            for header in study.series
        ),
    )


def compared_with_rules(images: Sequence[KeptInstance], storage: Storage) -> ComparedWithRules:
    """Returns what rules look at in a study, read from a file of each series.

    Args:
        images: The images of the study that may be segmented; at least one.
        storage: With the files.

    Raises:
        ResourceError: A file can't be read now; a later attempt may succeed.
    """
    newest = max(images, key=lambda kept: kept.arrival)
    return ComparedWithRules(
        sender=newest.sender,
        n_images=len(images),
        series=tuple(_read_header(storage.path(each)) for each in _one_of_each_series(images)),
    )


def _unmet_by_study(rule: RuleSection, study: ComparedWithRules) -> Iterable[UnmetCondition]:
    if rule.senders and study.sender not in rule.senders:
        yield UnmetCondition(name="sender", value=study.sender, wanted=one_of(rule.senders))
    if study.n_images < rule.min_instances:
        yield UnmetCondition(
            name="number of images",
            value=str(study.n_images),
            wanted=Message("unmet.at_least", count=rule.min_instances),
        )


def _unmet_by_series(rule: RuleSection, header: SeriesHeader) -> Iterable[UnmetCondition]:
    if rule.modalities and header.modality not in rule.modalities:
        yield UnmetCondition(name="modality", value=header.modality, wanted=one_of(rule.modalities))
    if not _is_any_found(rule.body_parts, (header.body_part,)):
        wanted = one_of([*map(_quoted, rule.body_parts)])
        yield UnmetCondition(
            name="body part examined", value=_quoted(header.body_part), wanted=wanted
        )
    if not _is_any_found(rule.descriptions, header.descriptions):
        yield UnmetCondition(
            name="description of the study or series",
            value=all_of([*map(_quoted, filter(None, header.descriptions))]),
            wanted=one_of([*map(_quoted, rule.descriptions)]),
        )


def one_of(values: Sequence[str]) -> Message:
    """Returns values in words: `CT1, CT2 or CT3`."""
    return Message("list.named", names=Joined(tuple(values), with_or=True))


def all_of(values: Sequence[str]) -> Message:
    """Returns values in words: `CT1, CT2 and CT3`."""
    return Message("list.named", names=Joined(tuple(values), with_and=True))


def _quoted(text: str) -> str:
    return Message("rule.quoted", text=text) if text else ""


def _is_any_found(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    return not patterns or any(
        re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in texts
    )


def _one_of_each_series(instances: Iterable[KeptInstance]) -> Iterable[KeptInstance]:
    return {instance.series_instance_uid: instance for instance in instances}.values()


def _read_header(path: Path) -> SeriesHeader:
    """Returns the attributes of a file's series; empty ones for a broken file."""
    try:
        header = read_stored_header(path, _TAGS)
    except FileNotFoundError as error:  # a study must not be ignored because a disk is away
        raise unreadable(path, error) from error
    if header is None:
        return SeriesHeader(modality="", body_part="", descriptions=("", ""))
    modality, body_part, study, series = (
        str(header.get(attribute) or "").strip() for attribute in _ATTRIBUTES
    )
    return SeriesHeader(modality=modality, body_part=body_part, descriptions=(study, series))

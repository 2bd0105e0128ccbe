"""Collects what the page shows of a conflict: both sides, and their differences."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydicom.sequence import Sequence as ItemSequence
from pydicom.tag import Tag

from gateway.store.conflict import Conflict
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance
from gateway.web.context import WebContext
from totalmap.dicom.file_reader import read_header
from totalmap.dicom.instance_comparison import PIXEL_DATA, attribute_name
from totalmap.dicom.patient_comparison import PATIENT_KEYWORDS
from totalmap.log import get_logger
from totalmap.texts.catalogue import Message, counted_key

# The number of files read of each side: a page is refreshed every two seconds.
FILES_READ = 12
# The number of attributes shown besides those of the patient.
ATTRIBUTES_SHOWN = 20
HEADERS_KEPT = 1024
_VALUE_CHARACTERS = 80

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSender:
    """A sender of one side of a conflict, with times in seconds since 1970, UTC."""

    sender: str
    n_instances: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedAttribute:
    """The values of an attribute on both sides; several if the files of a side differ."""

    name: str
    first: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the values of the sides differ."""
        return self.first != self.new


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownConflict:
    """A conflict with both sides, which are empty if it is decided."""

    conflict: Conflict
    first: Sequence[SideSender]
    new: Sequence[SideSender]
    attributes: Sequence[ComparedAttribute]
    has_other_pixels: bool


def shown_conflicts(context: WebContext, study_instance_uid: str) -> Sequence[ShownConflict]:
    """Returns the conflicts of a study, the oldest first.

    Raises:
        ResourceError: The database fails.
    """
    return [_shown(context, found) for found in context.conflicts.of_study(study_instance_uid)]


def _shown(context: WebContext, conflict: Conflict) -> ShownConflict:
    new: Sequence[KeptInstance] = ()
    first: Sequence[KeptInstance] = ()
    if conflict.is_decidable:
        new = context.conflicts.instances(conflict.conflict_id)
        first = context.ledger.content(conflict.study_instance_uid)
    return ShownConflict(
        conflict=conflict,
        first=_senders(first),
        new=_senders(new),
        attributes=_attributes(context.storage, conflict, first, new),
        has_other_pixels=PIXEL_DATA in conflict.keywords,
    )


def _senders(instances: Iterable[KeptInstance]) -> Sequence[SideSender]:
    moments: dict[str, list[float]] = defaultdict(list)
    for instance in instances:
        moments[instance.sender].append(instance.received_at)
    return [
        SideSender(
            sender=sender,
            n_instances=len(received),
            first_at=min(received),
            last_at=max(received),
        )
        for sender, received in moments.items()
    ]


def _attributes(
    storage: Storage,
    conflict: Conflict,
    first: Sequence[KeptInstance],
    new: Sequence[KeptInstance],
) -> Sequence[ComparedAttribute]:
    others = [
        keyword
        for keyword in conflict.keywords
        if keyword not in PATIENT_KEYWORDS and keyword != PIXEL_DATA
    ]
    keywords = (*PATIENT_KEYWORDS, *others[:ATTRIBUTES_SHOWN])
    shown = new[:FILES_READ]
    uids = {instance.sop_instance_uid for instance in shown}
    # The same instances, if the first side has them: other instances may differ anyway.
    same = [instance for instance in first if instance.sop_instance_uid in uids]
    sides = [
        _values(storage, instances, keywords) for instances in ((same or first)[:FILES_READ], shown)
    ]
    return [
        ComparedAttribute(
            name=attribute_name(keyword), first=sides[0][keyword], new=sides[1][keyword]
        )
        for keyword in keywords
        if sides[0][keyword] or sides[1][keyword]
    ]


def _values(
    storage: Storage, instances: Iterable[KeptInstance], keywords: tuple[str, ...]
) -> Mapping[str, tuple[str, ...]]:
    headers = [_texts(storage.path(instance), keywords) for instance in instances]
    return {
        keyword: tuple(dict.fromkeys(header[k] for header in headers if header[k]))
        for k, keyword in enumerate(keywords)
    }


@lru_cache(maxsize=HEADERS_KEPT)
def _texts(path: Path, keywords: tuple[str, ...]) -> tuple[str, ...]:
    """Returns values as texts, empty if there is none; a file never changes."""
    try:
        with path.open("rb") as file:
            header = read_header(
                file, [Tag("SpecificCharacterSet"), *map(_tag, keywords)], needs_prefix=True
            )
            return tuple(_text(header.get(_tag(keyword))) for keyword in keywords)
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("header_not_read", file=path.name, kind=type(error).__name__)
        return ("",) * len(keywords)


def _tag(keyword: str) -> int:
    return int(Tag(keyword.strip("()").replace(",", "").replace(" ", "")))


def _text(element: object) -> str:
    value = getattr(element, "value", None)
    if value is None:
        return ""
    if isinstance(value, ItemSequence):
        number = len(value)
        return Message(counted_key("count.item", number), count=number) if number else ""
    return str(value)[:_VALUE_CHARACTERS]

"""Reads the patient and date of a study from one of its files; they are kept in memory only."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import PersonName

from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from totalmap.dicom.file_reader import read_header
from totalmap.log import get_logger

_ATTRIBUTES = ("PatientName", "PatientID", "StudyDate", "StudyDescription")
_TAGS = [Tag(keyword) for keyword in _ATTRIBUTES]
# More than a page shows; a decision about a conflict is soon seen here.
KEPT = 256
KEPT_SECONDS = 60.0
UID_CHARACTERS = 12
_DATE_CHARACTERS = 8

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The title of a study on the page.

    Attributes:
        title: The name of the patient; or the end of the Study Instance UID, if there is no file.
        patient_id: Empty if it is not known, like the following.
        study_date: In ISO 8601.
    """

    title: str
    patient_id: str = ""
    study_date: str = ""
    description: str = ""


class Headlines:
    """The titles of studies, kept for a minute; safe to use from many threads."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._ledger = Ledger(database)
        self._storage = storage
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[Headline, Path, float]] = OrderedDict()

    def of(self, study_instance_uid: str) -> Headline:
        """Returns the title of a study.

        Raises:
            ResourceError: The database fails.
        """
        with self._lock:
            headline, path, read_at = self._kept.get(study_instance_uid, (None, None, 0.0))
        if headline and path and time.monotonic() - read_at < KEPT_SECONDS and path.exists():
            return headline
        path = self._first_file(study_instance_uid)
        headline = _read(path) if path else None
        if path is None or headline is None:
            return Headline(title=short_uid(study_instance_uid))
        with self._lock:
            self._kept[study_instance_uid] = (headline, path, time.monotonic())
            self._kept.move_to_end(study_instance_uid)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return headline

    def forget(self, study_instance_uid: str) -> None:
        """Forgets the title of a study of which a user has taken another content."""
        with self._lock:
            self._kept.pop(study_instance_uid, None)

    def _first_file(self, study_instance_uid: str) -> Path | None:
        first = self._ledger.first_instance(study_instance_uid)
        return self._storage.path(first) if first else None


def short_uid(uid: str) -> str:
    """Returns the end of a UID, where UIDs differ."""
    return f"…{uid[-UID_CHARACTERS:]}"


def _read(path: Path) -> Headline | None:
    try:
        with path.open("rb") as file:
            return _headline(read_header(file, _TAGS, needs_prefix=True))
    except FileNotFoundError:
        return None
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("header_not_read", file=path.name, kind=type(error).__name__)
        return None


def _headline(header: Dataset) -> Headline:
    texts: Mapping[str, str] = {
        keyword: str(header.get(keyword) or "").strip() for keyword in _ATTRIBUTES[1:]
    }
    return Headline(
        title=_name(header.get("PatientName")) or "(no name)",
        patient_id=texts["PatientID"],
        study_date=_iso_date(texts["StudyDate"]),
        description=texts["StudyDescription"],
    )


def _name(name: PersonName | str | None) -> str:
    """Returns a name for display: its first representation that is not empty (PS3.5 6.2)."""
    groups = str(name or "").split("=")
    parts = next((group for group in groups if group.strip("^ ")), "").split("^")
    family, *given = (part.strip() for part in parts)
    return ", ".join(filter(None, (family, " ".join(filter(None, given[:2])))))


def _iso_date(date: str) -> str:
    is_date = len(date) == _DATE_CHARACTERS and date.isdecimal()
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if is_date else date

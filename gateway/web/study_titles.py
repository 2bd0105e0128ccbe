"""Returns the patient and date of a study: from the ledger, or from a file of a new study."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from gateway.read_study_attributes import read_study_attributes
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance, Ledger
from gateway.store.study_index import StudyAttributes, StudyIndex
from totalmap.errors import ResourceError
from totalmap.log import get_logger
from totalmap.texts.catalogue import Message

log = get_logger()

# More than a page shows; a decision about a conflict is soon seen here.
KEPT = 256
KEPT_SECONDS = 60.0
UID_CHARACTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTitle:
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
    accession_number: str = ""


class StudyTitles:
    """The titles of studies; safe to use from many threads.

    A study that is not indexed yet is read from a file, and its title is kept for a minute.
    """

    def __init__(self, database: Database, storage: Storage) -> None:
        self._ledger = Ledger(database)
        self._index = StudyIndex(database)
        self._storage = storage
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[StudyTitle, Path, float]] = OrderedDict()

    def of(self, study_instance_uid: str) -> StudyTitle:
        """Returns the title of a study.

        Raises:
            ResourceError: The database fails.
        """
        indexed = self._index.of(study_instance_uid)
        if indexed is not None:
            return study_title_of(indexed)
        with self._lock:
            study_title, path, read_at = self._kept.get(study_instance_uid, (None, None, 0.0))
        if study_title and path and time.monotonic() - read_at < KEPT_SECONDS and path.exists():
            return study_title
        first = self._ledger.first_instance(study_instance_uid)
        study_title = self._read(first) if first else None
        if first is None or study_title is None:
            return StudyTitle(title=short_uid(study_instance_uid))
        path = self._storage.path(first)
        with self._lock:
            self._kept[study_instance_uid] = (study_title, path, time.monotonic())
            self._kept.move_to_end(study_instance_uid)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return study_title

    def forget(self, study_instance_uid: str) -> None:
        """Forgets the title of a study of which a user has taken another content."""
        with self._lock:
            self._kept.pop(study_instance_uid, None)

    def _read(self, first: KeptInstance) -> StudyTitle | None:
        try:
            found = read_study_attributes(first.study_instance_uid, [first], self._storage)
        except ResourceError as error:  # the page is shown without the name
            log.warning("title_not_read", reason=str(error))
            return None
        return study_title_of(found) if found is not None else None


def study_title_of(attributes: StudyAttributes) -> StudyTitle:
    """Returns the title of a study with known attributes."""
    return StudyTitle(
        title=attributes.patient_name or Message("study.no_name"),
        patient_id=attributes.patient_id,
        study_date=attributes.study_date,
        description=attributes.description,
        accession_number=attributes.accession_number,
    )


def short_uid(uid: str) -> str:
    """Returns the end of a UID, where UIDs differ."""
    return f"…{uid[-UID_CHARACTERS:]}"

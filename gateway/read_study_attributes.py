"""Reads the attributes by which users find a study from the files of its series."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway.read_stored_header import read_stored_header
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance
from gateway.store.study_index import StudyAttributes
from totalmap.log import get_logger

_KEYWORDS = (
    "SpecificCharacterSet",
    "StudyDate",
    "AccessionNumber",
    "Modality",
    "StudyDescription",
    "PatientName",
    "PatientID",
)
_TAGS = [Tag(keyword) for keyword in _KEYWORDS]
# Standard values are shorter: 64 characters, and for a name in each of its three groups.
_MOST_CHARACTERS = 200
# The number of series whose modality is read.
_MOST_SERIES = 50
_DATE_CHARACTERS = 8

log = get_logger()


def read_study_attributes(
    study_instance_uid: str, instances: Iterable[KeptInstance], storage: Storage
) -> StudyAttributes | None:
    """Returns the attributes of a study; None: no file of it can be read.

    Args:
        study_instance_uid: Of the study.
        instances: Its instances in the order in which they came; the first names the patient.
        storage: With the files.

    Raises:
        ResourceError: The disk does not answer; a later attempt may succeed.
    """
    first_of_series: dict[str, KeptInstance] = {}
    for instance in instances:
        first_of_series.setdefault(instance.series_instance_uid, instance)
    shown = [*first_of_series.values()][:_MOST_SERIES]
    headers = [header for each in shown if (header := _read(storage.path(each))) is not None]
    if not headers:
        return None
    first = headers[0]
    modalities = dict.fromkeys(filter(None, (_text(header, "Modality") for header in headers)))
    return StudyAttributes(
        study_instance_uid=study_instance_uid,
        patient_name=_shown_name(_text(first, "PatientName")),
        other_names=_text(first, "PatientName"),
        patient_id=_text(first, "PatientID"),
        accession_number=_text(first, "AccessionNumber"),
        study_date=_iso_date(_text(first, "StudyDate")),
        description=_text(first, "StudyDescription"),
        modalities=", ".join(modalities),
    )


def _read(path: Path) -> Dataset | None:
    with suppress(FileNotFoundError):  # the study is being deleted
        return read_stored_header(path, _TAGS)
    return None


def _text(header: Dataset, keyword: str) -> str:
    """Returns a value without characters that can't be shown; empty if it is broken."""
    try:
        value = str(header.get(keyword) or "")
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("value_not_read", attribute=keyword, kind=type(error).__name__)
        return ""
    shown = "".join(letter for letter in value if letter.isprintable())
    return shown.strip()[:_MOST_CHARACTERS]


def _shown_name(name: str) -> str:
    """Returns a name for display: its first representation that is not empty (PS3.5 6.2)."""
    parts = next((group for group in name.split("=") if group.strip("^ ")), "").split("^")
    family, *given = (part.strip() for part in parts)
    return ", ".join(filter(None, (family, " ".join(filter(None, given[:2])))))


def _iso_date(text: str) -> str:
    """Returns a date (PS3.5 6.2, also as ACR-NEMA wrote it) in ISO 8601; empty: it is none."""
    digits = text.replace(".", "")
    try:
        return date.fromisoformat(digits).isoformat() if _is_date(digits) else ""
    except ValueError:
        return ""


def _is_date(digits: str) -> bool:
    return len(digits) == _DATE_CHARACTERS and digits.isascii() and digits.isdecimal()

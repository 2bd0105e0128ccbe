"""Reads which scanner made the images of a study, so that decisions are counted by scanner."""

from contextlib import suppress

from pydicom.tag import Tag

from gateway.read_stored_header import read_stored_header
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger

_TAGS = [Tag("SpecificCharacterSet"), Tag("Manufacturer"), Tag("ManufacturerModelName")]
_MOST_CHARACTERS = 100


def read_scanner(study_instance_uid: str, ledger: Ledger, storage: Storage) -> str:
    """Returns manufacturer and model of the first image; empty if they are not known.

    Raises:
        ResourceError: The database or the disk fails.
    """
    instance = ledger.first_instance(study_instance_uid)
    if instance is None:
        return ""
    header = None
    with suppress(FileNotFoundError):  # deleted since
        header = read_stored_header(storage.path(instance), _TAGS)
    if header is None:
        return ""
    words = [str(header.get(name, "")) for name in ("Manufacturer", "ManufacturerModelName")]
    text = " ".join(" ".join(words).split())
    return "".join(filter(str.isprintable, text))[:_MOST_CHARACTERS]

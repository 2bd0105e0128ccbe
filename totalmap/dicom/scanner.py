"""Reads the name of the scanner that made an image."""

from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from totalmap.dicom.file_reader import read_header
from totalmap.dicom.header import BROKEN_FILE, Header

_KEYWORDS = ("Manufacturer", "ManufacturerModelName")
_LONGEST_NAME = 100


def read_scanner(path: Path) -> str:
    """Returns manufacturer and model of the scanner of an image (PS3.3 C.7.5.1).

    Args:
        path: The file of an image.

    Returns:
        At most 100 characters in one line; empty if the header states neither, or can't be read.
    """
    try:
        with path.open("rb") as file:
            header = Header(read_header(file, [Tag(keyword) for keyword in _KEYWORDS]))
        name = " ".join(header.text(keyword) for keyword in _KEYWORDS)
    except (*BROKEN_FILE, InvalidDicomError, OSError):
        return ""
    return " ".join(name.split())[:_LONGEST_NAME].rstrip()

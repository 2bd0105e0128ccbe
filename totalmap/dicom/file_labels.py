"""Names files to people without their paths, which may hold a patient's name."""

import hashlib
from pathlib import Path

_HASHED_BYTES = 65536
_SHOWN_DIGITS = 4


def file_label(path: Path, number: int) -> str:
    """Returns the number of a file and the end of the SHA-256 of its first 64 KiB.

    The number alone would mean another file once one is added to the folder. The content is hashed
    and not the path: a path that somebody guesses could be confirmed by its hash.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(_HASHED_BYTES)).hexdigest()
    except OSError:  # a link that leads nowhere has no content
        return f"file {number}"
    return f"file {number} (…{digest[-_SHOWN_DIGITS:]})"

"""Names files in messages without their paths, which may hold a patient's name."""

import hashlib
from pathlib import Path

_HASHED_BYTES = 65536
_SHOWN_DIGITS = 4


def anonymous_name(path: Path, number: int) -> str:
    """Returns the number of a file and the last digits of the SHA-256 of its first 64 KiB.

    The number alone would change when a file is added to the folder. The content is hashed and not
    the path, since the hash of a path would confirm a guess.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(_HASHED_BYTES)).hexdigest()
    except OSError:  # a broken link has no content
        return f"file {number}"
    return f"file {number} (…{digest[-_SHOWN_DIGITS:]})"

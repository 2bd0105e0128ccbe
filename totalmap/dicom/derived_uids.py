"""Derives UIDs from content, so that the same input, weights and settings give the same objects.

DICOM PS3.5 B.2 allows UIDs of the form 2.25.<integer of a UUID>. The integer comes from SHA-256
instead of a random generator, so that a second run adds no copies to an archive.
"""

import hashlib

# PS3.5 B.2: the UUID is an unsigned integer of 128 bits.
_UUID_BITS = 128

UID_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
)


def derived_uid(*parts: str) -> str:
    """Returns a UID under 2.25 that depends only on the parts."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[: _UUID_BITS // 8], 'big')}"

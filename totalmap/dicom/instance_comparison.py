"""Compares two files of one SOP Instance: their attributes and their pixels.

An archive may change the transfer syntax and the meta information of an instance, or omit private
and empty attributes. These changes do not count. The five attributes of the patient do not count
either, since `totalmap.dicom.patient_comparison` compares them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.datadict import dictionary_description, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from totalmap.dicom.element_reader import PIXEL_DATA_TAG
from totalmap.dicom.file_reader import read_all, read_header_and_pixels
from totalmap.dicom.header import BROKEN_FILE, BROKEN_VALUE
from totalmap.dicom.instance import Instance, read_instance
from totalmap.dicom.patient_comparison import PATIENT_KEYWORDS
from totalmap.dicom.slices import Slice

PIXEL_DATA = "PixelData"
# The only keyword that is returned for a file whose header can't be read.
UNREADABLE = "SOPInstanceUID"

_NOT_COMPARED = frozenset(
    int(Tag(keyword))
    for keyword in (
        *PATIENT_KEYWORDS,
        "SpecificCharacterSet",  # texts are compared decoded
        "RetrieveAETitle",
        "InstanceAvailability",
        "DataSetTrailingPadding",
        "MACParametersSequence",
        "DigitalSignaturesSequence",
        PIXEL_DATA,
    )
)
_DIGEST_BYTES = 16
_BLOCK_BYTES = 1_048_576

Digests = Mapping[int, bytes]
"""Digests of the values of attributes, by tag; without empty values."""


def differing_keywords(first: Path, second: Path) -> tuple[str, ...]:
    """Returns the keywords of the attributes in which two files of one instance differ.

    Returns:
        Keywords in the order of their tags, then PIXEL_DATA if the decoded pixels differ; only
        UNREADABLE if a header can't be read. Empty: the content is the same.

    Raises:
        OSError: A file can't be read.
    """
    digests = [_digests_of(path) for path in (first, second)]
    if digests[0] is None or digests[1] is None:
        return (UNREADABLE,)
    ours, theirs = digests[0], digests[1]
    tags = sorted(tag for tag in {*ours, *theirs} if ours.get(tag) != theirs.get(tag))
    keywords = [keyword_for_tag(tag) or str(Tag(tag)) for tag in tags]
    if not _have_same_pixels(first, second):
        keywords.append(PIXEL_DATA)
    return tuple(keywords)


def attribute_name(keyword: str) -> str:
    """Returns the name of an attribute in PS3.6; the keyword itself if it is unknown."""
    try:
        return dictionary_description(keyword)
    except (KeyError, ValueError):
        return keyword


def _digests_of(path: Path) -> Digests | None:
    """Returns the digests of a header; None if it can't be read."""
    with path.open("rb") as file:
        try:
            dataset, _ = read_all(file)
        except (*BROKEN_FILE, InvalidDicomError):
            return None
    try:
        return _digests(dataset)
    except BROKEN_VALUE:
        return None


def _digests(dataset: Dataset) -> dict[int, bytes]:
    return {
        int(element.tag): hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
        for element in dataset
        if _is_compared(element.tag) and (content := _content(element))
    }


def _is_compared(tag: BaseTag) -> bool:
    is_group_length = tag.element == 0
    return not (tag.is_private or is_group_length or int(tag) in _NOT_COMPARED)


def _content(element: DataElement) -> bytes:
    """Returns a value as bytes that do not depend on its encoding; empty for an empty value."""
    value: Any = element.value
    if element.VR == "SQ":
        items = [sorted(_digests(item).items()) for item in value or ()]
        return repr(items).encode() if any(items) else b""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ")
    parts = value if isinstance(value, MultiValue | list) else [value]
    text = "\\".join(str(part).strip(" \0") for part in parts)
    return text.encode("utf-8", "surrogatepass") if text.strip("\\") else b""


def _have_same_pixels(first: Path, second: Path) -> bool:
    """Returns whether the stored or the decoded pixels are equal, or both files have none."""
    try:
        stored = [_stored_digest(path) for path in (first, second)]
        if None not in stored and stored[0] == stored[1]:
            return True
        instances = [read_instance(path) for path in (first, second)]
        if instances[0] is None or instances[1] is None:
            return False
        return _have_same_voxels(instances[0], instances[1])
    except (*BROKEN_FILE, InvalidDicomError):
        return False


def _stored_digest(path: Path) -> bytes | None:
    """Returns a digest of all bytes from the pixels to the end; None for a deflated file."""
    with path.open("rb") as file:
        dataset, element = read_header_and_pixels(file, [])
        if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return None
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        if element is not None:
            length = element.length
            file.seek(element.offset)
            left = length if length is not None and element.tag == PIXEL_DATA_TAG else None
            while block := file.read(_BLOCK_BYTES if left is None else min(left, _BLOCK_BYTES)):
                digest.update(block)
                if left is not None:
                    left -= len(block)
        return digest.digest()


def _have_same_voxels(first: Instance, second: Instance) -> bool:
    # Imported here: codecs take long to import, and few instances come in two encodings.
    from totalmap.dicom.pixels import decode_slices

    if not first.frames or len(first.frames) != len(second.frames):
        return False
    if any(frame.fault for frame in (*first.frames, *second.frames)):
        return False
    if (first.rows, first.columns) != (second.rows, second.columns):
        return False
    # Frame by frame, to save memory.
    for frame, other in zip(first.frames, second.frames, strict=True):
        ours, faults = decode_slices([Slice(instance=first, frame=frame)])
        theirs, more_faults = decode_slices([Slice(instance=second, frame=other)])
        if faults or more_faults or not np.array_equal(ours, theirs):
            return False
    return True

"""Writes copies of DICOM results under new UIDs, among which all references are kept.

Archives go on hiding the objects that a rejection note has named (IHE IOCM), also after the person
who rejected them has withdrawn it. Copies are new objects with the same content.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import VR

from totalmap.dicom.derived_uids import derived_uid
from totalmap.errors import OutputError
from totalmap.writers.changed_copy import read_results, write_changed
from totalmap.writers.dicom.fast_dataset_encoding import encoded_as_read
from totalmap.writers.rejection_note import is_rejection_note

_CHANGED = ("SOPInstanceUID", "SeriesInstanceUID")


def write_copies(results: Sequence[Path], uid_key: str, targets: Sequence[Path]) -> None:
    """Writes copies of DICOM results under new SOP and Series Instance UIDs.

    References among the results lead from copy to copy. All else is unchanged: the pixels,
    references to source images, the frame of reference, tracking UIDs. The same results and the
    same key give the same bytes.

    Args:
        results: DICOM results of one study. A rejection note among them is not copied, and its
            target is not written.
        uid_key: Distinguishes these copies from other copies of the same results.
        targets: The file to write for each result; earlier ones are replaced.

    Raises:
        OutputError: A result is damaged, or refers to another one in a way that we never write.
        ConfigError: A file can't be read or written.
        ResourceError: The disk is full.
    """
    new_uids: dict[str, str] = {}
    copied: dict[Path, Path] = {}
    for result, target in zip(read_results(results), targets, strict=True):
        if not is_rejection_note(result.dataset):
            copied[result.path] = target
            for keyword in _CHANGED:
                uid = str(result.dataset[keyword].value)
                new_uids[uid] = derived_uid(keyword, "copy", uid, uid_key)
    for result in read_results(list(copied)):
        replace_uids(result.dataset, new_uids, implicit=result.syntax.is_implicit_VR)
        write_changed(result, copied[result.path])


def replace_uids(dataset: Dataset, new_uids: Mapping[str, str], *, implicit: bool) -> None:
    """Replaces UIDs in all elements of a data set of a file, also inside sequences.

    Elements that hold none of the UIDs are not touched.

    Args:
        dataset: As `pydicom.dcmread` returned it.
        new_uids: The new UID for each old one.
        implicit: Whether the file is in Implicit VR Little Endian.

    Raises:
        OutputError: An old UID stands in something else than a UID element.
    """
    if not new_uids:
        return
    old = _any_of(new_uids)
    _replace(dataset, new_uids, old)
    if old.search(encoded_as_read(dataset, implicit=implicit)):
        raise OutputError("a copy of a DICOM result would still refer to the original")


def _any_of(uids: Collection[str]) -> re.Pattern[bytes]:
    """Returns a pattern for each of some UIDs that is not a part of a longer one."""
    alternatives = "|".join(map(re.escape, uids))
    return re.compile(rf"(?<![0-9.])(?:{alternatives})(?![0-9.])".encode("ascii"))


def _replace(dataset: Dataset, new_uids: Mapping[str, str], old: re.Pattern[bytes]) -> None:
    for tag in list(dataset.keys()):
        stored: object = dataset.get_item(tag)
        if isinstance(stored, RawDataElement) and not old.search(stored.value or b""):
            continue
        element = dataset[tag]
        if element.VR == VR.SQ:
            for item in element.value:
                _replace(item, new_uids, old)
        elif element.VR == VR.UI:
            _replace_values(element, new_uids)


def _replace_values(element: DataElement, new_uids: Mapping[str, str]) -> None:
    value = element.value
    if isinstance(value, MultiValue):
        element.value = [new_uids.get(str(uid), str(uid)) for uid in value]
    elif str(value) in new_uids:
        element.value = new_uids[str(value)]

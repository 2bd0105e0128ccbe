"""Replaces UIDs that are missing, invalid, repeated or split by UIDs derived from the content.

De-identifiers and converters omit UIDs, replace them by other text, give all files the same SOP
Instance UID, or give every file its own study and series.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
)

from totalmap.dicom.derived_uids import UID_KEYWORDS, derived_uid
from totalmap.dicom.file_reader import read_header
from totalmap.dicom.header import BROKEN_FILE, Header
from totalmap.dicom.instance import Instance, missing_uids
from totalmap.dicom.patient_comparison import PATIENT_KEYWORDS
from totalmap.errors import InputError

# By modality and whether the file has several frames.
IMAGE_CLASSES = {
    ("CT", False): CTImageStorage,
    ("CT", True): EnhancedCTImageStorage,
    ("MR", False): MRImageStorage,
    ("MR", True): EnhancedMRImageStorage,
}

# Attributes that identify a study and its patient.
_STUDY_KEYWORDS = (*PATIENT_KEYWORDS, "StudyID", "StudyDate", "StudyTime", "AccessionNumber")
_STUDY_TAGS: list[BaseTag | int] = [Tag(keyword) for keyword in _STUDY_KEYWORDS]

_FIELDS = {
    "SOPClassUID": "sop_class_uid",
    "SOPInstanceUID": "sop_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "StudyInstanceUID": "study_instance_uid",
    "FrameOfReferenceUID": "frame_of_reference_uid",
}

# Two images with their own series are usual: localizers, screenshots.
FEWEST_SPLIT_SLICES = 3
# Parallel slices may differ in the last digits of their cosines.
_COSINE_DIGITS = 3

_Step = Callable[[list[Instance]], tuple[list[Instance], str, str]]
"""Returns the instances, a sentence about wrong UIDs (empty if none), and the remedy."""


def repair_uids(
    instances: Iterable[Instance], *, allowed: bool
) -> tuple[list[Instance], list[str]]:
    """Returns the instances with valid UIDs, and sentences about the repairs.

    Args:
        instances: All instances of an input.
        allowed: Whether UIDs of images may be derived (`study.missing_uids`). Other objects, which
            are only listed, get derived UIDs in any case.

    Raises:
        InputError: UIDs of images would have to be derived, which is not allowed.
    """
    repaired, findings = list(instances), []
    if not allowed:
        _refuse_to_repair([instance for instance in repaired if instance.frames])
    for step in _STEPS:
        repaired, finding, remedy = step(repaired)
        if finding:
            findings.append(f"{finding}; {remedy}")
    return repaired, findings


def _refuse_to_repair(images: list[Instance]) -> None:
    for step in _STEPS:
        _, finding, _ = step(images)
        if finding:
            raise InputError(
                f"{finding}; study.missing_uids is `refuse`, set it to `repair` to derive them"
            )


def _report_invalid(instances: list[Instance]) -> tuple[list[Instance], str, str]:
    """Reports invalid UIDs, which `read_instance` has already replaced."""
    invalid = [instance for instance in instances if instance.repaired_uids]
    if not invalid:
        return instances, "", ""
    names = _names(instance.repaired_uids for instance in invalid)
    finding = f"{names} of {len(invalid)} of {len(instances)} instances are not valid UIDs"
    return instances, finding, "others were derived from them"


def _fill_missing(instances: list[Instance]) -> tuple[list[Instance], str, str]:
    """Fills empty UIDs with derived ones.

    Instances without a Series Instance UID form a series if they lie in one folder and agree in
    the attributes that a scanner keeps constant within a series. Such series without a Study
    Instance UID form a study if they agree in the attributes that identify study and patient.
    """
    missing = [missing_uids(instance) for instance in instances]
    damaged = [instance for instance, uids in zip(instances, missing, strict=True) if uids]
    if not damaged:
        return instances, "", ""
    finding = f"{len(damaged)} of {len(instances)} instances have no {_names(missing)}"
    repaired = [instance for instance, uids in zip(instances, missing, strict=True) if not uids]
    groups: dict[Hashable, list[Instance]] = defaultdict(list)
    for instance in damaged:
        groups[_series_key(instance)].append(_with_instance_uids(instance))
    of_study: dict[str, list[str]] = defaultdict(list)
    for group in groups.values():
        of_study[_study_key(group[0])] += [instance.sop_instance_uid for instance in group]
    for group in groups.values():
        content = sorted(instance.sop_instance_uid for instance in group)
        study = derived_uid("StudyInstanceUID", *sorted(of_study[_study_key(group[0])]))
        repaired += [_with_group_uids(instance, content, study) for instance in group]
    return repaired, finding, "they were derived from the content"


def _names(keywords: Iterable[Iterable[str]]) -> str:
    return ", ".join(sorted(set().union(*keywords)))


def _with_uids(instance: Instance, uids: Mapping[str, str]) -> Instance:
    """Returns an instance with other UIDs, by keyword, which it lists as repaired."""
    repaired = tuple(
        keyword for keyword in UID_KEYWORDS if keyword in uids or keyword in instance.repaired_uids
    )
    fields: dict[str, Any] = {_FIELDS[keyword]: uid for keyword, uid in uids.items()}
    return replace(instance, repaired_uids=repaired, **fields)


def _with_instance_uids(instance: Instance) -> Instance:
    uids = {}
    if not instance.sop_instance_uid:
        uids["SOPInstanceUID"] = derived_uid("instance", _content_sha256(instance))
    if not instance.sop_class_uid:
        kind = instance.modality, len(instance.frames) > 1
        uids["SOPClassUID"] = IMAGE_CLASSES.get(kind, "")
    return _with_uids(instance, uids)


def _content_sha256(instance: Instance) -> str:
    return hashlib.sha256(instance.path.read_bytes()).hexdigest()


def _with_group_uids(instance: Instance, content: list[str], study_uid: str) -> Instance:
    derived = {
        "SeriesInstanceUID": derived_uid("SeriesInstanceUID", *content),
        "StudyInstanceUID": study_uid,
        "FrameOfReferenceUID": derived_uid("FrameOfReferenceUID", *content),
    }
    missing = {
        keyword: derived[keyword] for keyword in missing_uids(instance) if keyword in derived
    }
    return _with_uids(instance, missing)


def _study_key(instance: Instance, *, with_uid: bool = True) -> str:
    """Returns a digest of the attributes that identify study and patient; none of them is stored.

    Args:
        instance: Any instance of the study.
        with_uid: Whether the Study Instance UID counts.
    """
    try:
        with instance.path.open("rb") as file:
            header = Header(read_header(file, _STUDY_TAGS))
        values = [header.text(keyword) for keyword in _STUDY_KEYWORDS]
    except (*BROKEN_FILE, OSError):  # the next reader of the file reports the error
        values = []
    content = "\n".join([instance.study_instance_uid if with_uid else "", *values])
    return hashlib.sha256(content.encode()).hexdigest()


def _series_key(instance: Instance) -> Hashable:
    return (
        instance.path.parent,
        instance.series_instance_uid,
        instance.study_instance_uid,
        instance.frame_of_reference_uid,
        _scan_key(instance),
    )


def _scan_key(instance: Instance) -> Hashable:
    """Returns the attributes that a scanner keeps constant within a series."""
    first = instance.frames[0] if instance.frames else None
    return (
        instance.modality,
        instance.sop_class_uid,
        instance.series_number,
        instance.series_description,
        instance.series_time,
        instance.rows,
        instance.columns,
        first and first.kernel,
        first and first.image_type,
        first
        and first.plane
        and tuple(round(cosine, _COSINE_DIGITS) for cosine in first.plane.cosines),
    )


def _join_studies(instances: list[Instance]) -> tuple[list[Instance], str, str]:
    """Joins files with a study each that agree in the attributes that identify a study."""
    alone = _alone(instances, lambda instance: instance.study_instance_uid)
    groups = _grouped(alone, lambda instance: _study_key(instance, with_uid=False))
    joined: dict[Path, Instance] = {}
    for group in groups:
        scans = _grouped(group, _scan_key)
        if any(map(_is_one_scan, scans)):
            uid = _common_uid("StudyInstanceUID", group)
            joined |= {
                instance.path: _with_uids(instance, {"StudyInstanceUID": uid}) for instance in group
            }
    return _replaced(instances, joined), *_words("StudyInstanceUID", len(joined))


def _join_series(instances: list[Instance]) -> tuple[list[Instance], str, str]:
    """Joins slices with a series each that agree in all other attributes."""
    alone = _alone(instances, lambda instance: instance.series_instance_uid)
    groups = _grouped(alone, lambda instance: (instance.study_instance_uid, _scan_key(instance)))
    joined: dict[Path, Instance] = {}
    for group in filter(_is_one_scan, groups):
        uids = {"SeriesInstanceUID": _common_uid("SeriesInstanceUID", group)}
        if len({instance.frame_of_reference_uid for instance in group}) > 1:
            uids["FrameOfReferenceUID"] = _common_uid("FrameOfReferenceUID", group)
        joined |= {instance.path: _with_uids(instance, uids) for instance in group}
    return _replaced(instances, joined), *_words("SeriesInstanceUID", len(joined))


def _words(keyword: str, files: int) -> tuple[str, str]:
    if not files:
        return "", ""
    return (
        f"{keyword} differs in each of {files} files that agree in the rest of their headers",
        "they were joined, with derived UIDs",
    )


def _alone(instances: list[Instance], uid_of: Callable[[Instance], str]) -> list[Instance]:
    """Returns the instances whose UID no other instance has."""
    counts = Counter(map(uid_of, instances))
    return [instance for instance in instances if counts[uid_of(instance)] == 1]


def _grouped(
    instances: Sequence[Instance], key: Callable[[Instance], Hashable]
) -> list[list[Instance]]:
    """Returns the groups of equal keys with enough members."""
    if len(instances) < FEWEST_SPLIT_SLICES:
        return []
    groups: dict[Hashable, list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[key(instance)].append(instance)
    return [group for group in groups.values() if len(group) >= FEWEST_SPLIT_SLICES]


def _is_one_scan(slices: list[Instance]) -> bool:
    """Returns whether slices follow each other in space in the order of their Instance Numbers.

    Slices of two scans, and therefore of two patients, do not, even if all names were removed.
    """
    frames_of_reference = {instance.frame_of_reference_uid for instance in slices}
    frames = [
        instance.frames[0]
        for instance in slices
        if len(instance.frames) == 1 and instance.frames[0].plane
    ]
    if len(frames) < len(slices) or len(frames_of_reference) not in (1, len(slices)):
        return False
    placed = [(frame.instance_number, frame.plane) for frame in frames if frame.plane]
    normal = placed[0][1].normal
    places = sorted((number, float(normal @ plane.position_mm)) for number, plane in placed)
    numbers, mm = (np.diff(column) for column in zip(*places, strict=True))
    return bool((numbers > 0).all() and ((mm > 0).all() or (mm < 0).all()))


def _common_uid(keyword: str, group: list[Instance]) -> str:
    """Returns a UID for a group, which depends on all their UIDs."""
    return derived_uid(keyword, *sorted("\n".join(instance.uids) for instance in group))


def _replaced(instances: list[Instance], others: Mapping[Path, Instance]) -> list[Instance]:
    return [others.get(instance.path, instance) for instance in instances] if others else instances


def _separate_repeated(instances: list[Instance]) -> tuple[list[Instance], str, str]:
    """Gives different images with the same SOP Instance UID a UID each.

    Copies of a file keep a common UID. Files that differ only in other attributes keep theirs, and
    all but one of them are left out.
    """
    by_uid: dict[Hashable, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_uid[instance.series_instance_uid, instance.sop_instance_uid].append(instance)
    separated: dict[Path, Instance] = {}
    for group in by_uid.values():
        images: dict[Hashable, list[Instance]] = defaultdict(list)
        for instance in group if len(group) > 1 else ():
            images[_image_key(instance)].append(instance)
        for copies in images.values() if len(images) > 1 else ():
            content = min(map(_content_sha256, copies))
            uid = derived_uid("instance", copies[0].series_instance_uid, content)
            uids = {"SOPInstanceUID": uid}
            separated |= {copy.path: _with_uids(copy, uids) for copy in copies}
    finding = f"SOPInstanceUID is repeated in {len(separated)} files with different images"
    remedy = "others were derived from the content"
    return _replaced(instances, separated), finding if separated else "", remedy


def _image_key(instance: Instance) -> Hashable:
    """Returns the key of an image: its position and number, or its number without a position."""
    first = instance.frames[0] if instance.frames else None
    return first and (first.plane and first.plane.position_mm, first.instance_number)


_STEPS: tuple[_Step, ...] = (
    _report_invalid,
    _fill_missing,
    _join_studies,
    _join_series,
    _separate_repeated,
)

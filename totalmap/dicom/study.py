"""Reads the headers of a folder and groups them into series. Content decides, not file names."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, MediaStorageDirectoryStorage, MRImageStorage

from totalmap.dicom.identity import derived_uid, missing_uids, text
from totalmap.errors import InputError
from totalmap.log import get_logger

# What pydicom raises on files that begin like DICOM and then break off or make no sense.
BROKEN_FILE = (
    EOFError,
    ValueError,
    LookupError,
    NotImplementedError,
    AttributeError,
    TypeError,
    RuntimeError,
)

IMAGE_CLASS_BY_MODALITY = {"CT": CTImageStorage, "MR": MRImageStorage}

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instance:
    """One DICOM file: its header without pixels, with empty UIDs replaced by derived ones."""

    path: Path
    header: Dataset
    repaired_uids: tuple[str, ...] = ()

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""
        return text(self.header, "SOPInstanceUID")

    @property
    def has_pixels(self) -> bool:
        """Whether the instance is an image (PS3.3 C.7.6.3)."""
        return bool(self.header.get("Rows")) and bool(self.header.get("Columns"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """All instances with one Series Instance UID, ordered by SOP Instance UID."""

    uid: str
    instances: tuple[Instance, ...]

    @property
    def header(self) -> Dataset:
        """The header of the first instance, for what all instances share."""
        return self.instances[0].header

    @property
    def modality(self) -> str:
        """Modality (0008,0060)."""
        return text(self.header, "Modality")

    @property
    def number(self) -> int | None:
        """Series Number (0020,0011), None where it is empty."""
        number = text(self.header, "SeriesNumber")
        return int(number) if number.lstrip("-").isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """What a folder holds: its series, ordered by UID, and what was left out."""

    folder: Path
    series: tuple[Series, ...]
    ignored_files: int
    warnings: tuple[str, ...]


def read_study(folder: Path, *, repair_missing_uids: bool = True) -> Study:
    """Reads all headers below a folder, without pixels.

    Files that are not DICOM and DICOMDIR files are counted and ignored. A DICOM file whose
    header is broken is named in the warnings; the audit of the chosen series decides whether it
    is missed.

    Args:
        folder: Searched at any depth.
        repair_missing_uids: Derive empty UIDs from the content instead of refusing the study.

    Raises:
        InputError: The folder can't be read, holds no DICOM instance, or holds instances
            without UIDs that may not be repaired.
    """
    instances: list[Instance] = []
    warnings: list[str] = []
    ignored_files = 0
    for path in _files(folder):
        try:
            header = _read_header(path)
        except BROKEN_FILE as error:
            name = path.relative_to(folder)
            warnings.append(f"file {name} begins like DICOM and is broken: left out")
            log.warning("file_broken", error=type(error).__name__)
            continue
        if header is None:
            ignored_files += 1
            continue
        instances.append(Instance(path=path, header=header, repaired_uids=missing_uids(header)))
    if not instances:
        raise InputError(
            f"no DICOM instance in {folder}: {ignored_files} files are not DICOM, "
            f"{len(warnings)} are broken"
        )
    warnings += _repair(folder, instances, allowed=repair_missing_uids)
    series = _group(instances)
    warnings += _count_studies(series)
    log.info("study_read", instances=len(instances), series=len(series), ignored=ignored_files)
    return Study(
        folder=folder,
        series=series,
        ignored_files=ignored_files,
        warnings=tuple(warnings),
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yields all files below the folder, in a fixed order; pipes and sockets are left alone."""
    if not folder.is_dir():
        raise InputError(f"input folder {folder} does not exist or is not a folder")

    def refuse(error: OSError) -> None:
        raise InputError(f"folder {error.filename} can't be read: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            # A link that leads nowhere is read, and fails: somebody expected a file there.
            if path.is_file() or path.is_symlink():
                yield path


def _read_header(path: Path) -> Dataset | None:
    """Returns the header up to the pixels, or None for a file that is not a DICOM instance."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        return None
    except OSError as error:
        raise InputError(f"file {path} can't be read: {error.strerror or error}") from error
    if text(header.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return None
    if not text(header, "SOPClassUID") and not text(header, "Modality"):
        # pydicom returns what it has when a file breaks off.
        raise ValueError("neither SOP Class UID nor Modality")
    return header


def _repair(folder: Path, instances: list[Instance], *, allowed: bool) -> list[str]:
    """Fills the empty UIDs of the headers with derived ones and says so.

    Instances without a Series Instance UID belong together when they lie in one folder and
    agree in what a scanner keeps constant within a series.
    """
    damaged = [instance for instance in instances if instance.repaired_uids]
    if not damaged:
        return []
    missing = ", ".join(sorted({name for instance in damaged for name in instance.repaired_uids}))
    finding = f"{len(damaged)} of {len(instances)} instances have no {missing}"
    if not allowed:
        raise InputError(
            f"{finding} in {folder}; "
            "study.missing_uids is `refuse`, set it to `repair` to derive them"
        )
    for instance in damaged:
        header = instance.header
        if "SOPInstanceUID" in instance.repaired_uids:
            content = hashlib.sha256(instance.path.read_bytes()).hexdigest()
            header.SOPInstanceUID = derived_uid("instance", content)
        if "SOPClassUID" in instance.repaired_uids:
            fallback = IMAGE_CLASS_BY_MODALITY.get(text(header, "Modality"), "")
            header.SOPClassUID = text(header.file_meta, "MediaStorageSOPClassUID") or fallback
    _repair_groups(damaged)
    return [f"{finding}; they were derived from the content"]


def _repair_groups(damaged: list[Instance]) -> None:
    groups: dict[tuple[str, ...], list[Instance]] = defaultdict(list)
    for instance in damaged:
        groups[_series_key(instance)].append(instance)
    for group in groups.values():
        content = sorted(instance.sop_instance_uid for instance in group)
        for instance in group:
            for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
                if keyword in instance.repaired_uids:
                    setattr(instance.header, keyword, derived_uid(keyword, *content))


def _series_key(instance: Instance) -> tuple[str, ...]:
    constant = (
        "SeriesInstanceUID",
        "StudyInstanceUID",
        "FrameOfReferenceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "SeriesTime",
        "ConvolutionKernel",
        "ImageType",
        "ImageOrientationPatient",
        "Rows",
        "Columns",
    )
    return (str(instance.path.parent), *(text(instance.header, keyword) for keyword in constant))


def _group(instances: list[Instance]) -> tuple[Series, ...]:
    members: dict[str, dict[str, Instance]] = defaultdict(dict)
    for instance in instances:
        # The same file twice in a folder counts once.
        members[text(instance.header, "SeriesInstanceUID")].setdefault(
            instance.sop_instance_uid, instance
        )
    return tuple(
        Series(uid=uid, instances=tuple(instance for _, instance in sorted(group.items())))
        for uid, group in sorted(members.items())
    )


def _count_studies(series: tuple[Series, ...]) -> list[str]:
    studies = {text(one.header, "StudyInstanceUID") for one in series}
    if len(studies) == 1:
        return []
    return [f"the folder holds {len(studies)} studies; only the chosen series is segmented"]

"""Reads the headers of a folder and groups them into series, by content and not by file name."""

import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from totalmap.dicom.anonymous_file_names import anonymous_name
from totalmap.dicom.bounded_reader import BrokenFile
from totalmap.dicom.file_reader import HEAD_BYTES
from totalmap.dicom.header import BROKEN_FILE
from totalmap.dicom.instance import Instance, read_instance
from totalmap.dicom.patient_comparison import Patient, disagreements
from totalmap.dicom.uid_repair import repair_uids
from totalmap.errors import InputError
from totalmap.log import get_logger

# Reading waits for the disk or the network share, so more threads than cores are useful.
READERS = 8

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All instances with one Series Instance UID, ordered by SOP Instance UID.

    Attributes:
        disagreements: Names of the patient's attributes in which files of the series disagree,
            including files that were left out.
        disagreements_in_study: The same for all series of the study.
    """

    uid: str
    instances: tuple[Instance, ...]
    disagreements: tuple[str, ...] = ()
    disagreements_in_study: tuple[str, ...] = ()

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return self.instances[0].study_instance_uid

    @property
    def modality(self) -> str:
        """Modality (0008,0060)."""
        return self.instances[0].modality

    @property
    def number(self) -> int | None:
        """Series Number (0020,0011); None if it is empty."""
        return self.instances[0].series_number

    @property
    def description(self) -> str:
        """Series Description (0008,103E)."""
        return self.instances[0].series_description


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study, or all studies of an input: series, ordered by UID, and warnings."""

    series: tuple[Series, ...]
    ignored_files: int
    warnings: tuple[str, ...]


def read_study(source: Path, *, repair_missing_uids: bool = True) -> Study:
    """Reads all headers below a folder, or the header of one file, without pixels.

    Files that are not DICOM and DICOMDIR files are counted and ignored. A DICOM file with a damaged
    header is named in the warnings; the audit of the chosen stack finds out whether it is missing
    there.

    Args:
        source: A folder, searched at any depth, or a file.
        repair_missing_uids: Derive UIDs that are missing, invalid, repeated or different in every
            file instead of refusing the study.

    Raises:
        InputError: The source can't be read, holds no DICOM instance, or holds instances whose UIDs
            are invalid and may not be repaired.
    """
    paths = list(input_files(source))
    with ThreadPoolExecutor(READERS) as pool:
        fetched = pool.map(_fetch, paths)
        headers = [
            _read_or_broken(path, number)
            for number, (path, _) in enumerate(zip(paths, fetched, strict=True), start=1)
        ]
    instances = [header for header in headers if isinstance(header, Instance)]
    broken = [header for header in headers if isinstance(header, _Broken)]
    ignored = len(headers) - len(instances) - len(broken)
    warnings = [
        f"{anonymous_name(file.path, file.number)} begins like DICOM and is broken "
        f"({file.reason}): left out"
        for file in broken
    ]
    if not instances:
        raise InputError(
            f"no DICOM instance in the input: {ignored} files are not DICOM, "
            f"{len(broken)} are broken"
        )
    repaired, findings = repair_uids(instances, allowed=repair_missing_uids)
    warnings += findings
    series, doubled = _group(repaired)
    warnings += doubled
    warnings += [
        f"files of a series of {len(group.instances)} disagree in {', '.join(group.disagreements)}"
        for group in series
        if group.disagreements
    ]
    log.info("study_read", instances=len(instances), series=len(series), ignored=ignored)
    return Study(series=series, ignored_files=ignored, warnings=tuple(warnings))


def input_files(source: Path) -> Iterator[Path]:
    """Yields all files of the source in a fixed order, which numbers them from 1.

    Pipes and sockets are skipped.

    Raises:
        InputError: The source or a folder in it can't be read.
    """
    if source.is_file():
        yield source
        return
    if not source.is_dir():
        raise InputError("the input does not exist or is neither a folder nor a file")

    def refuse(error: OSError) -> None:
        is_source = Path(error.filename) == source
        which = "the input folder" if is_source else "a folder in the input folder"
        raise InputError(f"{which} can't be read: {error.strerror}") from error

    for parent, folders, names in os.walk(source, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            # A broken link is read and fails, since a file is expected there.
            if path.is_file() or path.is_symlink():
                yield path


def _fetch(path: Path) -> None:
    """Reads the start of a file from the disk or the network share into the page cache.

    Reading is slow and runs in parallel. Parsing is Python code, which one thread does faster than
    several threads that wait for each other.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:  # the parser reports the error
        file.read(HEAD_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broken:
    """A file that begins like DICOM and is damaged, with the reason."""

    path: Path
    number: int
    reason: str


def _read_or_broken(path: Path, number: int) -> Instance | _Broken | None:
    """Returns the instance, None for a file that is not DICOM, or a damaged file."""
    try:
        return read_instance(path, number)
    except (*BROKEN_FILE, MemoryError) as error:  # a length of gigabytes in a damaged header
        # pydicom's own messages may quote values.
        reason = str(error) if isinstance(error, BrokenFile) else type(error).__name__
        log.warning("file_broken", file=number, reason=reason)
        return _Broken(path=path, number=number, reason=reason)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{anonymous_name(path, number)} can't be read: {reason}") from error


def _group(instances: list[Instance]) -> tuple[tuple[Series, ...], list[str]]:
    """Returns the series, and sentences about files that contradict others and were left out."""
    members: dict[str, dict[str, Instance]] = defaultdict(dict)
    patients: dict[str, set[Patient]] = defaultdict(set)
    differing = 0
    for instance in sorted(instances, key=lambda instance: str(instance.path)):
        series = members[instance.series_instance_uid]
        patients[instance.series_instance_uid].add(instance.patient)
        first = series.setdefault(instance.sop_instance_uid, instance)
        # The same file twice in a folder counts once.
        differing += replace(first, path=instance.path) != instance
    series_of_study, strangers, empty = [], 0, 0
    for uid, group in sorted(members.items()):
        agreeing = _agreeing([instance for _, instance in sorted(group.items())])
        disagreeing = disagreements(patients[uid])
        series_of_study.append(Series(uid=uid, instances=agreeing, disagreements=disagreeing))
        strangers += len(group) - len(agreeing)
        images = sum(bool(instance.frames) for instance in agreeing)
        empty += len(agreeing) - images if images else 0
    findings = {
        "have the UID of another one and differ": differing,
        "name another study, modality or class than most of their series": strangers,
        "hold no image in a series of images": empty,
    }
    return _compared(series_of_study, patients), [
        f"{count} files {words}: left out" for words, count in findings.items() if count
    ]


def _compared(series: list[Series], patients: Mapping[str, Set[Patient]]) -> tuple[Series, ...]:
    """Returns the series with the attributes in which the series of a study disagree."""
    of_study: dict[str, set[Patient]] = defaultdict(set)
    for member in series:
        of_study[member.study_instance_uid] |= patients[member.uid]
    found = {study: disagreements(all_patients) for study, all_patients in of_study.items()}
    return tuple(
        replace(member, disagreements_in_study=found[member.study_instance_uid])
        for member in series
    )


def _agreeing(instances: list[Instance]) -> tuple[Instance, ...]:
    """Returns the instances of a series with the most frequent study, modality and SOP Class.

    A series has one study and one modality (PS3.3 A.1.2.3), and a volume has one class.
    """
    kinds = [
        (instance.study_instance_uid, instance.modality, instance.sop_class_uid)
        for instance in instances
    ]
    counts = Counter(kinds)
    most = max(counts, key=lambda kind: (counts[kind], kind))
    return tuple(instance for instance, kind in zip(instances, kinds, strict=True) if kind == most)

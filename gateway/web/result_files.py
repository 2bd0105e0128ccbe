"""Reads the results of jobs that the page may show from their output folders."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from gateway.store.file_storage import STATUS_NAME, Storage
from gateway.store.job import NO_DOUBT, Judgement
from gateway.store.jobs import JobList
from totalmap.finding import Severity, Verdict
from totalmap.limitation_words import INCOMPLETE_MARK
from totalmap.structures import Limitation
from totalmap.texts.catalogue import Texts
from totalmap.texts.stored_message import restored_message

PREVIEW_NAME = "preview.png"
REPORT_NAME = "report.html"
# The folders of results, and of results that are held back.
_FOLDERS = ("results", "rejected")
_PREVIEWS = tuple(f"{folder}/{PREVIEW_NAME}" for folder in _FOLDERS)
# Files that are shown even if an older version did not list them as results.
_ALWAYS_SHOWN = (*_PREVIEWS, *(f"{folder}/{REPORT_NAME}" for folder in _FOLDERS))

# Twice the size on the page, for screens with small pixels.
THUMBNAIL_PIXELS = (192, 144)
THUMBNAILS_KEPT = 128
# More than a page shows; each is the content of a status.json.
REPORTS_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A result file that a user may download.

    Attributes:
        path: The path, relative to the output folder of the job.
        kind: As in `results.kinds` of app.yaml; empty if it is not listed as a result.
    """

    path: str
    kind: str
    size_bytes: int

    @property
    def name(self) -> str:
        """The name, without folders."""
        return PurePosixPath(self.path).name

    @property
    def folder(self) -> str:
        """The path of its folder, relative to the output folder of the job."""
        return str(PurePosixPath(self.path).parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFolder:
    """A folder of result files.

    Attributes:
        path: The path, relative to the output folder of the job.
        files: The number of its files, without those of its folders.
    """

    path: str
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStructure:
    """A structure of a job's results.

    Attributes:
        series: The folder of its series, if a job segmented several series; otherwise empty.
        key: TotalSegmentator's name.
        volume: In mL with three significant digits, with a mark in front if it is incomplete.
        remarks: Limitations of the volume.
    """

    series: str
    key: str
    name: str
    volume: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding of quality control about the series or the labels.

    Attributes:
        series: As in `ShownStructure`.
        code: As in docs/quality.md.
        structure: TotalSegmentator's name of the structure in question; None: the study.
    """

    series: str
    severity: Severity
    code: str
    sentence: str
    structure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What a job found, for people; `warnings` are those for the reader of the result.

    Attributes:
        version: The version of the program; empty if it is not known.
    """

    structures: tuple[ShownStructure, ...] = ()
    findings: tuple[ShownFinding, ...] = ()
    warnings: tuple[str, ...] = ()
    version: str = ""

    @property
    def doubts(self) -> Sequence[ShownFinding]:
        """The findings that question the results, the most severe first."""
        order = [Severity.REJECT, Severity.REVIEW]
        found = [each for each in self.findings if each.severity in order]
        return sorted(found, key=lambda each: order.index(each.severity))

    @property
    def judgement(self) -> Judgement:
        """The verdict, and the findings that explain it."""
        doubts = self.doubts
        if not doubts:
            return NO_DOUBT
        gravest = doubts[0].severity
        reasons = (each.sentence for each in doubts if each.severity is gravest)
        return Judgement(verdict=Verdict(gravest.value), reasons=tuple(reasons))

    @property
    def remarks(self) -> Sequence[ShownFinding]:
        """The findings for information."""
        return [each for each in self.findings if each.severity is Severity.INFORMATION]


class Results:
    """The results of jobs; files that are not listed as results are not shown."""

    def __init__(self, jobs: JobList, storage: Storage) -> None:
        self._jobs = jobs
        self._storage = storage

    def files(self, job_id: str) -> Sequence[ResultFile]:
        """Returns the files of a job that still exist, in the order of their paths.

        Raises:
            ResourceError: The database fails.
        """
        kinds = dict.fromkeys(_ALWAYS_SHOWN, "")
        kinds |= {result.path: result.kind for result in self._jobs.results(job_id)}
        folder = self._storage.output_folder(job_id)
        return [
            ResultFile(path=path, kind=kind, size_bytes=(folder / path).stat().st_size)
            for path, kind in sorted(kinds.items())
            if _is_inside(folder, path)
        ]

    def find(self, job_id: str, path: str) -> Path | None:
        """Returns the path of a file of a job; None: it is not shown, or does not exist.

        Raises:
            ResourceError: The database fails.
        """
        if path not in (file.path for file in self.files(job_id)):
            return None
        return self._storage.output_folder(job_id) / path

    def report(self, job_id: str, texts: Texts) -> JobReport:
        """Returns what a job found, from its status.json; nothing if there is no such file.

        Args:
            job_id: Of the job.
            texts: Of the language of the page.
        """
        file = self._storage.output_folder(job_id) / STATUS_NAME
        try:
            modified_ns = file.stat().st_mtime_ns
            return _report(file, modified_ns, texts)
        except FileNotFoundError:
            return JobReport()


@lru_cache(maxsize=REPORTS_KEPT)
def _report(status_file: Path, _modified_ns: int, texts: Texts) -> JobReport:
    status = json.loads(status_file.read_text("utf-8"))
    # Versions before 0.2.0 wrote no quality control, and before 0.3.0 no messages.
    found = status.get("quality", {}).get("findings", ())
    warnings = status.get("warnings", ())
    messages = status.get("warning_messages") or [None] * len(warnings)
    return JobReport(
        structures=tuple(_structure(each, texts) for each in status["structures"]),
        findings=tuple(_finding(each, texts) for each in found),
        warnings=tuple(
            texts.told(restored_message(warning, message))
            for warning, message in zip(warnings, messages, strict=False)
        ),
        version=status.get("versions", {}).get("totalmap") or "",
    )


def _structure(structure: Mapping[str, Any], texts: Texts) -> ShownStructure:
    return ShownStructure(
        series=structure.get("folder", ""),
        key=structure["name"],
        name=texts.structure(structure["name"]),
        volume=_volume(structure["volume_ml"], structure["flags"], texts),
        remarks=tuple(_limitation(flag, texts) for flag in structure["flags"]),
    )


def _volume(volume_ml: float, flags: Collection[str], texts: Texts) -> str:
    text = texts.number(volume_ml)
    return f"{INCOMPLETE_MARK} {text}" if Limitation.INCOMPLETE in flags else text


def _limitation(flag: str, texts: Texts) -> str:
    """Returns the words for a limitation by its value; a value of another version as it is."""
    return texts.entries.get(f"limitation.{flag}", flag)


def _finding(finding: Mapping[str, Any], texts: Texts) -> ShownFinding:
    return ShownFinding(
        series=finding.get("folder", ""),
        severity=Severity(finding["severity"]),
        code=finding["code"],
        sentence=texts.told(restored_message(finding["sentence"], finding.get("message"))),
        structure=finding.get("structure"),
    )


def result_folders(files: Sequence[ResultFile]) -> Sequence[ResultFolder]:
    """Returns the folders of some files, in the order of the files."""
    sizes: dict[str, list[int]] = {}
    for file in files:
        sizes.setdefault(file.folder, []).append(file.size_bytes)
    return [
        ResultFolder(path=path, files=len(of_files), size_bytes=sum(of_files))
        for path, of_files in sizes.items()
    ]


def preview(storage: Storage, job_id: str) -> Path | None:
    """Returns the preview of a job, if there is one."""
    folder = storage.output_folder(job_id)
    return next((folder / path for path in _PREVIEWS if _is_inside(folder, path)), None)


def thumbnail(image_file: Path) -> bytes:
    """Returns a small JPEG of a preview."""
    return _thumbnail(image_file, image_file.stat().st_mtime_ns)


@lru_cache(maxsize=THUMBNAILS_KEPT)
def _thumbnail(image_file: Path, _modified_ns: int) -> bytes:
    with Image.open(image_file) as image:
        image.thumbnail(THUMBNAIL_PIXELS)
        small = BytesIO()
        image.convert("RGB").save(small, "JPEG", quality=80)
    return small.getvalue()


def _is_inside(folder: Path, path: str) -> bool:
    """Returns whether a file exists inside a folder, and is not a link to another place."""
    file = (folder / path).resolve()
    return file.is_relative_to(folder.resolve()) and file.is_file()

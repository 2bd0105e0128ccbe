"""Checks every mutant, whatever its outcome: errors, messages, patient data, missing slices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.folder_to_results import Run
from tests.fuzz.healthy_studies import TWO_SERIES
from tests.fuzz.volume_check import check_volume
from tests.phantom.modules import ACCESSION_NUMBER, BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from totalmap.dicom.instance import Instance
from totalmap.dicom.series_selection import SeriesDecision
from totalmap.errors import ConfigError, InputError, OutputError, ResourceError
from totalmap.writers.all_or_nothing import STATUS_NAME

FAMILY_NAME = PATIENT_NAME.split("^")[0]
PATIENT_DATA = re.compile(
    "|".join(
        [
            *(f"(?i:{re.escape(text)})" for text in (PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER)),
            BIRTH_DATE,
            FAMILY_NAME,
        ]
    )
)
NOTHING_FOUND = "no structure was found"


@dataclass(frozen=True)
class Mutant:
    """A study that was changed.

    Attributes:
        base: The name of the healthy study.
        files: The content of its files, by their path below the folder.
        folder: The folder of the changed study.
        mutations: The descriptions of the mutations, kind first.
    """

    base: str
    files: dict[Path, bytes]
    folder: Path
    mutations: tuple[str, ...]

    @property
    def touched(self) -> set[Path]:
        """The changed files of the healthy study, and new files."""
        now = contents(self.folder)
        return {path for path in {*self.files, *now} if self.files.get(path) != now.get(path)}


def contents(folder: Path) -> dict[Path, bytes]:
    """Returns the contents of the files in a folder by their paths; a link holds its target."""
    return {
        path.relative_to(folder): (
            str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        )
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def objections(mutant: Mutant, run: Run, log: str) -> list[str]:
    """Returns the objections to a run that ended with success or with a TotalMapError."""
    found = [*_wrong_error(run), *_unreported(mutant, run), *_hidden(mutant, run)]
    found += secrets_in([log, *run.messages])
    unprintable = [message for message in run.messages if not message.isprintable()]
    found += [f"not one printable line: {message!r}" for message in unprintable]
    if run.volume:
        check_volume(run.volume)
    return found


def secrets_in(texts: Iterable[str]) -> list[str]:
    """Returns the texts that hold patient data."""
    return [f"patient data in {text!r}" for text in texts if PATIENT_DATA.search(text)]


def _wrong_error(run: Run) -> list[str]:
    """Returns errors that no study may cause, and results that are missing after a success."""
    error = run.error
    if error is None:
        names = {path.name for path in run.results}
        expected = {"labels.nii.gz", "measurements.csv", STATUS_NAME}
        if run.found:  # else there is nothing that they could hold
            expected |= {"seg.dcm", "sr.dcm", "rtstruct.dcm"}
        missing = expected - names
        return [f"no {name} was written" for name in missing]
    if isinstance(error, InputError | ResourceError):
        return []
    if isinstance(error, OutputError) and str(error).startswith(NOTHING_FOUND):
        return []
    kind = "the machine's fault" if isinstance(error, ConfigError) else "a defect of ours"
    return [f"{type(error).__name__}, {kind}: {error}"]


def _unreported(mutant: Mutant, run: Run) -> list[str]:
    """Returns an objection if slices are missing and the run does not report them."""
    if run.error or run.volume is None or run.study is None or run.judgement is None:
        return []
    folder = run.volume.slices[0].instance.path.parent
    places = [mutant.folder / path for path in mutant.files]
    # A run can't report a file that does not exist.
    healthy = [path for path in places if path.parent == folder and path.is_file()]
    used = {item.key for item in run.volume.slices}
    expected = max(len(healthy), max(len(s.instance.frames) for s in run.volume.slices))
    series = len({(mutant.folder / path).parent for path in mutant.files})
    has_message = (
        run.study.warnings
        or run.volume.findings
        or run.study.ignored_files
        or len(run.judgement.decisions) > series
    )
    return (
        []
        if len(used) >= expected or has_message
        else [f"{len(used)} of {expected} slices, unreported"]
    )


def _hidden(mutant: Mutant, run: Run) -> list[str]:
    """Returns an objection if a broken file of a series affects the other series."""
    touched = mutant.touched
    if mutant.base != TWO_SERIES or len(touched) != 1:
        return []
    if any(path.is_symlink() for path in mutant.folder.rglob("*")):
        return []  # a link that leads nowhere is refused: a user expected a file there
    (broken,) = touched
    if run.judgement is None:
        return [f"all series are hidden by {broken}: {run.error}"]
    others = [
        decision
        for decision in run.judgement.decisions
        if any(item.path.parent != (mutant.folder / broken).parent for item in _instances(decision))
    ]
    if any(item.path == mutant.folder / broken for other in others for item in _instances(other)):
        return []  # its header says that it belongs to the other series
    if any(re.search("chosen|suitable", decision.reason) for decision in others):
        return []
    return [f"the other series is hidden by {broken}"]


def _instances(decision: SeriesDecision) -> tuple[Instance, ...]:
    return decision.series.instances

"""What is asked of every mutant, whatever became of it."""

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
from totalmap.writers.release import STATUS_NAME

FAMILY_NAME = PATIENT_NAME.split("^")[0]
PATIENT_DATA = re.compile(
    "|".join(
        [
            *(f"(?i:{re.escape(one)})" for one in (PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER)),
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
        folder: Where the changed study lies.
        mutations: What was done, the kind first.
    """

    base: str
    files: dict[Path, bytes]
    folder: Path
    mutations: tuple[str, ...]

    @property
    def touched(self) -> set[Path]:
        """The files of the healthy study that are not what they were, and new ones."""
        now = contents(self.folder)
        return {path for path in {*self.files, *now} if self.files.get(path) != now.get(path)}


def contents(folder: Path) -> dict[Path, bytes]:
    """Returns what the files below a folder hold, by their path; a link holds its target."""
    return {
        path.relative_to(folder): (
            str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        )
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def objections(mutant: Mutant, run: Run, log: str) -> list[str]:
    """Returns what is wrong with a run that ended in success or in a TotalMapError."""
    found = [*_wrong_error(run), *_untold(mutant, run), *_hidden(mutant, run)]
    found += secrets_in([log, *run.messages])
    found += [f"not one printable line: {one!r}" for one in run.messages if not one.isprintable()]
    if run.volume:
        check_volume(run.volume)
    return found


def secrets_in(texts: Iterable[str]) -> list[str]:
    """Returns where patient data stand in texts."""
    return [f"patient data in {text!r}" for text in texts if PATIENT_DATA.search(text)]


def _wrong_error(run: Run) -> list[str]:
    """A study can be refused, or hold nothing to segment; it can't break our settings or disk."""
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


def _untold(mutant: Mutant, run: Run) -> list[str]:
    """Slices of a healthy study that a result lacks have to be told."""
    if run.error or run.volume is None or run.study is None or run.judgement is None:
        return []
    folder = run.volume.slices[0].instance.path.parent
    places = [mutant.folder / path for path in mutant.files]
    # Nobody can miss a file that is not there.
    healthy = [path for path in places if path.parent == folder and path.is_file()]
    used = {one.key for one in run.volume.slices}
    expected = max(len(healthy), max(len(s.instance.frames) for s in run.volume.slices))
    series = len({(mutant.folder / path).parent for path in mutant.files})
    told = (
        run.study.warnings
        or run.volume.findings
        or run.study.ignored_files
        or len(run.judgement.decisions) > series
    )
    return [] if len(used) >= expected or told else [f"{len(used)} of {expected} slices, untold"]


def _hidden(mutant: Mutant, run: Run) -> list[str]:
    """One broken file of a series leaves the other series as it was."""
    touched = mutant.touched
    if mutant.base != TWO_SERIES or len(touched) != 1:
        return []
    if any(path.is_symlink() for path in mutant.folder.rglob("*")):
        return []  # a link that leads nowhere is refused: somebody expected a file there
    (broken,) = touched
    if run.judgement is None:
        return [f"all series are hidden by {broken}: {run.error}"]
    others = [
        decision
        for decision in run.judgement.decisions
        if any(one.path.parent != (mutant.folder / broken).parent for one in _instances(decision))
    ]
    if any(one.path == mutant.folder / broken for other in others for one in _instances(other)):
        return []  # it says that it belongs to the other series: nobody can know better
    if any(re.search("chosen|suitable", decision.reason) for decision in others):
        return []
    return [f"the other series is hidden by {broken}"]


def _instances(decision: SeriesDecision) -> tuple[Instance, ...]:
    return decision.series.instances

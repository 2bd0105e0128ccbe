"""Shows the series of an input, as tables or as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from cli.format_series_and_findings import series_table
from totalmap.dicom.anonymous_file_names import anonymous_name
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.header import printable
from totalmap.dicom.series_selection import Judgement, judge, refuse_mixed_patients, selected
from totalmap.dicom.study import Study, input_files
from totalmap.dicom.study_choice import StudyEntry, choose_study, list_studies, of_study
from totalmap.errors import NoSuitableSeries
from totalmap.open_input import InputKind, OpenedInput, open_input
from totalmap.settings import Settings
from totalmap.writers.series_status import series_status


@dataclass(frozen=True, slots=True, kw_only=True)
class _InspectedStudy:
    """A study, and which of its series would be segmented."""

    study: StudyEntry
    judgement: Judgement


def show_input(
    path: Path, settings: Settings, study: str | None, console: Console, *, as_json: bool
) -> None:
    """Prints the studies and series of an input, or the grid of a NIfTI file.

    Args:
        path: The input.
        settings: They hold the rules of selection and the limits of geometry.
        study: The number or the UID of the study to show; None shows all studies.
        console: The console that prints.
        as_json: Whether to print JSON and no tables.

    Raises:
        InputError: The input can't be read, no series can be segmented, or the files of the chosen
            series are of different patients.
    """
    with open_input(path) as source:
        if source.kind is InputKind.NIFTI:
            from totalmap.nifti import read_nifti_geometry

            _show_nifti(read_nifti_geometry(source.path, settings.geometry), console, as_json)
        else:
            _show_studies(source, settings, study, console, as_json)


def show_files(path: Path, console: Console) -> None:
    """Prints the number by which messages name each file of an input, and the path of the file.

    Paths may hold names of patients: only this option shows them, on the terminal of the caller.

    Raises:
        InputError: The input can't be read.
    """
    with open_input(path) as source:
        for number, file in enumerate(input_files(source.path), start=1):
            shown = file.name if file == source.path else str(file.relative_to(source.path))
            console.print(
                f"{anonymous_name(file, number)}: {printable(shown)}",
                soft_wrap=True,
                markup=False,
            )


def _show_studies(
    source: OpenedInput, settings: Settings, wanted: str | None, console: Console, as_json: bool
) -> None:
    content = source.studies(repair_missing_uids=settings.study.missing_uids == "repair")
    studies = list_studies(content) if wanted is None else (choose_study(content, wanted),)
    inspected = [
        _InspectedStudy(
            study=study,
            judgement=judge(of_study(content, study.uid), settings.selection, settings.geometry),
        )
        for study in studies
    ]
    if as_json:
        console.print(json.dumps(_as_json(inspected), indent=2), soft_wrap=True)
    else:
        _print_tables(inspected, content, console)
    if not any(entry.judgement.selections for entry in inspected):
        _refuse(inspected)
    if len(inspected) == 1:
        refuse_mixed_patients(inspected[0].judgement)


def _as_json(inspected: list[_InspectedStudy]) -> list[dict[str, object]]:
    return [
        {
            **asdict(series_status(decision)),
            "study": entry.study.number,
            "study_instance_uid": entry.study.uid,
        }
        for entry in inspected
        for decision in entry.judgement.decisions
    ]


def _print_tables(inspected: list[_InspectedStudy], content: Study, console: Console) -> None:
    for entry in inspected:
        if entry.study.of > 1:
            console.print(f"Study {entry.study}", soft_wrap=True)
        console.print(
            series_table(series_status(decision) for decision in entry.judgement.decisions)
        )
    if content.ignored_files:
        console.print(f"{content.ignored_files} files are not DICOM: ignored")
    for warning in content.warnings:
        console.print(f"Warning: {warning}", soft_wrap=True)
    if len(inspected) > 1:
        console.print(
            f"The input holds {len(inspected)} studies: run one of them with --study and its "
            "number, or each in turn with --all.",
            soft_wrap=True,
        )


def _refuse(inspected: list[_InspectedStudy]) -> None:
    if len(inspected) == 1:
        selected(inspected[0].judgement)
    raise NoSuitableSeries(f"no series of {len(inspected)} studies can be segmented")


def _show_nifti(geometry: Geometry, console: Console, as_json: bool) -> None:
    shape, spacing_mm = geometry.shape[::-1], geometry.spacing_mm
    if as_json:
        found = {"kind": InputKind.NIFTI, "shape": shape, "spacing_mm": spacing_mm}
        console.print(json.dumps(found, indent=2), soft_wrap=True)
        return
    sizes = " x ".join(map(str, shape))
    distances = " x ".join(f"{mm:.2f}" for mm in spacing_mm)
    console.print(
        f"A NIfTI file of {sizes} voxels, {distances} mm, {geometry.orientation}. "
        "It gives labels, measurements, preview and report; DICOM results need a DICOM input.",
        soft_wrap=True,
    )

"""Paths of a CD export hold the patient's name: no message, log or report repeats a path.

Horos and OsiriX name the folders of an export so, and files are often named by hand.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pydicom
import pytest
from pydicom.dataelem import RawDataElement

from tests.conftest import REPOSITORY
from tests.fuzz.healthy_studies import OF_PATIENT
from tests.fuzz.mutant_checks import secrets_in
from tests.fuzz.pacs_export import write_object
from tests.phantom.modules import PATIENT_ID, PATIENT_NAME
from tests.phantom.study import SeriesSpec, write_series

SMALL = SeriesSpec(rows=16, columns=16, n_slices=12, pixel_spacing_mm=(20.0, 20.0), scanner=None)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A CT whose folder and files are named after the patient."""
    folder = tmp_path / OF_PATIENT / f"{PATIENT_NAME}^CT"
    for path in write_series(folder, 0, SMALL).paths:
        path.rename(path.with_name(f"{PATIENT_ID}-{path.name}"))
    return tmp_path / OF_PATIENT


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def break_off(folder: Path) -> None:
    path = files(folder)[3]
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"ORIGINAL") + 4])


def cut_pixels(folder: Path) -> None:
    path = files(folder)[5]
    path.write_bytes(path.read_bytes()[:-10])


def lead_nowhere(folder: Path) -> None:
    (folder / f"{PATIENT_NAME}.dcm").symlink_to(f"/nowhere/{PATIENT_NAME}")


def quote_values(folder: Path) -> None:
    """Puts the patient's name where dates, numbers and UIDs belong."""
    name = PATIENT_NAME.encode().ljust(16)
    for path in files(folder):
        dataset = pydicom.dcmread(path)
        for keyword in ("StudyDate", "InstanceNumber", "SliceThickness", "StudyInstanceUID"):
            element = dataset[keyword]
            dataset._dict[element.tag] = RawDataElement(
                element.tag, element.VR, len(name), name, 0, False, True
            )
        dataset.save_as(path)
    break_off(folder)


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "header": (break_off, "file 4 (\u2026"),
    "pixels": (cut_pixels, "file 6 (\u2026"),
    "link": (lead_nowhere, "file 1 can't be read"),
    "values": (quote_values, "file 4 (\u2026"),
}


@pytest.mark.parametrize("case", CASES)
def test_no_message_log_or_report_repeats_an_input_path_or_a_patient_name(
    export: Path, tmp_path: Path, case: str
) -> None:
    change, expected = CASES[case]
    change(export)
    output = tmp_path / "output"
    process = subprocess.run(
        [sys.executable, "-m", "app", "-i", str(export), "-o", str(output)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 65, process.stderr
    written = {path.name: path.read_text() for path in output.rglob("*") if path.is_file()}
    assert set(written) == {"status.json", "metadata.json"}
    assert secrets_in([process.stdout, process.stderr, *written.values()]) == []
    status = json.loads(written["status.json"])
    assert any(expected in text for text in [status["error"]["message"], *status["warnings"]])


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_inspect_shows_paths_only_with_the_option_files(export: Path, options: list[str]) -> None:
    write_object(export / f"{PATIENT_NAME}.dcm", "ecg", Random(0))  # noqa: S311
    break_off(export)
    command = [sys.executable, "-m", "cli", "inspect", str(export)]
    process = subprocess.run(
        [*command, *options], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert secrets_in([process.stdout, process.stderr]) == []
    listed = subprocess.run(
        [*command, "--files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert PATIENT_ID in listed.stdout

from pathlib import Path

import pydicom
import pytest

from tests.phantom import WrittenSeries
from totalmap.dicom.scanner import read_scanner


def with_scanner(path: Path, manufacturer: str | None, model: str | None) -> Path:
    dataset = pydicom.dcmread(path)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.Manufacturer, dataset.ManufacturerModelName = manufacturer, model
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("manufacturer", "model", "expected"),
    [
        ("SIEMENS", "SOMATOM Force", "SIEMENS SOMATOM Force"),
        ("Fabrik für Röntgen", "  X  1 ", "Fabrik für Röntgen X 1"),
        (None, "X 1", "X 1"),
        ("SIEMENS", None, "SIEMENS"),
        (None, None, ""),
        ("a\tb\x1b", "c", "a?b? c"),
        ("x" * 64, "y" * 64, "x" * 64 + " " + "y" * 35),
    ],
)
def test_a_scanner_is_named_by_manufacturer_and_model_in_one_line(
    path: Path, manufacturer: str | None, model: str | None, expected: str
) -> None:
    assert read_scanner(with_scanner(path, manufacturer, model)) == expected


def test_a_multiframe_image_names_its_scanner(enhanced: WrittenSeries) -> None:
    assert read_scanner(with_scanner(enhanced.paths[0], "A", "B")) == "A B"


def test_a_dicom_file_that_cannot_be_read_has_no_scanner(path: Path, tmp_path: Path) -> None:
    assert read_scanner(tmp_path / "missing.dcm") == ""
    content = path.read_bytes()
    for length in (0, 100, 140, 300):
        path.write_bytes(content[:length])
        assert read_scanner(path) == ""
    path.write_bytes(b"no DICOM " * 100)
    assert read_scanner(path) == ""

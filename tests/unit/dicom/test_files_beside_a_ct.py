"""Tests that files of other kinds beside a CT, whole or truncated, never prevent reading the CT."""

from pathlib import Path
from random import Random

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian

from tests.fuzz.healthy_studies import SPEC, undefine_lengths
from tests.fuzz.pacs_export import items, write_object
from tests.fuzz.pacs_export_checks import objections_to_export
from tests.phantom.dose_report import write_dose_report
from tests.phantom.study import WrittenSeries, write_series
from totalmap.dicom.file_reader import HEAD_BYTES
from totalmap.dicom.study import read_study


@pytest.fixture
def ct(tmp_path: Path) -> WrittenSeries:
    return write_series(tmp_path / "ct", 0, SPEC)


@pytest.mark.parametrize("seed", range(20))
def test_the_ct_of_a_pacs_export_is_chosen_and_all_other_objects_are_listed(
    tmp_path: Path, seed: int
) -> None:
    assert objections_to_export(tmp_path, seed) == []


# dcm4chee writes sequences of undefined length, so the first 64 KiB end within one; where they
# end depends on what stands before it (rtstruct of dicom-rs#60; 24 of 25 files of dcm_qa_xa30).
@pytest.mark.usefixtures("ct")
@pytest.mark.parametrize("padding", range(0, 400, 26))
def test_a_long_structure_set_of_undefined_lengths_beside_a_ct_is_listed(
    tmp_path: Path, padding: int
) -> None:
    path = tmp_path / "rs.dcm"
    write_object(path, "rtstruct", Random(1))  # noqa: S311  any will do
    dataset = pydicom.dcmread(path)
    dataset.StructureSetDescription = "x" * padding
    dataset.ROIContourSequence[0].ContourSequence = items(400, Random(2))  # noqa: S311
    undefine_lengths(dataset)
    dataset.save_as(path)
    assert path.stat().st_size > 2 * HEAD_BYTES
    study = read_study(tmp_path)
    assert {series.modality for series in study.series} == {"CT", "RTSTRUCT"}
    assert study.warnings == ()


@pytest.mark.usefixtures("ct")
def test_an_ecg_beside_a_ct_is_listed(tmp_path: Path) -> None:
    """The file waveform_ecg.dcm of pydicom has sequences of undefined length."""
    source = Path(str(get_testdata_file("waveform_ecg.dcm")))
    (tmp_path / "ecg.dcm").write_bytes(source.read_bytes())
    study = read_study(tmp_path)
    assert {series.modality for series in study.series} == {"CT", "ECG"}


def test_a_structured_report_truncated_within_a_sequence_is_left_out_beside_a_ct(
    ct: WrittenSeries, tmp_path: Path
) -> None:
    path = write_dose_report(tmp_path / "dose.dcm", 0)
    dataset = pydicom.dcmread(path)
    undefine_lengths(dataset)
    dataset.save_as(path)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\xfe\xff\x00\xe0") + 8])
    study = read_study(tmp_path)
    (series,) = study.series
    assert len(series.instances) == len(ct.paths)
    (warning,) = study.warnings
    assert warning.startswith("file 1 (…")
    assert warning.endswith("is broken (it breaks off within a sequence): left out")


# Elekta Monaco (pydicom#2231), OHIF#3185 and old GE scanners (hazen#433) write no preamble.
@pytest.mark.parametrize("is_implicit", [True, False])
def test_dicom_files_without_preamble_are_read(
    ct: WrittenSeries, tmp_path: Path, is_implicit: bool
) -> None:
    for path in ct.paths:
        dataset = pydicom.Dataset(pydicom.dcmread(path))
        pydicom.dcmwrite(
            path,
            dataset,
            implicit_vr=is_implicit,
            little_endian=True,
            enforce_file_format=False,
        )
        assert path.read_bytes()[128:132] != b"DICM"
    (series,) = read_study(tmp_path).series
    assert len(series.instances) == len(ct.paths)
    syntaxes = {
        instance.pixels.transfer_syntax == ImplicitVRLittleEndian for instance in series.instances
    }
    assert syntaxes == {is_implicit}


@pytest.mark.parametrize("start", [4, 128, 132])
def test_dicom_file_meta_information_is_found_after_prefix_or_preamble_or_both(
    ct: WrittenSeries, tmp_path: Path, start: int
) -> None:
    """After the prefix alone, after the preamble alone, and after both."""
    for path in ct.paths:
        head = {4: b"DICM", 128: bytes(128), 132: bytes(128) + b"DICM"}[start]
        path.write_bytes(head + path.read_bytes()[132:])
    assert len(read_study(tmp_path).series[0].instances) == len(ct.paths)


@pytest.mark.parametrize("name", ["ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm"])
def test_sample_files_of_pydicom_without_meta_information_are_read(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(Path(str(get_testdata_file(name))).read_bytes())
    assert len(read_study(tmp_path).series) == 1

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage

from tests.phantom.study import WrittenSeries
from totalmap.dicom.study import read_study
from totalmap.errors import InputError

NOBODY = 65534


def test_a_series_is_read_from_files_of_any_name_in_any_folder(
    phantom_series: WrittenSeries, phantom_copy: Path
) -> None:
    for number, path in enumerate(sorted(phantom_copy.iterdir())):
        folder = phantom_copy / f"deep/{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / f"file-{number}")
    (series,) = read_study(phantom_copy).series
    assert series.uid == phantom_series.series_uid
    found = {instance.sop_instance_uid for instance in series.instances}
    assert found == set(phantom_series.sop_uids)


def test_files_that_are_not_dicom_are_counted_when_a_study_is_read(phantom_copy: Path) -> None:
    (phantom_copy / "notes.dcm").write_text("not DICOM")
    (phantom_copy / "IM0001.dcm.json").write_text("{}")
    (phantom_copy / "empty").touch()
    study = read_study(phantom_copy)
    assert study.ignored_files == 3
    assert study.warnings == ()


def test_a_pipe_in_a_study_folder_does_not_block_reading_the_study(phantom_copy: Path) -> None:
    os.mkfifo(phantom_copy / "pipe")
    (series,) = read_study(phantom_copy).series
    assert len(series.instances) == 40


def test_a_broken_link_in_a_study_folder_is_refused_by_its_file_number(phantom_copy: Path) -> None:
    (phantom_copy / "gone.dcm").symlink_to("/nowhere")
    with pytest.raises(InputError, match=r"^file 41 can't be read: No such file or directory$"):
        read_study(phantom_copy)


def test_a_copy_of_a_dicom_file_counts_once(
    phantom_series: WrittenSeries, phantom_copy: Path
) -> None:
    first = min(phantom_copy.iterdir())
    shutil.copy(first, phantom_copy / "again.dcm")
    (series,) = read_study(phantom_copy).series
    assert len(series.instances) == phantom_series.spec.n_slices


def test_a_dicom_file_with_a_repeated_uid_and_another_header_is_left_out_with_a_warning(
    phantom_series: WrittenSeries, phantom_copy: Path
) -> None:
    dataset = pydicom.dcmread(phantom_series.paths[0])
    dataset.SeriesDescription = "edited"
    dataset.save_as(phantom_copy / "z-edited.dcm")
    study = read_study(phantom_copy)
    assert study.warnings == ("1 files have the UID of another one and differ: left out",)
    names = {instance.path.name for instance in study.series[0].instances}
    assert names == {path.name for path in phantom_series.paths}


def test_a_dicom_file_with_a_broken_header_is_named_in_the_warnings(
    phantom_series: WrittenSeries, phantom_copy: Path
) -> None:
    first = min(phantom_copy.iterdir())
    content = first.read_bytes()
    middle_of_a_value = content.index(b"ORIGINAL") + 4
    first.write_bytes(content[:middle_of_a_value])
    study = read_study(phantom_copy)
    assert len(study.series[0].instances) == phantom_series.spec.n_slices - 1
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert study.warnings == (
        f"file 1 (…{digest[-4:]}) begins like DICOM and is broken "
        "(an element is longer than the rest of the file): left out",
    )


def test_an_empty_study_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no DICOM instance"):
        read_study(tmp_path)


def test_a_missing_study_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_study(tmp_path / "none")


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that only root may list, in a place that everybody may reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        study = Path(name)
        study.chmod(0o755)
        (study / "closed").mkdir(mode=0o700)
        yield study


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_unreadable_study_folder_is_refused(closed_folder: Path) -> None:
    os.seteuid(NOBODY)
    try:
        with pytest.raises(InputError, match="a folder in the input folder can't be read"):
            read_study(closed_folder)
    finally:
        os.seteuid(0)


def without_uids(folder: Path) -> None:
    for path in filter(Path.is_file, folder.iterdir()):
        dataset = pydicom.dcmread(path)
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(dataset, keyword, "")
        dataset.save_as(path)


def test_empty_dicom_uids_are_derived_from_the_content(
    phantom_copy: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    without_uids(phantom_copy)
    study = read_study(phantom_copy)
    (series,) = study.series
    assert (
        len({instance.sop_instance_uid for instance in series.instances})
        == phantom_series.spec.n_slices
    )
    assert "were derived from the content" in study.warnings[0]

    moved = shutil.copytree(phantom_copy, tmp_path / "elsewhere")
    assert read_study(moved).series[0].uid == series.uid


def test_empty_dicom_uids_are_refused_if_repair_is_not_allowed(phantom_copy: Path) -> None:
    without_uids(phantom_copy)
    with pytest.raises(InputError, match=r"study\.missing_uids is `refuse`"):
        read_study(phantom_copy, repair_missing_uids=False)


def test_two_series_without_uids_stay_two_series(phantom_copy: Path) -> None:
    for path in sorted(phantom_copy.iterdir())[::2]:
        dataset = pydicom.dcmread(path)
        dataset.ConvolutionKernel = "LUNG"
        dataset.save_as(path)
    without_uids(phantom_copy)
    assert len(read_study(phantom_copy).series) == 2


def test_the_empty_uids_of_a_real_ct_are_derived(real_ct: Path) -> None:
    (series,) = read_study(real_ct).series
    assert len(series.instances) == 20
    assert all(len(instance.repaired_uids) == 4 for instance in series.instances)
    assert {instance.sop_class_uid for instance in series.instances} == {CTImageStorage}


def test_series_without_a_study_uid_form_one_study_if_patient_and_study_agree(
    phantom_copy: Path,
) -> None:
    paths = sorted(phantom_copy.iterdir())
    (phantom_copy / "sharp").mkdir()
    for path in paths[::2]:
        dataset = pydicom.dcmread(path)
        dataset.ConvolutionKernel = "LUNG"
        dataset.save_as(phantom_copy / "sharp" / path.name)
        path.unlink()
    for folder in (phantom_copy / "sharp", phantom_copy):
        without_uids(folder)
    read = read_study(phantom_copy)
    assert len(read.series) == 2
    assert len({series.study_instance_uid for series in read.series}) == 1


def test_series_without_a_study_uid_form_two_studies_if_the_patients_differ(
    phantom_copy: Path,
) -> None:
    for path in sorted(phantom_copy.iterdir())[::2]:
        dataset = pydicom.dcmread(path)
        dataset.ConvolutionKernel = "LUNG"
        dataset.PatientID = "another"
        dataset.save_as(path)
    without_uids(phantom_copy)
    read = read_study(phantom_copy)
    assert len({series.study_instance_uid for series in read.series}) == 2
    assert "another" not in str(read)


def test_a_single_dicom_file_is_read_as_a_study_of_one_instance(
    phantom_series: WrittenSeries,
) -> None:
    (series,) = read_study(phantom_series.paths[3]).series
    assert [instance.sop_instance_uid for instance in series.instances] == [
        phantom_series.sop_uids[3]
    ]

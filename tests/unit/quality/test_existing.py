from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from totalmap.dicom.study import read_study
from totalmap.errors import InputError
from totalmap.quality.existing import findings_of, read_existing, seg_objects, structure_name
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.release import open_release
from totalmap.writers.seg import write_seg
from totalmap.writers.seg_labelmap import write_seg_labelmap


def seg_of(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        (result,) = write_seg(segmentation, Settings(), release)
        release.publish({})
    return folder / result.path


def labelmap_of(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        (result,) = write_seg_labelmap(segmentation, Settings(), release)
        release.publish({})
    return folder / result.path


@pytest.fixture(scope="module")
def seg(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seg_of(true_segmentation, tmp_path_factory.mktemp("seg"))


def spoilt(seg: Path, path: Path, **attributes: object) -> Path:
    dataset = pydicom.dcmread(seg)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("written", [seg_of, labelmap_of])
def test_labels_are_those_that_were_written(
    true_segmentation: Segmentation,
    phantom_series: WrittenSeries,
    tmp_path: Path,
    written: Callable[[Segmentation, Path], Path],
) -> None:
    existing = read_existing(
        [written(true_segmentation, tmp_path)], read_study(phantom_series.folder)
    )
    assert existing.unknown == ()
    label_of = {one.name: one.label for one in existing.structures}
    for found in true_segmentation.found():
        theirs = existing.labels == label_of[found.structure.name]
        assert np.array_equal(theirs, phantom_series.labels == found.structure.label)
    assert not {one.code for one in findings_of(existing)} & {"MIRRORED", "ORIENTATION", "EMPTY"}


def test_what_is_wrong_is_said(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    mirrored = replace(true_segmentation, labels=true_segmentation.labels[..., ::-1].copy())
    inference = replace(mirrored.inference, labels=mirrored.inference.labels[::-1])
    seg = seg_of(replace(mirrored, inference=inference), tmp_path)
    existing = read_existing([seg], read_study(phantom_series.folder))
    assert "MIRRORED" in {one.code for one in findings_of(existing)}


def test_all_segs_of_a_folder_are_one_result(seg: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(InputError, match="holds no SEG object"):
        seg_objects(tmp_path)
    assert seg_objects(seg.parent) == (seg,)


def test_another_study_is_no_source(seg: Path, tmp_path: Path) -> None:
    other = write_series(tmp_path, 2, SeriesSpec(rows=32, columns=32, n_slices=20))
    with pytest.raises(InputError, match="none of the series"):
        read_existing([seg], read_study(other.folder))


def test_another_grid_is_refused(seg: Path, phantom_series: WrittenSeries, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(seg)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        position[0] = f"{float(position[0]) + 2.0:.3f}"
    dataset.save_as(tmp_path / "moved.dcm")
    with pytest.raises(InputError, match="frame 1 of the SEG lies on another grid"):
        read_existing([tmp_path / "moved.dcm"], read_study(phantom_series.folder))


def test_structures_that_nobody_knows_are_counted_and_not_judged(
    seg: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(seg)
    for n, segment in enumerate(dataset.SegmentSequence):
        segment.SegmentLabel = segment.TrackingID = f"lesion {n}"
        segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Lesion"
    dataset.save_as(tmp_path / "lesions.dcm")
    existing = read_existing([tmp_path / "lesions.dcm"], read_study(phantom_series.folder))
    codes = {one.code for one in findings_of(existing)}
    assert codes == {"UNKNOWN", "INCOMPLETE"}


def test_a_seg_without_a_voxel_is_for_review(
    seg: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    size = len(pydicom.dcmread(seg).PixelData)
    empty = spoilt(seg, tmp_path / "empty.dcm", PixelData=bytes(size))
    existing = read_existing([empty], read_study(phantom_series.folder))
    assert "EMPTY" in {one.code for one in findings_of(existing)}


@pytest.mark.parametrize(
    ("label", "meaning", "side", "name"),
    [
        ("kidney_left", "", "", "kidney_left"),
        ("Left Kidney", "", "", "kidney_left"),
        ("1", "Kidney", "Left", "kidney_left"),
        ("1", "Liver", "", "liver"),
        ("Rib left 3", "", "", "rib_left_3"),
        ("Tumour", "Neoplasm", "", "Tumour"),
    ],
)
def test_names_of_other_tools(label: str, meaning: str, side: str, name: str) -> None:
    segment, kind, modifier = Dataset(), Dataset(), Dataset()
    modifier.CodeMeaning = side
    kind.CodeMeaning = meaning
    kind.SegmentedPropertyTypeModifierCodeSequence = [modifier] if side else []
    segment.SegmentLabel = label
    segment.SegmentedPropertyTypeCodeSequence = [kind]
    assert structure_name(segment) == name

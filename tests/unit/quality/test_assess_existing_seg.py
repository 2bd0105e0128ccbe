from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import segmentation_of
from totalmap.dicom.study import read_study
from totalmap.errors import InputError
from totalmap.existing_seg import seg_objects, structure_name
from totalmap.finding import Finding
from totalmap.quality.assess import assess
from totalmap.quality.assess_existing_seg import (
    ExistingResult,
    assess_existing_result,
    read_existing_result,
)
from totalmap.quality.suitability.assess_suitability import with_suitability
from totalmap.result_options import SegSplit
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.labelmap import write_seg_labelmap


def segs_of(segmentation: Segmentation, folder: Path, **results: object) -> tuple[Path, ...]:
    settings = Settings(results=ResultsSection.model_validate(results))
    with open_release(folder) as release:
        written = write_seg(segmentation, settings, release)
        release.publish({})
    return tuple(folder / result.path for result in written)


def seg_of(segmentation: Segmentation, folder: Path) -> Path:
    (path,) = segs_of(segmentation, folder)
    return path


def deflated_of(segmentation: Segmentation, folder: Path) -> Path:
    (path,) = segs_of(segmentation, folder, seg_transfer_syntax="deflated")
    return path


def labelmap_of(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        (result,) = write_seg_labelmap(segmentation, Settings(), release)
        release.publish({})
    return folder / result.path


@pytest.fixture(scope="module")
def seg(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seg_of(true_segmentation, tmp_path_factory.mktemp("seg"))


@pytest.fixture(scope="module")
def trunk_series(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    """A CT of coarse slices from the lungs to the hips."""
    spec = SeriesSpec(n_slices=60, slice_spacing_mm=6.0, slice_thickness_mm=6.0)
    return write_series(tmp_path_factory.mktemp("trunk"), 1, spec)


@pytest.fixture(scope="module")
def trunk(trunk_series: WrittenSeries) -> Segmentation:
    """The labels that a perfect network would find in it."""
    return segmentation_of(trunk_series)


def findings_of(existing: ExistingResult) -> tuple[Finding, ...]:
    return assess_existing_result(existing).findings


def spoilt(seg: Path, path: Path, **attributes: object) -> Path:
    dataset = pydicom.dcmread(seg)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("written", [seg_of, deflated_of, labelmap_of])
def test_labels_of_a_written_seg_are_read_unchanged_for_its_assessment(
    true_segmentation: Segmentation,
    phantom_series: WrittenSeries,
    tmp_path: Path,
    written: Callable[[Segmentation, Path], Path],
) -> None:
    existing = read_existing_result(
        [written(true_segmentation, tmp_path)], read_study(phantom_series.folder)
    )
    assert existing.unknown == ()
    label_of = {one.name: one.label for one in existing.segmentation.structures}
    for found in true_segmentation.found():
        theirs = existing.segmentation.labels == label_of[found.structure.name]
        assert np.array_equal(theirs, phantom_series.labels == found.structure.label)
    assert not {one.code for one in findings_of(existing)} & {"MIRRORED", "ORIENTATION", "EMPTY"}


def test_mirrored_labels_of_a_seg_are_reported(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    mirrored = replace(true_segmentation, labels=true_segmentation.labels[..., ::-1].copy())
    inference = replace(mirrored.inference, labels=mirrored.inference.labels[::-1])
    seg = seg_of(replace(mirrored, inference=inference), tmp_path)
    existing = read_existing_result([seg], read_study(phantom_series.folder))
    assert "MIRRORED" in {one.code for one in findings_of(existing)}


def without_structure(segmentation: Segmentation, name: str) -> Segmentation:
    (label,) = (one.label for one in segmentation.structures if one.name == name)
    labels = np.where(segmentation.labels == label, 0, segmentation.labels)
    seen = segmentation.inference.labels
    inference = replace(segmentation.inference, labels=np.where(seen == label, 0, seen))
    return replace(segmentation, labels=labels, inference=inference)


def narrow(segmentation: Segmentation, *names: str) -> Segmentation:
    """Returns the labels of a network that has learnt these structures only."""
    kept = tuple(one for one in segmentation.structures if one.name in names)
    for one in segmentation.found():
        if one.structure not in kept:
            segmentation = without_structure(segmentation, one.structure.name)
    return replace(segmentation, structures=kept)


def findings_of_its_run(segmentation: Segmentation) -> set[Finding]:
    volume = with_suitability(segmentation.volume, segmentation.task)
    return set(assess(replace(segmentation, volume=volume)).findings)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found,
        lambda found: without_structure(found, "liver"),
        lambda found: without_structure(found, "vertebrae_T12"),
        lambda found: narrow(found, "spleen", "vertebrae_T10", "vertebrae_T12", "vertebrae_L2"),
        lambda found: without_structure(
            narrow(found, "liver", "spleen", "vertebrae_T11", "vertebrae_T12", "vertebrae_L1"),
            "liver",
        ),
    ],
    ids=["whole", "no liver", "no T12", "narrow", "narrow without its liver"],
)
@pytest.mark.parametrize("split", list(SegSplit))
def test_an_existing_result_of_totalmap_has_the_findings_of_its_run(
    trunk: Segmentation,
    trunk_series: WrittenSeries,
    tmp_path: Path,
    spoil: Callable[[Segmentation], Segmentation],
    split: SegSplit,
) -> None:
    segmentation = spoil(trunk)
    segs = segs_of(segmentation, tmp_path, seg_split=split)
    existing = read_existing_result(segs, read_study(trunk_series.folder))
    assert set(findings_of(existing)) == findings_of_its_run(segmentation)


def test_a_missing_liver_is_reported_unless_the_weights_have_not_learnt_it(
    trunk: Segmentation, trunk_series: WrittenSeries, tmp_path: Path
) -> None:
    missing = without_structure(trunk, "liver")
    not_learnt = replace(
        missing, structures=tuple(one for one in missing.structures if one.name != "liver")
    )
    for n, (segmentation, is_missed) in enumerate([(missing, True), (not_learnt, False)]):
        seg = seg_of(segmentation, tmp_path / str(n))
        findings = findings_of(read_existing_result([seg], read_study(trunk_series.folder)))
        assert ("liver" in {one.structure for one in findings if one.code == "ABSENT"}) is is_missed


def test_a_seg_of_chosen_structures_is_assessed_for_these_only(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    chosen = tuple(one.name for one in true_segmentation.structures if "vertebrae" in one.name)
    segs = segs_of(true_segmentation, tmp_path, seg_structures=chosen)
    existing = read_existing_result(segs, read_study(phantom_series.folder))
    assert {one.name for one in existing.segmentation.structures} == set(chosen)


def test_a_result_of_an_earlier_version_is_assessed_for_all_structures_of_its_task(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    seg = seg_of(narrow(true_segmentation, "spleen"), tmp_path)
    dataset = pydicom.dcmread(seg)
    del dataset.ContributingEquipmentSequence[1]
    dataset.save_as(tmp_path / "older.dcm")
    existing = read_existing_result([tmp_path / "older.dcm"], read_study(phantom_series.folder))
    assert len(existing.segmentation.structures) == len(true_segmentation.structures)


def test_all_seg_files_of_a_folder_are_one_result(seg: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(InputError, match="holds no SEG object"):
        seg_objects(tmp_path)
    assert seg_objects(seg.parent) == (seg,)


def test_another_study_is_refused_as_the_source_of_an_assessed_seg(
    seg: Path, tmp_path: Path
) -> None:
    other = write_series(tmp_path, 2, SeriesSpec(rows=32, columns=32, n_slices=20))
    with pytest.raises(InputError, match="none of the series"):
        read_existing_result([seg], read_study(other.folder))


def test_a_seg_frame_on_another_grid_is_refused(
    seg: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(seg)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        position[0] = f"{float(position[0]) + 2.0:.3f}"
    dataset.save_as(tmp_path / "moved.dcm")
    with pytest.raises(InputError, match="frame 1 of the SEG lies on another grid"):
        read_existing_result([tmp_path / "moved.dcm"], read_study(phantom_series.folder))


def without(*keywords: str) -> Callable[[Dataset], None]:
    def spoil(seg: Dataset) -> None:
        for keyword in keywords:
            del seg[keyword]

    return spoil


def without_its_number(seg: Dataset) -> None:
    del seg.SegmentSequence[0].SegmentNumber


def without_a_segment(seg: Dataset) -> None:
    del seg.SegmentSequence[0]


def without_a_place(seg: Dataset) -> None:
    seg.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence = []


def with_half_an_orientation(seg: Dataset) -> None:
    shared = seg.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0]


def with_few_frames(seg: Dataset) -> None:
    seg.NumberOfFrames = 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        *(
            (without(keyword), "")
            for keyword in (
                "BitsAllocated",
                "BitsStored",
                "Columns",
                "NumberOfFrames",
                "PerFrameFunctionalGroupsSequence",
                "PhotometricInterpretation",
                "PixelRepresentation",
                "Rows",
                "SamplesPerPixel",
                "SegmentSequence",
                "SharedFunctionalGroupsSequence",
            )
        ),
        (without("PixelData"), "has 0 bytes of pixels and needs"),
        (without_its_number, ""),
        (without_a_segment, "frame 1 of the SEG belongs to segment 1, which is missing"),
        (without_a_place, ""),
        (with_half_an_orientation, ""),
        (with_few_frames, "has 3 frames and positions for"),
    ],
)
def test_a_damaged_seg_is_named_in_the_error(
    seg: Path,
    phantom_series: WrittenSeries,
    tmp_path: Path,
    spoil: Callable[[Dataset], None],
    said: str,
) -> None:
    dataset = pydicom.dcmread(seg)
    spoil(dataset)
    dataset.save_as(tmp_path / "broken.dcm")
    with pytest.raises(InputError, match=rf"^SEG file 1 of 1.*{said}"):
        read_existing_result([tmp_path / "broken.dcm"], read_study(phantom_series.folder))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9999])
def test_a_truncated_seg_is_refused(
    seg: Path, phantom_series: WrittenSeries, tmp_path: Path, share: float
) -> None:
    content = seg.read_bytes()
    (tmp_path / "half.dcm").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"^SEG file 1 of 1"):
        read_existing_result([tmp_path / "half.dcm"], read_study(phantom_series.folder))


def test_seg_probabilities_above_one_half_are_labelled(
    seg: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(seg)
    expected = read_existing_result([seg], read_study(phantom_series.folder))
    found = dataset.pixel_array
    dataset.SegmentationType, dataset.SegmentationFractionalType = "FRACTIONAL", "PROBABILITY"
    dataset.MaximumFractionalValue = 200
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = np.where(found, 101, 100).astype(np.uint8).tobytes()
    dataset.save_as(tmp_path / "fractional.dcm")
    fractional = read_existing_result(
        [tmp_path / "fractional.dcm"], read_study(phantom_series.folder)
    )
    assert np.array_equal(fractional.segmentation.labels, expected.segmentation.labels)


def test_unknown_structures_of_an_assessed_seg_are_counted_and_not_assessed(
    seg: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(seg)
    for n, segment in enumerate(dataset.SegmentSequence):
        segment.SegmentLabel = segment.TrackingID = f"lesion {n}"
        segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Lesion"
    dataset.save_as(tmp_path / "lesions.dcm")
    existing = read_existing_result([tmp_path / "lesions.dcm"], read_study(phantom_series.folder))
    codes = {one.code for one in findings_of(existing)}
    assert codes == {"UNKNOWN", "INCOMPLETE"}


def test_an_empty_seg_is_reported_for_review(
    seg: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    size = len(pydicom.dcmread(seg).PixelData)
    empty = spoilt(seg, tmp_path / "empty.dcm", PixelData=bytes(size))
    existing = read_existing_result([empty], read_study(phantom_series.folder))
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
def test_segment_names_of_other_tools_are_recognised(
    label: str, meaning: str, side: str, name: str
) -> None:
    segment, kind, modifier = Dataset(), Dataset(), Dataset()
    modifier.CodeMeaning = side
    kind.CodeMeaning = meaning
    kind.SegmentedPropertyTypeModifierCodeSequence = [modifier] if side else []
    segment.SegmentLabel = label
    segment.SegmentedPropertyTypeCodeSequence = [kind]
    assert structure_name(segment) == name


def test_the_tracking_identifier_names_a_segment_of_totalmap() -> None:
    """The label of a structure of another task may read like one of the task `total`."""
    segment = Dataset()
    segment.SegmentLabel, segment.TrackingID = "Liver vessels", "liver_vessels"
    assert structure_name(segment) == "liver_vessels"
    segment.SegmentLabel = "Left kidney"
    assert structure_name(segment) == "liver_vessels"

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.coding import Code

from tests.corrections import (
    ITKIMAGE2SEGIMAGE,
    Reviewed,
    changed_copy,
    codes_of,
    edited,
    masks_of,
    reviewed_result,
    seg_of_dcmqi,
    seg_of_highdicom,
)
from totalmap.corrections.predecessor import read_predecessor
from totalmap.corrections.read_correction import ForeignSegment, correction_of, read_correction
from totalmap.dicom.study import Study, read_study
from totalmap.errors import InputError, NothingCorrected

NAMES = ("liver", "kidney_left")


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    return reviewed_result(tmp_path_factory.mktemp("reviewed"))


@pytest.fixture(scope="module")
def study(reviewed: Reviewed) -> Study:
    return read_study(reviewed.series.folder)


@pytest.fixture(scope="module")
def returned(reviewed: Reviewed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Liver and spleen of a correction, as another tool sends them."""
    path = tmp_path_factory.mktemp("returned") / "seg.dcm"
    names = ("liver", "spleen")
    return seg_of_highdicom(
        path, reviewed, masks_of(reviewed, edited(reviewed), names), codes_of(*names)
    )


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_two_structures_of_a_seg_of_highdicom_are_taken_and_all_others_stay(
    reviewed: Reviewed, study: Study, tmp_path: Path, kind: str
) -> None:
    names = ("liver", "spleen")
    masks = masks_of(reviewed, edited(reviewed), names)
    seg = seg_of_highdicom(tmp_path / "seg.dcm", reviewed, masks, codes_of(*names), kind)
    correction = read_correction([seg], reviewed.output, study)
    assert np.array_equal(correction.labels, edited(reviewed))
    touched = [structure.name for structure in correction.touched]
    assert touched == ["spleen", "kidney_left", "liver"]


@pytest.mark.skipif(not ITKIMAGE2SEGIMAGE.exists(), reason="dcmqi is not installed")
def test_two_structures_of_a_seg_of_dcmqi_are_taken_and_all_others_stay(
    reviewed: Reviewed, study: Study, tmp_path: Path
) -> None:
    seg = seg_of_dcmqi(tmp_path / "seg.dcm", reviewed, edited(reviewed), ("liver", "spleen"))
    correction = read_correction([seg], reviewed.output, study)
    assert np.array_equal(correction.labels, edited(reviewed))


def test_the_change_of_a_structure_is_its_dice_and_the_volumes_that_it_gained_and_lost(
    reviewed: Reviewed, study: Study
) -> None:
    before, after = reviewed.labels, edited(reviewed)
    correction = correction_of(read_predecessor(reviewed.output, study), after)
    voxel_ml = 17.5 * 17.5 * 12.0 / 1000
    for change in correction.changes:
        old, new = (labels == change.structure.label for labels in (before, after))
        dice = 2 * (old & new).sum() / (old.sum() + new.sum())
        assert change.edit_dice == pytest.approx(dice, abs=1e-4)
        assert change.added_ml == pytest.approx((new & ~old).sum() * voxel_ml, abs=1e-3)
        assert change.removed_ml == pytest.approx((old & ~new).sum() * voxel_ml, abs=1e-3)


def test_a_segment_without_pixels_deletes_its_structure(
    reviewed: Reviewed, study: Study, tmp_path: Path
) -> None:
    masks = masks_of(reviewed, reviewed.labels, NAMES)
    masks[..., 1] = False
    seg = seg_of_highdicom(tmp_path / "seg.dcm", reviewed, masks, codes_of(*NAMES))
    correction = read_correction([seg], reviewed.output, study)
    kidney = reviewed.label("kidney_left")
    expected = np.where(reviewed.labels == kidney, 0, reviewed.labels)
    assert np.array_equal(correction.labels, expected)


def test_a_tumour_is_listed_and_not_taken(reviewed: Reviewed, study: Study, tmp_path: Path) -> None:
    codes = codes_of("liver", "spleen")
    seg = seg_of_highdicom(
        tmp_path / "seg.dcm", reviewed, masks_of(reviewed, edited(reviewed), tuple(NAMES)), codes
    )
    dataset = pydicom.dcmread(seg)
    tumour = dataset.SegmentSequence[1]
    tumour.SegmentLabel = "Spleen"
    for keyword, code in (
        ("SegmentedPropertyCategoryCodeSequence", Code("49755003", "SCT", "Abnormal")),
        ("SegmentedPropertyTypeCodeSequence", Code("108369006", "SCT", "Neoplasm")),
    ):
        item = highdicom.sr.CodedConcept(code.value, code.scheme_designator, code.meaning)
        setattr(tumour, keyword, [item])
    dataset.save_as(seg)
    correction = read_correction([seg], reviewed.output, study)
    assert correction.not_taken == (ForeignSegment(seg=1, number=2),)
    assert reviewed.label("liver") in {structure.label for structure in correction.touched}


def test_frames_that_another_tool_cropped_are_placed_by_their_position(
    reviewed: Reviewed, study: Study, returned: Path, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(returned)
    _, rows, columns = np.nonzero(dataset.pixel_array)
    top, left = rows.min(), columns.min()
    pixels = dataset.pixel_array[:, top : rows.max() + 1, left : columns.max() + 1]
    assert top > 0
    assert left > 0
    for item in dataset.PerFrameFunctionalGroupsSequence:
        (plane,) = item.PlanePositionSequence
        x, y, z = map(float, plane.ImagePositionPatient)
        plane.ImagePositionPatient = [x + left * 17.5, y + top * 17.5, z]
    packed = np.packbits(pixels.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset.Rows, dataset.Columns = pixels.shape[1:]
    dataset.save_as(tmp_path / "seg.dcm")
    correction = read_correction([tmp_path / "seg.dcm"], reviewed.output, study)
    assert np.array_equal(correction.labels, edited(reviewed))


def test_our_own_result_that_comes_back_changes_nothing(
    reviewed: Reviewed, study: Study, tmp_path: Path
) -> None:
    for seg in (reviewed.seg, changed_copy(reviewed.seg, tmp_path / "seg.dcm")):
        with pytest.raises(NothingCorrected):
            read_correction([seg], reviewed.output, study)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PatientID": "another"}, "another patient: Patient ID differs"),
        ({"StudyInstanceUID": "1.2.3"}, "another study"),
        ({"SegmentSequence": []}, "belongs to segment|none of the 0 segments"),
    ],
)
def test_a_seg_that_does_not_belong_to_the_result_is_refused_with_the_reason(
    reviewed: Reviewed,
    study: Study,
    returned: Path,
    tmp_path: Path,
    attributes: dict[str, object],
    reason: str,
) -> None:
    seg = changed_copy(returned, tmp_path / "seg.dcm", **attributes)
    with pytest.raises(InputError, match=reason):
        read_correction([seg], reviewed.output, study)


def test_a_seg_of_another_series_and_a_damaged_seg_are_refused(
    reviewed: Reviewed, study: Study, returned: Path, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(returned)
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"
    dataset.save_as(tmp_path / "other.dcm")
    with pytest.raises(InputError, match="drawn on another series"):
        read_correction([tmp_path / "other.dcm"], reviewed.output, study)
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(returned.read_bytes()[:-20])
    with pytest.raises(InputError, match="SEG file 1 of 1"):
        read_correction([damaged], reviewed.output, study)

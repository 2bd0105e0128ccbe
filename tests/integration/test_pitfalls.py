"""Studies that other systems get wrong, case by case.

The figures in the comments are Dice of a threshold mask against the source's own pixels, measured
on 2026-11-20 on a real CT that was re-oriented: TotalSegmentator 2.18 (its own DICOM SEG), dcm2niix
with dcmqi, MONAI Deploy's App SDK.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
)

from tests.chain import FILL, LIVER, Carried, carried
from tests.files_beside_ct import write_files_beside
from tests.phantom import write_enhanced
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import volume_of, volumes_of
from tests.transfer_syntaxes import ALL_SYNTAXES, transcode
from totalmap.dicom.anonymous_file_names import anonymous_name
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.study_choice import list_studies
from totalmap.errors import NoSuitableSeries
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection

REJECT = GeometrySection()
SPACING_MM = 6.0
SPEC = SeriesSpec(
    rows=66,
    columns=64,
    n_slices=48,
    pixel_spacing_mm=(SPACING_MM, SPACING_MM),
    slice_spacing_mm=SPACING_MM,
    stained=(LIVER,),
    scanner=None,
)


def is_exact(found: Carried) -> bool:
    return min(found.dice_highdicom, found.dice_dcmqi) >= 0.999 and found.off_mm < 0.1


def is_close(found: Carried) -> bool:
    return min(found.dice_highdicom, found.dice_dcmqi) >= 0.97 and found.off_mm < 1.0


def without(*missing: int) -> SeriesSpec:
    steps = tuple(float(k) for k in range(SPEC.n_slices) if k not in missing)
    return replace(SPEC, n_slices=len(steps), slice_steps=steps)


@pytest.mark.parametrize(
    "orientation",
    [(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)],
    ids=["prone", "row to the right"],
)
def test_masks_lie_in_place_with_negative_row_cosines(
    tmp_path: Path, orientation: tuple[float, float, float, float, float, float]
) -> None:
    # TotalSegmentator 0.319 and 0.287: mirrored without an error.
    written = write_series(tmp_path / "in", 3, replace(SPEC, orientation=orientation))
    assert is_exact(carried(written, tmp_path / "out", spacing_mm=SPACING_MM))


@pytest.mark.parametrize("tilt", [-22.0, 12.0, 25.0])
def test_masks_lie_in_place_on_slices_of_a_tilted_gantry(tmp_path: Path, tilt: float) -> None:
    # TotalSegmentator crashes; dcm2niix with dcmqi 0.05; App SDK: a skewed affine.
    written = write_series(tmp_path / "in", 3, replace(SPEC, tilt_degrees=tilt))
    found = carried(written, tmp_path / "out", geometry=REJECT)
    assert is_close(found)
    assert f"tilted by {abs(tilt):.1f} degrees" in found.volume.findings[0]


def test_missing_slices_are_refused_with_the_reason(tmp_path: Path) -> None:
    # App SDK accepts 3 of 20 missing slices at a spacing of 2.375 instead of 2.0 mm.
    write_series(tmp_path, 3, without(20, 21, 30))
    with pytest.raises(NoSuitableSeries, match=r"3 slices are missing: gaps of up to 18\.00 mm"):
        volume_of(tmp_path, REJECT)


def test_missing_slices_are_filled_if_configured(tmp_path: Path) -> None:
    # TotalSegmentator crashes; dcmqi 0.74.
    written = write_series(tmp_path / "in", 3, without(20, 21, 30))
    found = carried(written, tmp_path / "out", geometry=FILL)
    assert is_close(found)
    assert "3 slices are missing" in found.volume.findings[0]


def test_a_series_of_two_phases_is_segmented_in_its_longer_phase(tmp_path: Path) -> None:
    # TotalSegmentator 0.88, silently; App SDK halves silently.
    written = write_series(tmp_path / "in" / "arterial", 3, SPEC)
    portal = write_series(tmp_path / "in" / "portal", 4, replace(SPEC, n_slices=40))
    for k, path in enumerate(portal.paths):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = written.series_uid
        dataset.StudyInstanceUID = pydicom.dcmread(written.paths[0]).StudyInstanceUID
        dataset.FrameOfReferenceUID = pydicom.dcmread(written.paths[0]).FrameOfReferenceUID
        dataset.AcquisitionNumber, dataset.InstanceNumber = 2, 100 + k
        dataset.save_as(path)
    found = carried(
        written, tmp_path / "out", source=tmp_path / "in", spacing_mm=SPACING_MM, geometry=REJECT
    )
    assert is_exact(found)


def _in_turns(k: int, dataset: Dataset) -> None:
    dataset.AcquisitionNumber, dataset.AcquisitionTime = 1 + k % 2, f"1010{10 + k % 2}"


def _frame_of_reference_of_its_own(k: int, dataset: Dataset) -> None:
    dataset.FrameOfReferenceUID = f"1.2.3.{k + 1}"


@pytest.mark.parametrize("change", [_in_turns, _frame_of_reference_of_its_own])
def test_slices_on_one_grid_make_one_volume_despite_different_headers(
    tmp_path: Path, change: Callable[[int, Dataset], None]
) -> None:
    # dcm_qa_xa30: packages of slices are taken for volumes; public lung screening data
    written = write_series(tmp_path / "in", 3, replace(SPEC, slice_thickness_mm=SPACING_MM))
    for k, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        change(k, dataset)
        dataset.save_as(path)
    found = carried(written, tmp_path / "out", spacing_mm=SPACING_MM, geometry=REJECT)
    assert is_exact(found)
    assert len(found.volume.slices) == SPEC.n_slices


def test_the_files_of_a_concatenation_make_one_volume(tmp_path: Path) -> None:
    # OHIF#4388: 1344 frames in 8 files
    written = write_enhanced(tmp_path / "whole", 3, SPEC)
    whole = pydicom.dcmread(written.paths[0])
    groups, pixels = list(whole.PerFrameFunctionalGroupsSequence), whole.PixelData
    size, each = whole.Rows * whole.Columns * 2, SPEC.n_slices // 4
    (tmp_path / "parts").mkdir()
    for n in range(4):
        first, end = n * each, (n + 1) * each
        whole.PerFrameFunctionalGroupsSequence = groups[first:end]
        whole.NumberOfFrames, whole.PixelData = each, pixels[first * size : end * size]
        whole.SOPInstanceUID = UID(f"1.2.3.{n + 1}")
        whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
        whole.ConcatenationUID, whole.InConcatenationNumber = "1.2.3", n + 1
        whole.save_as(tmp_path / "parts" / f"{n}.dcm")
    volume = volume_of(tmp_path / "parts", REJECT)
    np.testing.assert_array_equal(volume.voxels, written.hu)
    np.testing.assert_allclose(volume.geometry.affine_lps, written.affine_lps, atol=1e-3)
    assert len({item.instance.sop_instance_uid for item in volume.slices}) == 4


def test_different_slices_at_the_same_position_are_refused(tmp_path: Path) -> None:
    # TotalSegmentator 0.88, silently.
    written = write_series(tmp_path, 3, SPEC)
    for k in (3, 17, 18):
        dataset = pydicom.dcmread(written.paths[k])
        dataset.SOPInstanceUID = f"1.2.3.{k}"
        dataset.PixelData = bytes(len(dataset.PixelData))
        dataset.save_as(tmp_path / f"again-{k}.dcm")
    with pytest.raises(NoSuitableSeries, match="3 of 51 slices have the position of another slice"):
        volume_of(tmp_path, FILL)


def test_slices_of_variable_spacing_are_refused_or_interpolated_as_configured(
    tmp_path: Path,
) -> None:
    # 1.08 to 6.99 mm, as in a GE head CT. Others: a wrong geometry, silently.
    fine = np.arange(0, 100, 1.08 / SPACING_MM)[:60]
    steps = tuple(np.concatenate([fine, fine[-1] + np.arange(1, 40) * 6.99 / SPACING_MM]).tolist())
    spec = replace(SPEC, n_slices=len(steps), slice_steps=steps)
    written = write_series(tmp_path / "in", 3, spec)
    with pytest.raises(NoSuitableSeries, match=r"vary from 1\.08 to 6\.99 mm"):
        volume_of(tmp_path / "in", REJECT)
    found = carried(written, tmp_path / "out", geometry=FILL)
    assert found.dice_highdicom >= 0.97
    assert found.off_mm < 1.0


def test_masks_lie_in_place_with_non_square_pixels(tmp_path: Path) -> None:
    # App SDK exchanges the two spacings.
    spec = replace(SPEC, pixel_spacing_mm=(5.0, 9.0), rows=80, columns=44)
    written = write_series(tmp_path / "in", 3, spec)
    found = carried(written, tmp_path / "out")
    assert is_close(found)
    assert found.volume.geometry.spacing_mm == pytest.approx((9.0, 5.0, SPACING_MM))


def test_a_rescale_that_differs_between_slices_gives_correct_hu(tmp_path: Path) -> None:
    # App SDK takes the type of slice 1 for all: -1024 HU becomes 65 thousand.
    written = write_series(tmp_path, 3, SPEC)
    hu = written.hu.astype(np.float64)
    for k, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        slope, intercept = 1 + k % 3 / 2, float(10 * k if k == 0 else -1024 - k)
        stored = dataset.pixel_array
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.save_as(path)
        hu[k] = stored * slope + intercept
    assert hu[0].min() >= 0 > hu[1].min()
    np.testing.assert_array_equal(volume_of(tmp_path).voxels, hu.astype(np.float32))


def test_a_localizer_is_never_selected_for_segmentation_in_any_order_of_files(
    tmp_path: Path,
) -> None:
    # App SDK: the localizer was chosen in 1 of 8 loads, by the order of os.listdir.
    # TotalSegmentator crashes on a folder that holds one.
    ct = write_series(tmp_path / "m", 3, SPEC)
    for name in ("a", "z"):
        for path in write_series(tmp_path / name, 4, replace(SPEC, n_slices=3)).paths:
            dataset = pydicom.dcmread(path)
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.SeriesInstanceUID = f"1.2.{ord(name)}"
            dataset.save_as(path)
    rules = SelectionSection(rules=(SelectionRule(min_slices=2),))
    judgement = judge(read_study(tmp_path), rules, REJECT)
    assert selected(judgement)[0].stack.series.uid == ct.series_uid
    assert [bool(v.chosen_by) for v in judgement.decisions] == [True, False, False]
    assert all("a localizer" in v.reason for v in judgement.decisions[1:])


def test_masks_lie_in_place_on_an_enhanced_multi_frame_ct(tmp_path: Path) -> None:
    # App SDK: a 4-D array without an affine.
    written = write_enhanced(tmp_path / "in", 3, replace(SPEC, file_order="shuffled"))
    assert is_exact(carried(written, tmp_path / "out", spacing_mm=SPACING_MM))


def test_a_series_with_empty_uids_is_segmented_with_derived_uids(tmp_path: Path) -> None:
    # App SDK: "No study loaded".
    written = write_series(tmp_path / "in", 3, SPEC)
    for path in written.paths:
        dataset = pydicom.dcmread(path)
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(dataset, keyword, "")
        dataset.save_as(path)
    assert is_exact(carried(written, tmp_path / "out", spacing_mm=SPACING_MM))
    assert "were derived from the content" in read_study(tmp_path / "in").warnings[0]


def test_a_truncated_file_is_named_and_affects_no_other_series(tmp_path: Path) -> None:
    # App SDK: RuntimeError for the whole study.
    thin = write_series(tmp_path / "thin", 3, replace(SPEC, slice_spacing_mm=4.0, number=2))
    thick = write_series(tmp_path / "thick", 3, replace(SPEC, number=3))
    content = thin.paths[5].read_bytes()
    thin.paths[5].write_bytes(content[: len(content) // 2])
    rules = SelectionSection(rules=(SelectionRule(),))
    judgement = judge(read_study(tmp_path), rules, REJECT)
    assert selected(judgement)[0].stack.series.uid == thick.series_uid
    label = anonymous_name(thin.paths[5], len(thick.paths) + 6)
    assert f"1 of 48 images can't be used: {label}" in judgement.decisions[1].reason
    allowed = judge(read_study(thin.folder), rules, FILL)
    assert len(selected(allowed)[0].audit.slices) == 47


def test_a_ct_among_files_of_every_other_kind_is_segmented(tmp_path: Path) -> None:
    # Others skip files without .dcm, or crash on what is no image.
    source = write_series(tmp_path / "source", 3, SPEC)
    files = FileSet()
    for path in source.paths:
        files.add(path)
    folder = tmp_path / "in"
    files.write(folder)  # a DICOMDIR, and files without extension in folders of their own
    assert (folder / "DICOMDIR").is_file()
    assert not list(folder.rglob("*.dcm"))
    ignored = write_files_beside(folder, source)
    other = write_series(folder / "other patient", 9, replace(SPEC, n_slices=4))
    found = carried(source, tmp_path / "out", source=folder, spacing_mm=SPACING_MM)
    assert is_exact(found)
    study = read_study(folder)
    assert study.ignored_files == ignored + 1  # and the DICOMDIR
    assert len(list_studies(study)) == 2
    reasons = {v.series.uid: v.reason for v in judge(study, SelectionSection(), FILL).decisions}
    assert reasons[other.series_uid] == "4 slices, at least 10 are needed"
    assert "no images" in reasons.values()
    assert "SOP class is Secondary Capture Image Storage, which holds no slices" in reasons.values()


@pytest.mark.parametrize("write", [write_series, write_enhanced], ids=["classic", "multi-frame"])
@pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=lambda syntax: syntax.name)
def test_a_series_in_any_transfer_syntax_gives_the_same_hu(
    tmp_path: Path, syntax: pydicom.uid.UID, write: Callable[..., WrittenSeries]
) -> None:
    # Others: depends on which plug-ins happen to be there.
    written = write(tmp_path, 3, replace(SPEC, n_slices=12))
    for path in set(written.paths):
        transcode(path, syntax)
    np.testing.assert_array_equal(volume_of(tmp_path).voxels, written.hu)


def test_a_dual_energy_series_gives_a_volume_of_one_energy(tmp_path: Path) -> None:
    written = write_series(tmp_path / "in", 3, SPEC)
    for kvp in ("80", "140"):
        for path in written.paths:
            dataset = pydicom.dcmread(path)
            dataset.KVP = kvp
            dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID[:50]}.{kvp}"
            dataset.save_as(tmp_path / "in" / f"{kvp}-{path.name}")
    for path in written.paths:
        path.unlink()
    high = SelectionRule(name="high", min_slices=2)
    (volume,) = volumes_of(tmp_path / "in", None, (high,))
    assert {one.frame.kvp for one in volume.slices} in ({80.0}, {140.0})
    assert len(volume.slices) == SPEC.n_slices


def test_the_turned_real_ct_has_the_same_hu_at_the_same_positions(
    real_ct: Path, tmp_path: Path
) -> None:
    """The real CT, its pixels turned with their geometry: the same HU at the same places."""
    original = volume_of(real_ct)
    for name, turn in TURNS.items():
        folder = tmp_path / name.replace(" ", "-")
        shutil.copytree(real_ct, folder)
        for path in folder.iterdir():
            turn_slice(path, turn)
        turned = volume_of(folder)
        index = np.random.default_rng(0).integers(0, original.geometry.shape, (2000, 3))
        there = original.geometry.positions_lps(index)
        inverse = np.linalg.inv(turned.geometry.affine_lps)
        i, j, k = np.rint(there @ inverse[:3, :3].T + inverse[:3, 3]).astype(int).T
        np.testing.assert_array_equal(turned.voxels[k, j, i], original.voxels[tuple(index.T)])


Turn = Callable[[np.ndarray], np.ndarray]
TURNS: dict[str, Turn] = {
    "prone": lambda pixels: pixels[::-1, ::-1],
    "row to the right": lambda pixels: pixels[:, ::-1],
    "column to the front": lambda pixels: pixels[::-1],
    "decubitus": lambda pixels: pixels.T[:, ::-1],
}


def turn_slice(path: Path, turn: Turn) -> None:
    """Turns the pixels of a slice, and its position and cosines with them."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    places = np.stack(np.meshgrid(*map(np.arange, pixels.shape), indexing="ij"))
    rows, columns = (turn(one) for one in places)
    row, column = np.reshape(np.array(dataset.ImageOrientationPatient, float), (2, 3))
    spacing = np.array(dataset.PixelSpacing, float)
    position = np.array(dataset.ImagePositionPatient, float)

    def place(j: int, i: int) -> np.ndarray:
        return np.asarray(
            position + columns[j, i] * spacing[1] * row + rows[j, i] * spacing[0] * column
        )

    along_row, along_column = place(0, 1) - place(0, 0), place(1, 0) - place(0, 0)
    turned = np.ascontiguousarray(turn(pixels))
    dataset.ImagePositionPatient = [f"{mm:.6f}" for mm in place(0, 0)]
    lengths = np.linalg.norm(along_column), np.linalg.norm(along_row)
    dataset.PixelSpacing = [f"{mm:.6f}" for mm in lengths]
    cosines = [*(along_row / lengths[1]), *(along_column / lengths[0])]
    dataset.ImageOrientationPatient = [f"{cosine:.6f}" for cosine in cosines]
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns = turned.shape
    dataset.PixelData = turned.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.SOPInstanceUID = ""
    dataset.save_as(path)

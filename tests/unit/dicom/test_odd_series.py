"""Tests unusual series that public reports describe; comments name the reports."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, EnhancedMRImageStorage

from tests.phantom import write_enhanced
from tests.phantom.study import CORONAL, SeriesSpec, WrittenSeries, write_series
from totalmap.dicom.series_selection import Judgement, judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.errors import NoSuitableSeries
from totalmap.finding import Severity
from totalmap.quality.suitability.header_rules import header_findings
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection

COUNT = 12
SPEC = SeriesSpec(rows=12, columns=12, n_slices=COUNT, pixel_spacing_mm=(35.0, 35.0), scanner=None)
RULES = SelectionSection(rules=(SelectionRule(modalities=("CT", "MR")),))
Change = Callable[[int, Dataset], None]


@pytest.fixture
def written(tmp_path: Path) -> WrittenSeries:
    return write_series(tmp_path / "in", 1, SPEC)


def edit(written: WrittenSeries, change: Change) -> None:
    """Changes each file of a series; the change gets the number of the slice."""
    for k, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        change(k, dataset)
        dataset.save_as(path)


def add(written: WrittenSeries, k: int, name: str, **values: Any) -> None:
    """Adds an image to a series: another one with other attributes, None removes one."""
    dataset = pydicom.dcmread(written.paths[k])
    dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID[:50]}.{len(name)}.{k + 1}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in values.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(written.folder / name)


def judged(folder: Path) -> Judgement:
    return judge(read_study(folder), RULES, GeometrySection())


def volume_of(folder: Path) -> Volume:
    (selection,) = selected(judged(folder))
    return build_volume(selection, GeometrySection())


def refusal(folder: Path) -> str:
    with pytest.raises(NoSuitableSeries) as caught:
        selected(judged(folder))
    return str(caught.value)


def is_whole(volume: Volume, written: WrittenSeries) -> bool:
    """Whether a volume has all slices of a series, with their values, and nothing is said."""
    return (
        volume.geometry.is_grid
        and np.array_equal(volume.voxels, written.hu)
        and not [finding for finding in header_findings(volume) if finding.code == "PARTIAL_SERIES"]
    )


TURNS: dict[str, Change] = {
    "time": lambda k, ds: setattr(ds, "AcquisitionTime", f"1010{10 + 20 * (k % 2)}"),
    "number": lambda k, ds: setattr(ds, "AcquisitionNumber", 1 + k % 2),
    "trigger": lambda k, ds: setattr(ds, "TriggerTime", f"{10 + 50 * (k % 3)}"),
    "frame of reference": lambda k, ds: setattr(ds, "FrameOfReferenceUID", f"1.2.{k % 2}"),
    "time point": lambda k, ds: setattr(ds, "TemporalPositionIdentifier", 1 + k % 3),
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_interleaved_slices_are_one_volume(tmp_path: Path, turn: str, modality: Any) -> None:
    # dcm_qa_xa30: packages, 13 excitations of 3 slices that are taken for 13 volumes
    written = write_series(tmp_path, 1, replace(SPEC, modality=modality))
    edit(written, TURNS[turn])
    assert is_whole(volume_of(tmp_path), written)


def test_interleaved_slices_thinner_than_their_distance_are_one_volume(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, replace(SPEC, modality="MR", slice_thickness_mm=2.5))
    edit(written, TURNS["time"])
    assert is_whole(volume_of(tmp_path), written)


def test_interleaved_slices_with_a_missing_slice_are_refused(written: WrittenSeries) -> None:
    edit(written, TURNS["number"])
    written.paths[5].unlink()
    assert "1 slices are missing" in refusal(written.folder)


def test_one_of_two_volumes_shifted_by_half_a_step_gives_a_partial_series_finding(
    tmp_path: Path,
) -> None:
    written = write_series(tmp_path, 1, replace(SPEC, n_slices=24, slice_thickness_mm=6.0))
    edit(written, TURNS["number"])
    found = {finding.code: finding for finding in header_findings(volume_of(tmp_path))}
    assert found["PARTIAL_SERIES"].severity is Severity.REVIEW
    assert found["PARTIAL_SERIES"].sentence == (
        "The result uses 12 of 24 slices of the series: 12 of them are in other volumes of the "
        "series, which differ in acquisition."
    )
    assert "uses 12 of 24 slices of the series" in judged(tmp_path).decisions[0].reason


@pytest.mark.parametrize("other", ["35.0000001", "35.001"])
def test_a_rounded_pixel_spacing_does_not_split_a_series(
    written: WrittenSeries, other: str
) -> None:
    # Series that two programs wrote: 4.375 and 4.375001.
    edit(written, lambda k, ds: setattr(ds, "PixelSpacing", [other if k > 5 else "35.0"] * 2))
    assert is_whole(volume_of(written.folder), written)


def test_a_pixel_spacing_that_differs_beyond_rounding_splits_a_series(
    written: WrittenSeries,
) -> None:
    edit(written, lambda k, ds: setattr(ds, "PixelSpacing", ["35.02" if k == 11 else "35.0"] * 2))
    reasons = [decision.reason for decision in judged(written.folder).decisions]
    assert "volume 2 of 2 in this series (pixel spacing 35.02 x 35.02; file 12 (" in reasons[1]


@pytest.mark.parametrize("slices_each", [1, 3, 6])
def test_a_frame_of_reference_for_each_slice_does_not_split_a_series(
    written: WrittenSeries, slices_each: int
) -> None:
    # Public lung screening data are delivered so.
    edit(written, lambda k, ds: setattr(ds, "FrameOfReferenceUID", f"1.2.{k // slices_each}"))
    assert is_whole(volume_of(written.folder), written)


def split_enhanced(folder: Path, parts: list[range], change: Change) -> WrittenSeries:
    """Writes several Enhanced files of one series, each with some frames of a volume."""
    folder.mkdir(exist_ok=True)
    written = write_enhanced(folder, 1, SPEC)
    whole = pydicom.dcmread(written.paths[0])
    groups, pixels = list(whole.PerFrameFunctionalGroupsSequence), whole.PixelData
    size = whole.Rows * whole.Columns * 2
    for n, frames in enumerate(parts):
        whole.PerFrameFunctionalGroupsSequence = pydicom.Sequence([groups[k] for k in frames])
        whole.NumberOfFrames = len(frames)
        whole.PixelData = b"".join(pixels[k * size : (k + 1) * size] for k in frames)
        whole.SOPInstanceUID = UID(f"1.2.3.{n + 1}")
        whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
        whole.InstanceNumber = n + 1
        change(n, whole)
        whole.save_as(folder / f"part-{n}.dcm")
    written.paths[0].unlink()
    return written


def as_plain(_n: int, _dataset: Dataset) -> None:
    """Leaves a part as it is."""


def as_concatenation(n: int, dataset: Dataset) -> None:
    dataset.InstanceNumber, dataset.ConcatenationUID = 1, "1.2.3.4"
    dataset.InConcatenationNumber, dataset.InConcatenationTotalNumber = n + 1, 4


def as_mr(_n: int, dataset: Dataset) -> None:
    dataset.Modality, dataset.SOPClassUID = "MR", EnhancedMRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage


PARTS = {
    "four files": [range(3 * n, 3 * n + 3) for n in range(4)],
    "files of other lengths": [range(1), range(1, 5), range(5, 12)],
    "files in turns": [range(0, 12, 2), range(1, 12, 2)],
}


@pytest.mark.parametrize("change", [as_plain, as_concatenation, as_mr])
@pytest.mark.parametrize("parts", PARTS)
def test_multi_frame_files_that_continue_each_other_are_one_volume(
    tmp_path: Path, change: Change, parts: str
) -> None:
    # OHIF#4388: 1344 frames in 8 files; Weasis#493
    written = split_enhanced(tmp_path / "in", PARTS[parts], change)
    assert is_whole(volume_of(tmp_path), written)


def test_a_concatenation_with_a_missing_part_is_refused(tmp_path: Path) -> None:
    split_enhanced(tmp_path, [range(5), range(6, 12)], as_concatenation)
    assert "1 slices are missing" in refusal(tmp_path)


SCOUTS: dict[str, dict[str, Any]] = {
    "of another size": {"Rows": 6, "Columns": 6, "PixelData": bytes(72)},
    "of another type": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "in colour": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 8},
}


@pytest.mark.parametrize("scout", SCOUTS)
def test_a_scout_image_without_a_position_is_left_out_and_named(
    written: WrittenSeries, scout: str
) -> None:
    # dicom2nifti#60, #161
    places = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    add(written, 0, "scout.dcm", InstanceNumber=0, **places, **SCOUTS[scout])
    volume = volume_of(written.folder)
    assert is_whole(volume, written)
    (finding,) = volume.findings
    assert finding.startswith(
        "1 images are left out (they have no position, and another size or kind than the slices): "
        "file 13 ("
    )


def test_a_slice_without_a_position_is_counted_as_unusable(written: WrittenSeries) -> None:
    add(written, 0, "lost.dcm", ImagePositionPatient=None)
    volume = volume_of(written.folder)
    assert len(volume.slices) == COUNT
    assert "1 of 13 images can't be used: file 13 (" in volume.findings[0]
    assert "PARTIAL_SERIES" in [finding.code for finding in header_findings(volume)]


@pytest.mark.parametrize(
    "values",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"], "ImageOrientationPatient": list(CORONAL)},
        {"Rows": 6, "Columns": 6, "PixelData": bytes(72)},
        {"RescaleType": "MGML"},
    ],
    ids=["a localizer", "a coronal image", "a small image", "a map"],
)
def test_one_image_of_another_kind_does_not_exclude_its_series(
    written: WrittenSeries, values: dict[str, Any]
) -> None:
    # z-rad#67
    add(written, 4, "foreign.dcm", InstanceNumber=41, **values)
    assert is_whole(volume_of(written.folder), written)
    assert "; file 13 (" in judged(written.folder).decisions[1].reason


def test_copies_with_new_uids_are_used_once(written: WrittenSeries) -> None:
    # rt-utils#122
    for k in range(COUNT):
        add(written, k, f"again-{k:02}.dcm")
    volume = volume_of(written.folder)
    assert is_whole(volume, written)
    assert (
        "12 images are left out (copies of other images, with equal pixels)" in (volume.findings[0])
    )


def test_pixels_are_compared_for_copies_only_in_series_that_may_be_chosen(
    written: WrittenSeries,
) -> None:
    for k in range(COUNT):
        add(written, k, f"again-{k:02}.dcm")
    study = read_study(written.folder)
    other_kind = SelectionSection(rules=(SelectionRule(descriptions=("head",)),))
    (passed_over,) = judge(study, other_kind, GeometrySection()).decisions
    assert passed_over.stack is not None
    assert len(passed_over.stack.slices) == 2 * COUNT, "pixels were read to leave out copies"
    (too_large,) = judge(study, RULES, GeometrySection(max_series_gb=1e-6)).decisions
    assert too_large.stack is not None
    assert len(too_large.stack.slices) == 2 * COUNT, "pixels were read beyond the limit"
    assert "geometry.max_series_gb allows" in too_large.reason


def test_a_file_of_many_frames_at_one_position_is_read_once_to_compare_them(tmp_path: Path) -> None:
    """Reading it again for each frame would take minutes of processor time."""
    path = write_enhanced(tmp_path / "in", 1, SPEC).paths[0]
    dataset, times = pydicom.dcmread(path), 300
    pixels = np.repeat(dataset.pixel_array, times, axis=0)
    frames = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [item for item in frames for _ in range(times)]
    dataset.NumberOfFrames = times * COUNT
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)
    study, start = read_study(tmp_path / "in"), time.process_time()
    decisions = judge(study, RULES, GeometrySection()).decisions
    assert time.process_time() - start < 20.0
    stacks = [decision.stack for decision in decisions if decision.stack]
    assert sum(len(stack.slices) for stack in stacks) == times * COUNT


def test_slices_that_were_sent_twice_are_used_once(written: WrittenSeries) -> None:
    for k in (3, 4, 5):
        add(written, k, f"again-{k}.dcm", InstanceCreationTime="120000", StationName="B")
    assert is_whole(volume_of(written.folder), written)


def test_differing_images_at_one_position_are_refused_and_their_attributes_named(
    written: WrittenSeries,
) -> None:
    pixels = bytes(2 * 12 * 12)
    add(written, 3, "again.dcm", PixelData=pixels, ImageComments="x", ExposureTime="900")
    assert (
        "1 of 13 slices have the position of another slice and other pixels; they differ in "
        "Image Comments, Exposure Time"
    ) in refusal(written.folder)


SEAMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "acquisitions": lambda part: {"AcquisitionNumber": 2 + part},
    "times": lambda part: {"AcquisitionTime": f"1010{10 + part}"},
    "frames of reference": lambda part: {"FrameOfReferenceUID": f"1.2.{part}"},
    "comments": lambda part: {"ImageComments": f"part {part}"},
}


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize("shared", [1, 2])
def test_consecutive_acquisitions_that_repeat_slices_are_one_volume(
    tmp_path: Path, seam: str, shared: int
) -> None:
    # app-sdk#532: 1 of 312 slices
    written = write_series(tmp_path, 1, replace(SPEC, n_slices=20))

    def change(k: int, dataset: Dataset) -> None:
        for keyword, value in SEAMS[seam](int(k >= 10)).items():
            setattr(dataset, keyword, value)

    edit(written, change)
    for k in range(10 - shared, 10):
        add(written, k, f"seam-{k}.dcm", PixelData=bytes(2 * 12 * 12), **SEAMS[seam](1))
    volume = volume_of(tmp_path)
    assert is_whole(volume, written)
    assert f"{shared} images are left out (they repeat slices" in volume.findings[0]


PHASES: dict[str, Callable[[int], dict[str, Any]]] = {
    "series description": lambda phase: {"SeriesDescription": f"4D {50 * phase} %"},
    "Image Comments": lambda phase: {"ImageComments": f"{50 * phase} %"},
    "series number": lambda phase: {"SeriesNumber": 3 + phase},
    "slice thickness": lambda phase: {"SliceThickness": str(3 + phase)},
    "Nominal Percentage of Respiratory Phase": lambda phase: {
        "NominalPercentageOfRespiratoryPhase": 50.0 * phase
    },
}


@pytest.mark.parametrize("name", PHASES)
def test_phases_are_separated_by_any_attribute_that_differs(tmp_path: Path, name: str) -> None:
    # Weasis#701: a 4D CT whose instance numbers begin anew in each phase
    for phase in (0, 1):
        written = write_series(tmp_path / str(phase), 1 + phase, SPEC)

        def change(k: int, dataset: Dataset, phase: int = phase) -> None:
            dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2.4"
            dataset.StudyInstanceUID, dataset.InstanceNumber = "1.2.5", k + 1
            dataset.PatientID, dataset.PatientBirthDate = "P", "19600101"
            for keyword, value in PHASES[name](phase).items():
                setattr(dataset, keyword, value)

        edit(written, change)
    judgement = judged(tmp_path)
    assert [len(decision.stack.slices) for decision in judgement.decisions if decision.stack] == [
        12
    ] * 2
    assert all(f"in this series ({name} " in decision.reason for decision in judgement.decisions)
    assert "PARTIAL_SERIES" not in [
        finding.code for finding in header_findings(volume_of(tmp_path))
    ]


def as_derived(_k: int, dataset: Dataset) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY"]


def test_a_derived_series_alone_is_segmented_with_a_finding(written: WrittenSeries) -> None:
    # SimpleITK's own example of how a series is written
    edit(written, as_derived)
    found = {
        finding.code: finding.severity for finding in header_findings(volume_of(written.folder))
    }
    assert found["DERIVED"] is Severity.REVIEW


def test_a_derived_series_beside_its_original_is_not_chosen(written: WrittenSeries) -> None:
    derived = write_series(written.folder / "derived", 1, replace(SPEC, number=3))
    edit(derived, as_derived)
    chosen, other = judged(written.folder).decisions
    assert chosen.series.uid == written.series_uid
    assert other.reason == "computed from another series (image type SECONDARY)"


def test_a_derived_series_beside_a_localizer_is_segmented(written: WrittenSeries) -> None:
    edit(written, as_derived)
    add(written, 0, "scout.dcm", SeriesInstanceUID="1.2.3", ImageType=["ORIGINAL", "LOCALIZER"])
    assert volume_of(written.folder).series_instance_uid == written.series_uid


def test_one_sentence_states_that_each_slice_has_its_own_series(written: WrittenSeries) -> None:
    """Without Instance Numbers, nothing shows that the slices belong together."""

    # dcm2niix#495, medInria#156
    def change(k: int, dataset: Dataset) -> None:
        dataset.SeriesInstanceUID = f"1.2.3.{k + 1}"
        dataset.InstanceNumber = None

    edit(written, change)
    assert refusal(written.folder) == (
        "none of 12 series can be segmented: 12 series have one slice each, and these lie beside "
        "each other: Series Instance UID differs in every slice"
    )


def test_one_sentence_states_that_all_slices_have_the_same_position(written: WrittenSeries) -> None:
    # C-arm CT and converters
    edit(written, lambda _, ds: setattr(ds, "ImagePositionPatient", [0, 0, 0]))
    assert refusal(written.folder).endswith("all 12 slices have the same Image Position (Patient)")


def test_one_sentence_states_that_each_slice_has_its_own_orientation(
    written: WrittenSeries,
) -> None:
    def turn(k: int, dataset: Dataset) -> None:
        angle = np.radians(15 * k)
        row = [round(float(np.cos(angle)), 6), round(float(np.sin(angle)), 6), 0]
        dataset.ImageOrientationPatient = [*row, 0, 0, -1]

    edit(written, turn)
    assert refusal(written.folder).endswith(
        "each of 12 images differs from the others in orientation"
    )


def test_the_reason_names_the_fault_of_a_file_and_not_the_low_number_of_slices(
    written: WrittenSeries,
) -> None:
    # Slicer#7496: a dental CT as one multi-frame file without functional groups
    dataset = pydicom.dcmread(written.paths[0])
    dataset.NumberOfFrames = COUNT
    dataset.PixelData = b"".join(pydicom.dcmread(path).PixelData for path in written.paths)
    for path in written.paths:
        path.unlink()
    dataset.save_as(written.folder / "cbct.dcm")
    reason = refusal(written.folder)
    assert "1 of 1 images can't be used: file 1 (" in reason
    assert "(12 frames with positions for 1)" in reason

"""Tests unusual series that public reports describe; comments name the reports."""

import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, EnhancedMRImageStorage

from tests.phantom import write_enhanced
from tests.phantom.study import WrittenSeries, write_series
from tests.unit.dicom.odd_series import (
    COUNT,
    SPEC,
    Change,
    add,
    edit,
    is_whole,
    judged,
    refusal,
    volume_of,
)
from totalmap.finding import Severity
from totalmap.quality.suitability.header_rules import header_findings
from totalmap.texts.catalogue import Language, texts_in


@pytest.fixture
def written(tmp_path: Path) -> WrittenSeries:
    return write_series(tmp_path / "in", 1, SPEC)


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
    assert texts_in(Language.GERMAN).told(found["PARTIAL_SERIES"].sentence) == (
        "Das Ergebnis nutzt 12 von 24 Schichten der Serie: 12 davon geh\u00f6ren zu anderen "
        "Volumen der Serie, die sich unterscheiden in: Aufnahme."
    )
    assert "uses 12 of 24 slices of the series" in judged(tmp_path).decisions[0].reason


def test_every_criterion_that_splits_a_series_into_volumes_has_a_text() -> None:
    folder = files("totalmap.dicom")
    names = {
        name
        for path in ("split_criteria.py", "stacks.py")
        for name in re.findall(r'Distinction\(\s*name="(.*?)"', (folder / path).read_text())
    }
    assert len(names) > 15
    english = texts_in(Language.ENGLISH)
    for name in names:
        assert english(f"difference.{re.sub('[ -]', '_', name)}") == name


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


def test_the_refusal_states_in_one_sentence_that_each_slice_has_its_own_series(
    written: WrittenSeries,
) -> None:
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


def test_the_refusal_states_in_one_sentence_that_all_slices_have_the_same_position(
    written: WrittenSeries,
) -> None:
    # C-arm CT and converters
    edit(written, lambda _, ds: setattr(ds, "ImagePositionPatient", [0, 0, 0]))
    assert refusal(written.folder).endswith("all 12 slices have the same Image Position (Patient)")


def test_the_refusal_states_in_one_sentence_that_each_slice_has_its_own_orientation(
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

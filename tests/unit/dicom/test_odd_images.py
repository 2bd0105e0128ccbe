"""Tests images in a series that are no slices of its volume, or copies; comments name reports."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from tests.phantom import write_enhanced
from tests.phantom.study import CORONAL, WrittenSeries, write_series
from tests.unit.dicom.odd_series import (
    COUNT,
    RULES,
    SPEC,
    add,
    is_whole,
    judged,
    refusal,
    volume_of,
)
from totalmap.dicom.series_selection import judge
from totalmap.dicom.study import read_study
from totalmap.quality.suitability.header_rules import header_findings
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection


@pytest.fixture
def written(tmp_path: Path) -> WrittenSeries:
    return write_series(tmp_path / "in", 1, SPEC)


SCOUTS: dict[str, dict[str, Any]] = {
    "of another size": {"Rows": 6, "Columns": 6, "PixelData": bytes(72)},
    "of another type": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "in colour": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 8},
}


@pytest.mark.parametrize("scout", SCOUTS)
def test_a_scout_image_without_a_position_is_left_out_of_its_series_and_named(
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


def test_a_slice_without_a_position_is_counted_as_unusable_in_its_series(
    written: WrittenSeries,
) -> None:
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


def test_copies_of_slices_with_new_uids_are_used_once(written: WrittenSeries) -> None:
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

"""Tests that no slice of a series is left out without a report, however the series is split."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.phantom import write_enhanced
from tests.phantom.study import SeriesSpec, write_series
from totalmap.dicom.series_selection import Judgement, judge
from totalmap.dicom.split_study_into_stacks import split_study
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.quality.suitability.assess_suitability import assess_suitability
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GapPolicy, GeometrySection

SERIES_UID = "1.2.3.4"
STEP_MM = 3.0
SPEC = SeriesSpec(rows=8, columns=8, pixel_spacing_mm=(40.0, 40.0), n_slices=24, scanner=None)
RULES = SelectionSection(rules=(SelectionRule(modalities=("CT", "MR"), min_slices=4),))

# What may differ between the groups of slices of a series, by the number of the group.
ATTRIBUTES: dict[str, Callable[[int], Any]] = {
    "AcquisitionNumber": lambda group: group + 1,
    "AcquisitionTime": lambda group: f"10150{group}",
    "ContentTime": lambda group: f"10150{group}",
    "ConvolutionKernel": lambda group: f"B{group}0",
    "EchoTime": lambda group: f"{group + 1}.5",
    "FrameOfReferenceUID": lambda group: f"1.2.{group}",
    "ImageComments": lambda group: f"{group} %",
    "ImageType": lambda group: ["ORIGINAL", "PRIMARY", "AXIAL", f"T{group}"],
    "KVP": lambda group: f"{80 + 20 * group}",
    "NominalPercentageOfRespiratoryPhase": lambda group: 10.0 * group,
    "PixelSpacing": lambda group: ["40", f"40.{group}"],
    "PixelSpacing, other digits": lambda group: ["40", f"40.00000{group}"],
    "SeriesDescription": lambda group: f"phase {group}",
    "SeriesNumber": lambda group: group + 1,
    "SliceThickness": lambda group: f"{3 + group}",
    "TemporalPositionIdentifier": lambda group: group + 1,
    "TriggerTime": lambda group: f"{50 * group}",
    "nothing": lambda _: None,
}


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """The positions of the slices of a series, in steps, and the group of each slice."""

    steps: tuple[float, ...]
    groups: tuple[int, ...]


def blocks(count: int, overlap: int, gap: int) -> Dealt:
    """Returns groups of eight slices that follow each other, overlap, or leave a gap."""
    starts = [group * (8 - overlap + gap) for group in range(count)]
    places = [(start + k, group) for group, start in enumerate(starts) for k in range(8)]
    return Dealt(
        steps=tuple(float(step) for step, _ in places), groups=tuple(group for _, group in places)
    )


def interleaved(count: int, shift: float) -> Dealt:
    """Returns groups of eight interleaved slices."""
    places = [(k * count + group * shift, group) for group in range(count) for k in range(8)]
    return Dealt(steps=tuple(s for s, _ in places), groups=tuple(g for _, g in places))


DEALT = st.one_of(
    st.builds(blocks, st.integers(1, 3), st.integers(0, 8), st.just(0)),
    st.builds(blocks, st.integers(2, 3), st.just(0), st.integers(1, 3)),
    st.builds(interleaved, st.integers(2, 3), st.sampled_from([1.0, 0.5, 0.02])),
    st.builds(
        lambda groups: Dealt(steps=tuple(map(float, range(len(groups)))), groups=tuple(groups)),
        st.lists(st.integers(0, 3), min_size=12, max_size=20),
    ),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("template")
    return pydicom.dcmread(write_series(folder, 1, replace(SPEC, n_slices=2)).paths[0])


def write_dealt(
    folder: Path, template: Dataset, dealt: Dealt, attribute: str, thickness: float, equal: bool
) -> None:
    """Writes a slice for each place; the pixels of two groups differ unless they are equal."""
    x, y, z = -140.0, -130.0, 20.0
    for k, (step, group) in enumerate(zip(dealt.steps, dealt.groups, strict=True)):
        dataset = deepcopy(template)
        dataset.SeriesInstanceUID = SERIES_UID
        dataset.SOPInstanceUID = UID(f"1.2.5.{k + 1}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = [x, y, round(z + step * STEP_MM, 4)]
        dataset.SliceThickness = f"{thickness * STEP_MM:g}"
        dataset.PixelSpacing = ["40", "40"]
        value = 0 if equal else group
        dataset.PixelData = np.full((8, 8), 1000 + value, "<u2").tobytes()
        if attribute != "nothing":
            setattr(dataset, attribute.partition(",")[0], ATTRIBUTES[attribute](group))
        dataset.save_as(folder / f"{k}.dcm")


def require_nothing_lost(folder: Path) -> Judgement:
    """Asserts that each slice is used, listed or named, and that a smaller volume says so."""
    study, policy = read_study(folder), GeometrySection()
    judgement = judge(study, RULES, policy)
    stacks = [
        stack for of_series in split_study(study, lambda _: True).values() for stack in of_series
    ]
    keys = [item.key for stack in stacks for item in stack.slices]
    keys += [item.slice.key for stack in stacks for item in stack.left_out]
    frames = [
        (instance.sop_instance_uid, f.number)
        for s in study.series
        for instance in s.instances
        for f in instance.frames
    ]
    assert sorted(keys) == sorted(frames)
    listed = {decision.stack.number for decision in judgement.decisions if decision.stack}
    assert listed == {stack.number for stack in stacks}
    assert all(decision.reason for decision in judgement.decisions)
    for selection in judgement.selections:
        volume = build_volume(selection, policy)
        found = [
            finding
            for finding in assess_suitability(volume, "total")
            if finding.code == "PARTIAL_SERIES"
        ]
        used = sorted(item.plane.position_mm[2] for item in volume.slices)
        there = wanted_positions(folder, volume)
        tolerance = max(0.1, 0.25 * volume.geometry.spacing_mm[2])
        lost = [place for place in there if min(abs(place - own) for own in used) > tolerance]
        assert min(np.diff(used)) > 0.01
        assert bool(found) == bool(lost), (used, there, judgement.decisions)
        for left_out in selection.stack.left_out:
            assert left_out.slice.instance.file_name
    return judgement


def wanted_positions(folder: Path, volume: Volume) -> list[float]:
    """Returns the positions of the images of a folder along the patient, read without our code.

    Images with other pixels count where they reach beyond the volume, and are more than one.
    """
    images = list(read_images(folder))
    ends = [item.plane.position_mm[2] for item in volume.slices]
    half_mm = volume.geometry.spacing_mm[2] / 2
    own = volume.slices[0].plane.pixel_spacing_mm[1]
    found = []
    for z, spacing in images:
        is_same = abs(spacing - own) * SPEC.columns < 0.1
        is_beyond = z < min(ends) - half_mm or z > max(ends) + half_mm
        if is_same or (is_beyond and sum(other == spacing for _, other in images) > 1):
            found.append(z)
    return found


def read_images(folder: Path) -> Iterator[tuple[float, float]]:
    """Yields the position of each image along the patient and the distance of its columns."""
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        if "PerFrameFunctionalGroupsSequence" not in dataset:
            yield float(dataset.ImagePositionPatient[2]), float(dataset.PixelSpacing[1])
            continue
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            yield float(position[2]), float(shared.PixelMeasuresSequence[0].PixelSpacing[1])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    dealt=DEALT,
    attribute=st.sampled_from(sorted(ATTRIBUTES)),
    thickness=st.sampled_from([1.0, 2.0, 3.0]),
    equal=st.booleans(),
)
def test_each_slice_of_a_series_is_used_or_reported(
    tmp_path_factory: pytest.TempPathFactory,
    template: Dataset,
    dealt: Dealt,
    attribute: str,
    thickness: float,
    equal: bool,
) -> None:
    folder = tmp_path_factory.mktemp("dealt")
    write_dealt(folder, template, dealt, attribute, thickness, equal)
    require_nothing_lost(folder)


def split_file(path: Path, folder: Path, parts: list[list[int]], *, concatenation: bool) -> None:
    """Splits an Enhanced file into several of one series, each with some of its frames."""
    whole = pydicom.dcmread(path)
    groups, size = list(whole.PerFrameFunctionalGroupsSequence), whole.Rows * whole.Columns * 2
    pixels, source = whole.PixelData, whole.SOPInstanceUID
    for number, frames in enumerate(parts, start=1):
        whole.PerFrameFunctionalGroupsSequence = pydicom.Sequence([groups[k] for k in frames])
        whole.NumberOfFrames = len(frames)
        whole.PixelData = b"".join(pixels[k * size : (k + 1) * size] for k in frames)
        whole.SOPInstanceUID = f"{SERIES_UID}.{number}"
        whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
        whole.InstanceNumber = 1 if concatenation else number
        if concatenation:
            whole.ConcatenationUID, whole.InConcatenationNumber = "1.2.3", number
            whole.SOPInstanceUIDOfConcatenationSource = source
        whole.save_as(folder / f"part-{number}.dcm")


@pytest.fixture(scope="module")
def enhanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_enhanced(tmp_path_factory.mktemp("enhanced"), 1, SPEC).paths[0]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    owners=st.one_of(
        st.lists(st.integers(0, 3), min_size=24, max_size=24),
        st.lists(st.integers(0, 3), min_size=24, max_size=24).map(sorted),
    ),
    overlap=st.integers(0, 3),
    concatenation=st.booleans(),
)
def test_each_frame_of_several_multi_frame_files_is_used_or_reported(
    tmp_path_factory: pytest.TempPathFactory,
    enhanced: Path,
    owners: list[int],
    overlap: int,
    concatenation: bool,
) -> None:
    folder = tmp_path_factory.mktemp("split")
    parts = [[k for k, owner in enumerate(owners) if owner == part] for part in range(4)]
    parts = [
        sorted({*part, *range(part[-1], min(part[-1] + overlap + 1, 24))}) for part in parts if part
    ]
    split_file(enhanced, folder, parts, concatenation=concatenation)
    judgement = require_nothing_lost(folder)
    if overlap == 0:
        (selection,) = judgement.selections
        assert len(selection.audit.slices) == 24


def test_a_damaged_slice_of_a_volume_with_filled_gaps_is_counted_in_a_finding(
    tmp_path: Path, template: Dataset
) -> None:
    write_dealt(tmp_path, template, blocks(2, 0, 0), "nothing", 1.0, equal=False)
    content = (tmp_path / "5.dcm").read_bytes()
    (tmp_path / "5.dcm").write_bytes(content[:-20])
    policy = GeometrySection(gaps=GapPolicy.FILL)
    (selection,) = judge(read_study(tmp_path), RULES, policy).selections
    found = assess_suitability(build_volume(selection, policy), "total")
    assert "The result uses 15 of 16 slices of the series: 1 of them can't be used." in [
        one.sentence for one in found
    ]

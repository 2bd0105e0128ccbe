"""Tests series that hold more than one volume, as scanners and archives make them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.phantom import write_enhanced
from tests.phantom.study import CORONAL, SeriesSpec, WrittenSeries, write_series
from totalmap.dicom.stacks import Stack, split_into_stacks
from totalmap.dicom.study import read_study

SPEC = SeriesSpec(rows=12, columns=12, n_slices=12, scanner=None)
UID = "1.2.3.4"


def write_part(folder: Path, spec: SeriesSpec = SPEC, first_number: int = 1, **values: Any) -> None:
    """Adds images to the one series of a folder; a value may be a function of the slice."""
    part = folder / f"part-{len(list(folder.glob('part-*')))}"
    written = write_series(part, 1, spec)
    for k, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = UID
        dataset.SOPInstanceUID = f"{UID}.{part.name[5:]}.{k + 1}"
        dataset.InstanceNumber = first_number + k
        for keyword, value in values.items():
            setattr(dataset, keyword, value(k) if callable(value) else value)
        dataset.save_as(path)


def stacks_of(folder: Path) -> tuple[Stack, ...]:
    (series,) = read_study(folder).series
    return split_into_stacks(series)


def described(folder: Path) -> list[tuple[str, int]]:
    return [(stack.split_by, len(stack.slices)) for stack in stacks_of(folder)]


def test_a_series_of_one_volume_is_one_stack(phantom_series: WrittenSeries) -> None:
    (stack,) = stacks_of(phantom_series.folder)
    assert (stack.number, stack.of, stack.split_by) == (1, 1, "")
    assert len(stack.slices) == 40


def test_a_series_without_images_has_no_stack(tmp_path: Path) -> None:
    write_part(tmp_path)
    for path in tmp_path.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        del dataset.Rows
        dataset.save_as(path)
    assert stacks_of(tmp_path) == ()


@pytest.mark.parametrize(
    ("keyword", "first", "second", "words"),
    [
        ("AcquisitionNumber", 1, 2, ["acquisition 1", "acquisition 2"]),
        ("TemporalPositionIdentifier", 1, 2, ["time point 1", "time point 2"]),
        ("EchoTime", "2.3", "4.6", ["echo time 2.3", "echo time 4.6"]),
        ("DiffusionBValue", 0.0, 800.0, ["b-value 0", "b-value 800"]),
        ("KVP", "80", "140", ["tube voltage 140", "tube voltage 80"]),
        ("ConvolutionKernel", "SOFT", "LUNG", ["kernel LUNG", "kernel SOFT"]),
        ("TriggerTime", "100", "500", ["trigger time 100", "trigger time 500"]),
        (
            "NominalPercentageOfCardiacPhase",
            40.0,
            75.0,
            ["cardiac phase 40", "cardiac phase 75"],
        ),
        (
            "AcquisitionTime",
            "101500",
            "101700",
            ["acquisition time 20200304101500", "acquisition time 20200304101700"],
        ),
        (
            "ImageType",
            ["ORIGINAL", "PRIMARY", "M"],
            ["ORIGINAL", "PRIMARY", "P"],
            ["image type ORIGINAL/PRIMARY/M", "image type ORIGINAL/PRIMARY/P"],
        ),
    ],
)
def test_two_volumes_at_the_same_positions_are_split_by_the_attribute_that_differs(
    tmp_path: Path, keyword: str, first: Any, second: Any, words: list[str]
) -> None:
    write_part(tmp_path, **{keyword: first})
    write_part(tmp_path, first_number=101, **{keyword: second})
    assert described(tmp_path) == [(word, 12) for word in words]


def test_two_phases_shifted_by_half_a_step_are_two_stacks(tmp_path: Path) -> None:
    """Two volumes of 6 mm spacing, shifted by half a step, would look regular together."""
    spec = replace(SPEC, slice_spacing_mm=6.0, slice_thickness_mm=6.0)
    x, y, z = spec.centre_lps_mm
    write_part(tmp_path, spec, AcquisitionNumber=1)
    write_part(tmp_path, replace(spec, centre_lps_mm=(x, y, z + 3.0)), AcquisitionNumber=2)
    assert described(tmp_path) == [("acquisition 1", 12), ("acquisition 2", 12)]


def test_consecutive_bed_positions_are_one_volume(tmp_path: Path) -> None:
    x, y, z = SPEC.centre_lps_mm
    write_part(tmp_path, AcquisitionNumber=1)
    write_part(tmp_path, replace(SPEC, centre_lps_mm=(x, y, z + 36.0)), AcquisitionNumber=2)
    write_part(tmp_path, replace(SPEC, centre_lps_mm=(x, y, z + 72.0)), AcquisitionNumber=3)
    assert described(tmp_path) == [("", 36)]


def test_rotations_with_their_own_acquisition_numbers_are_one_volume(tmp_path: Path) -> None:
    write_part(
        tmp_path, AcquisitionNumber=lambda k: k // 4, AcquisitionTime=lambda k: str(101500 + k)
    )
    assert described(tmp_path) == [("", 12)]


def test_two_phases_of_single_rotations_are_split_by_instance_number(tmp_path: Path) -> None:
    write_part(tmp_path, AcquisitionNumber=lambda k: k // 2)
    write_part(tmp_path, first_number=13, AcquisitionNumber=lambda k: 6 + k // 2)
    assert described(tmp_path) == [("repetition 1", 12), ("repetition 2", 12)]


def test_a_series_is_split_by_time_point_and_by_echo_time(tmp_path: Path) -> None:
    for time_point in (1, 2, 3):
        for echo in ("2.3", "4.6"):
            write_part(tmp_path, TemporalPositionIdentifier=time_point, EchoTime=echo)
    assert described(tmp_path) == [
        (f"time point {time_point}, echo time {echo}", 12)
        for time_point in (1, 2, 3)
        for echo in ("2.3", "4.6")
    ]


def test_a_repeated_volume_is_split_by_instance_number(tmp_path: Path) -> None:
    write_part(tmp_path)
    write_part(tmp_path, replace(SPEC, n_slices=10), first_number=13)
    assert sorted(described(tmp_path)) == [("repetition 1", 12), ("repetition 2", 10)]


def test_repetitions_that_alternate_at_each_position_are_split_by_instance_number(
    tmp_path: Path,
) -> None:
    write_part(tmp_path, InstanceNumber=lambda k: 2 * k + 1)
    write_part(tmp_path, InstanceNumber=lambda k: 2 * k + 2)
    first, second = stacks_of(tmp_path)
    assert (first.split_by, second.split_by) == ("repetition 1", "repetition 2")
    assert {item.frame.instance_number % 2 for item in first.slices} == {1}
    assert {item.frame.instance_number % 2 for item in second.slices} == {0}


@pytest.mark.parametrize("number", [0, 1])
def test_repetitions_of_slices_without_any_difference_stay_one_stack(
    tmp_path: Path, number: int
) -> None:
    write_part(tmp_path, InstanceNumber=number)
    write_part(tmp_path, InstanceNumber=number)
    assert described(tmp_path) == [("", 24)]


def test_alternating_phases_of_a_series_of_different_length_stay_one_stack(tmp_path: Path) -> None:
    """Images of one position follow each other, and some positions have only one image."""
    write_part(tmp_path, InstanceNumber=lambda k: 2 * k + 1)
    write_part(tmp_path, replace(SPEC, n_slices=8), InstanceNumber=lambda k: 2 * k + 6)
    assert described(tmp_path) == [("", 20)]


def test_slices_of_another_orientation_matrix_or_frame_of_reference_are_separate_stacks(
    tmp_path: Path,
) -> None:
    write_part(tmp_path)
    write_part(tmp_path, replace(SPEC, orientation=CORONAL, n_slices=9))
    write_part(tmp_path, replace(SPEC, rows=14, n_slices=8))
    write_part(tmp_path, replace(SPEC, pixel_spacing_mm=(3.0, 3.0), n_slices=7))
    write_part(tmp_path, replace(SPEC, n_slices=6), FrameOfReferenceUID="1.2")
    words = [words for words, _ in described(tmp_path)]
    assert [count for _, count in described(tmp_path)] == [12, 9, 8, 7, 6]
    assert "orientation axial" in words[0]
    assert words[1] == "orientation coronal"
    assert "pixels 14 x 12" in words[2]
    assert "pixel spacing 3 x 3" in words[3]
    assert "frame of reference 1" in words[4]


def test_slices_without_a_position_count_as_unusable_in_the_largest_stack(tmp_path: Path) -> None:
    write_part(tmp_path, ImagePositionPatient=lambda k: [] if k == 5 else [0, 0, 3 * k])
    write_part(tmp_path, replace(SPEC, rows=14, n_slices=4))
    largest, other = stacks_of(tmp_path)
    assert len(largest.slices) == 12
    assert len(largest.usable) == 11
    assert len(other.usable) == len(other.slices) == 4


def test_the_phases_of_a_multi_frame_file_are_split_by_time_point(tmp_path: Path) -> None:
    write_enhanced(tmp_path, 1, SPEC, phases=2)
    first, second = stacks_of(tmp_path)
    assert (first.split_by, second.split_by) == ("time point 1", "time point 2")
    assert {item.frame.number for item in first.slices} == set(range(1, 13))
    assert {item.frame.number for item in second.slices} == set(range(13, 25))


def test_two_multi_frame_files_at_the_same_positions_are_two_stacks(tmp_path: Path) -> None:
    for number in (1, 2):
        written = write_enhanced(tmp_path / str(number), 1, SPEC)
        dataset = pydicom.dcmread(written.paths[0])
        dataset.SeriesInstanceUID = UID
        dataset.SOPInstanceUID = f"{UID}.{number}"
        dataset.save_as(written.paths[0])
    assert described(tmp_path) == [("file 1", 12), ("file 2", 12)]


PHASES: dict[str, Callable[[int], Any]] = {
    "AcquisitionNumber": lambda phase: phase + 1,
    "TemporalPositionIdentifier": lambda phase: phase + 1,
    "AcquisitionTime": lambda phase: f"1015{phase:02}",
    "EchoTime": lambda phase: str(1.5 * phase + 1),
}


@settings(max_examples=25)
@given(
    phases=st.integers(1, 4),
    keyword=st.sampled_from(sorted(PHASES)),
    order=st.randoms(use_true_random=False),
)
def test_every_slice_is_in_exactly_one_stack_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, phases: int, keyword: str, order: Any
) -> None:
    folder = tmp_path_factory.mktemp("phases")
    for phase in range(phases):
        write_part(folder, replace(SPEC, n_slices=5), **{keyword: PHASES[keyword](phase)})
    (series,) = read_study(folder).series
    shuffled = tuple(order.sample(series.instances, len(series.instances)))
    expected, found = (
        split_into_stacks(replace(series, instances=i)) for i in (series.instances, shuffled)
    )
    assert len(found) == phases
    assert [{item.key for item in s.slices} for s in found] == [
        {item.key for item in s.slices} for s in expected
    ]
    assert sum(len(stack.slices) for stack in found) == 5 * phases
    for stack in found:
        assert len({item.plane.position_mm for item in stack.slices}) == 5

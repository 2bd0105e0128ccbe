"""Tests that the comparison of a SEG with the inference grid notices every misplaced mask."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.chain import FILL, LIVER
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import StainFinder, volume_of
from totalmap.engine.segment import segment
from totalmap.errors import OutputError
from totalmap.run_log import SilentObserver
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.read_back import compare_seg

SPEC = SeriesSpec(
    rows=60,
    columns=56,
    n_slices=50,
    pixel_spacing_mm=(6.0, 6.0),
    slice_spacing_mm=5.0,
    stained=(LIVER,),
    scanner=None,
)
TILTED = replace(
    SPEC, tilt_degrees=18.0, n_slices=48, slice_steps=tuple(float(k) for k in range(48))
)


@pytest.fixture(scope="module", params=[SPEC, TILTED], ids=["straight", "tilted"])
def segmentation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Segmentation:
    written = write_series(tmp_path_factory.mktemp("study"), 3, request.param)
    return segment(
        volume_of(written.folder, FILL), (StainFinder(LIVER),), SilentObserver().progress
    )


@pytest.fixture
def seg(segmentation: Segmentation, tmp_path: Path) -> Dataset:
    with open_release(tmp_path) as release:
        (result,) = write_seg(segmentation, Settings(), release)
        release.publish({})
    return pydicom.dcmread(tmp_path / result.path)


def compare(seg: Dataset, segmentation: Segmentation) -> None:
    compare_seg(seg, segmentation, tuple(found.structure for found in segmentation.found()))


def shifted(axis: int, mm: float) -> Callable[[Dataset], None]:
    def spoil(seg: Dataset) -> None:
        for group in seg.PerFrameFunctionalGroupsSequence:
            position = group.PlanePositionSequence[0].ImagePositionPatient
            position[axis] = round(float(position[axis]) + mm, 4)

    return spoil


def mirrored(seg: Dataset) -> None:
    """The rows run to the other side, as in TotalSegmentator's own SEG of a prone patient."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient[0] = -1.0
    shifted(0, (seg.Columns - 1) * 6.0)(seg)


def transposed(seg: Dataset) -> None:
    shared = seg.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 1, 0, 0]


def spacing_swapped(seg: Dataset) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [6.0, 5.0]


def two_frames_exchanged(seg: Dataset) -> None:
    first, second = seg.PerFrameFunctionalGroupsSequence[3], seg.PerFrameFunctionalGroupsSequence[9]
    first.PlanePositionSequence, second.PlanePositionSequence = (
        second.PlanePositionSequence,
        first.PlanePositionSequence,
    )


def upside_down(seg: Dataset) -> None:
    groups = list(seg.PerFrameFunctionalGroupsSequence)
    positions = [group.PlanePositionSequence for group in groups]
    for group, position in zip(groups, positions[::-1], strict=True):
        group.PlanePositionSequence = position


def test_an_unchanged_seg_passes_the_comparison_of_positions(
    seg: Dataset, segmentation: Segmentation
) -> None:
    compare(seg, segmentation)


@pytest.mark.parametrize(
    "spoil",
    [
        mirrored,
        transposed,
        spacing_swapped,
        two_frames_exchanged,
        upside_down,
        shifted(0, 3.0),
        shifted(1, -3.0),
        shifted(2, 5.0),
        shifted(2, 500.0),
    ],
    ids=[
        "mirrored",
        "transposed",
        "spacing swapped",
        "two frames exchanged",
        "upside down",
        "a voxel to the left",
        "a voxel to the front",
        "a slice up",
        "out of the body",
    ],
)
def test_a_misplaced_seg_is_refused(
    seg: Dataset, segmentation: Segmentation, spoil: Callable[[Dataset], None]
) -> None:
    spoil(seg)
    with pytest.raises(OutputError, match="lie where the network put another label"):
        compare(seg, segmentation)


def test_read_back_of_a_seg_notices_labels_that_the_engine_mirrored(
    seg: Dataset, segmentation: Segmentation
) -> None:
    inference = segmentation.inference
    wrong = replace(inference, labels=inference.labels[::-1])
    with pytest.raises(OutputError, match="of label 5 in frame"):
        compare(seg, replace(segmentation, inference=wrong))

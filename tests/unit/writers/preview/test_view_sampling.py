from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.phantom.study import CORONAL as CORONAL_SLICES
from tests.phantom.study import SAGITTAL as SAGITTAL_SLICES
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import segmentation_with, volume_of
from totalmap.segmentation import Segmentation
from totalmap.settings import GapPolicy, GeometrySection
from totalmap.writers.preview.view_sampling import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    VIEWS,
    Region,
    View,
    evenly_spaced,
    sampled_view,
    slice_through,
    view_positions,
)

LIVER, SPLEEN, LEFT_KIDNEY = 5, 1, 3
FILL = GeometrySection(gaps=GapPolicy.FILL, max_gap_mm=30.0)

STACK = SeriesSpec(
    rows=56,
    columns=60,
    n_slices=44,
    pixel_spacing_mm=(7.0, 6.0),
    slice_spacing_mm=5.0,
    scanner=None,
)
SOURCES = {
    "axial": STACK,
    "upside down": replace(STACK, orientation=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
    "prone": replace(STACK, orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
    "oblique": replace(STACK, orientation=(1.0, 0.0, 0.0, 0.0, 0.8, -0.6)),
    "coronal": replace(STACK, orientation=CORONAL_SLICES),
    "sagittal": replace(STACK, orientation=SAGITTAL_SLICES),
    "tilted": replace(STACK, tilt_degrees=20.0),
    "uneven": replace(STACK, slice_steps=tuple(float(k + (k > 20) * 4) for k in range(44))),
}
# A radiologist's views: how a place in LPS becomes a column and a row, in mm from the upper left.
COLUMN_AND_ROW = {
    CORONAL: lambda mm, region: (mm[:, 0] - region.low_mm[0], region.high_mm[2] - mm[:, 2]),
    SAGITTAL: lambda mm, region: (mm[:, 1] - region.low_mm[1], region.high_mm[2] - mm[:, 2]),
    AXIAL: lambda mm, region: (mm[:, 0] - region.low_mm[0], mm[:, 1] - region.low_mm[1]),
}
PIXELS_PER_MM = 0.8


def true_places(written: WrittenSeries, label: int) -> np.ndarray:
    """Returns the positions of the voxels of a label according to the phantom, (n, 3) mm in LPS."""
    k, j, i = np.nonzero(written.labels == label)
    index = np.stack([i, j, np.asarray(written.spec.steps)[k], np.ones(len(k))])
    places: np.ndarray = (written.affine_lps @ index)[:3].T
    return places


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_preview_views_have_a_radiologists_orientation_for_any_orientation_of_the_slices(
    tmp_path: Path, source: SeriesSpec
) -> None:
    """Right on the left, head up, millimetres equal along both sides."""
    written = write_series(tmp_path, 1, source)
    segmentation = segmentation_with(volume_of(tmp_path, FILL), written.labels)
    region = Region(low_mm=np.array([-180.0, -140, 20]), high_mm=np.array([190.0, 150, 210]))
    for view in VIEWS:
        for label in (LIVER, SPLEEN):
            places = true_places(written, label)
            position_mm = float(np.median(places[:, view.through]))
            labels = sampled_view(segmentation, view, position_mm, region, PIXELS_PER_MM).labels
            assert labels.shape == tuple(
                round(region.size_mm[axis] * PIXELS_PER_MM) for axis in (view.down, view.across)
            )
            is_near = np.abs(places[:, view.through] - position_mm) < 6.0
            for axis in (view.across, view.down):
                is_near &= places[:, axis] > region.low_mm[axis]
                is_near &= places[:, axis] < region.high_mm[axis]
            expected = np.array(COLUMN_AND_ROW[view](places[is_near], region))
            rows, columns = np.nonzero(labels == label)
            shown = np.array([columns, rows]) / PIXELS_PER_MM
            for edge in (np.mean, lambda mm, axis: np.percentile(mm, 2, axis=axis)):
                np.testing.assert_allclose(edge(shown, axis=1), edge(expected, axis=1), atol=7.5)


def test_an_axial_preview_view_of_an_axial_slice_has_its_values(tmp_path: Path) -> None:
    """At one pixel for each voxel, an axial view at a slice of an axial CT equals that slice."""
    spec = SeriesSpec(rows=40, columns=44, n_slices=12, pixel_spacing_mm=(10.0, 10.0))
    segmentation = segmentation_with(volume_of(write_series(tmp_path, 1, spec).folder), none(spec))
    first = spec.affine_lps[:3, 3]
    last = spec.affine_lps @ [43, 39, 11, 1]
    half_mm = np.array([5, 5, 1.5])
    region = Region(low_mm=first - half_mm, high_mm=last[:3] + half_mm)
    shown = sampled_view(segmentation, AXIAL, float(first[2]) + 7 * 3.0, region, 0.1)
    np.testing.assert_allclose(shown.values, segmentation.volume.voxels[7], atol=0.01)
    beyond = sampled_view(segmentation, AXIAL, float(first[2]) - 3.0, region, 0.1)
    assert np.isneginf(beyond.values).all()


def none(spec: SeriesSpec) -> np.ndarray:
    return np.zeros(spec.shape_kji, dtype=np.uint8)


def with_box(segmentation: Segmentation, *box: slice) -> Segmentation:
    labels = np.zeros_like(segmentation.labels)
    labels[box] = SPLEEN
    return replace(segmentation, labels=labels)


def test_preview_views_go_through_the_structures(true_segmentation: Segmentation) -> None:
    boxed = with_box(true_segmentation, slice(31, 33), slice(20, 22), slice(60, 63))
    chosen = view_positions(boxed)
    for view in VIEWS:
        shown = sampled_view(boxed, view, chosen.positions_mm[view.through], chosen.region, 1.0)
        assert (shown.labels == SPLEEN).any()
    positions = true_segmentation.volume.geometry.positions_lps(np.array([[31, 0, 0], [32, 0, 0]]))
    np.testing.assert_allclose(chosen.heights_mm, positions[:, 2])


def test_a_preview_view_of_a_small_structure_shows_its_surroundings(
    true_segmentation: Segmentation,
) -> None:
    boxed = with_box(true_segmentation, slice(19, 20), slice(50, 51), slice(50, 51))
    np.testing.assert_allclose(view_positions(boxed).region.size_mm, 120.0, atol=1.6)


def test_a_preview_view_never_reaches_beyond_the_volume(true_segmentation: Segmentation) -> None:
    region = view_positions(true_segmentation).region
    assert region.size_mm[2] == pytest.approx(40 * 3.0)
    assert (region.size_mm[:2] <= 96 * 4.375 + 0.01).all()


@pytest.mark.parametrize(
    ("source", "view"), [("axial", AXIAL), ("upside down", AXIAL), ("coronal", CORONAL)]
)
def test_slice_through_a_preview_view_is_the_nearest_one(
    source: str, view: View, tmp_path: Path
) -> None:
    written = write_series(tmp_path, 1, SOURCES[source])
    volume = volume_of(written.folder)
    whole = view_positions(segmentation_with(volume, written.labels)).region
    positions = volume.geometry.positions_lps(np.array([[7, 0, 0], [30, 0, 0]]))
    for k, position_mm in zip((7, 30), positions[:, view.through], strict=True):
        near = float(position_mm) + 0.4 * volume.geometry.spacing_mm[2]
        assert slice_through(volume.geometry, view, near, whole) == k
    assert slice_through(volume.geometry, SAGITTAL, 0.0, whole) is None


def test_positions_of_preview_views_are_spread_evenly_from_the_first_to_the_last() -> None:
    places = np.arange(100.0)
    assert evenly_spaced(places, 4).tolist() == [0, 33, 66, 99]
    assert evenly_spaced(places[:3], 20).tolist() == [0, 1, 2]


def test_preview_views_name_the_sides_of_the_patient_at_their_edges() -> None:
    left_to_right = {view.orientation.capitalize(): view.edges[:2] for view in VIEWS}
    assert left_to_right == {"Coronal": ("R", "L"), "Sagittal": ("A", "P"), "Axial": ("R", "L")}
    top_to_bottom: dict[View, tuple[str, ...]] = {view: view.edges[2:] for view in VIEWS}
    assert top_to_bottom == {CORONAL: ("H", "F"), SAGITTAL: ("H", "F"), AXIAL: ("A", "P")}

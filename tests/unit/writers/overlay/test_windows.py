from dataclasses import replace

import numpy as np
import pytest

from tests.readers import NUMBER_OF
from totalmap.segmentation import Segmentation
from totalmap.writers.overlay.windows import (
    BONE,
    BRAIN,
    LUNG,
    SHORTEST_RUN_MM,
    SOFT_TISSUE,
    Window,
    slice_windows,
)

STEP_MM = 3.0  # of the phantom's slices
SLICES = 40


def with_structures(
    segmentation: Segmentation, *parts: tuple[slice, dict[str, int]]
) -> Segmentation:
    """Returns labels with so many rows of each structure in the slices of each part."""
    labels = np.zeros_like(segmentation.labels)
    for slices, rows_of in parts:
        start = 0
        for name, rows in rows_of.items():
            labels[slices, start : start + rows] = NUMBER_OF[name]
            start += rows
    return replace(segmentation, labels=labels)


def windows_of(segmentation: Segmentation, *parts: tuple[slice, dict[str, int]]) -> list[Window]:
    return list(slice_windows(with_structures(segmentation, *parts)))


@pytest.mark.parametrize(
    ("rows_of", "window"),
    [
        ({"lung_upper_lobe_left": 10, "lung_lower_lobe_right": 10, "heart": 40}, LUNG),
        ({"lung_upper_lobe_left": 10, "liver": 40}, SOFT_TISSUE),
        ({"brain": 30, "skull": 30}, BRAIN),
        ({"brain": 10, "skull": 60}, SOFT_TISSUE),
        ({"femur_left": 30, "femur_right": 30, "gluteus_maximus_left": 5}, BONE),
        ({"vertebrae_C5": 30, "thyroid_gland": 10}, SOFT_TISSUE),
        ({"spinal_cord": 30}, SOFT_TISSUE),
    ],
    ids=lambda value: value.name if isinstance(value, Window) else "+".join(value),
)
def test_the_overlay_writer_chooses_the_grey_window_of_a_slice_by_its_structures(
    true_segmentation: Segmentation, rows_of: dict[str, int], window: Window
) -> None:
    assert set(windows_of(true_segmentation, (slice(None), rows_of))) == {window}


def test_an_overlay_slice_without_structures_has_the_window_of_the_nearest_one_with_some(
    true_segmentation: Segmentation,
) -> None:
    windows = windows_of(
        true_segmentation,
        (slice(0, 10), {"liver": 30}),
        (slice(20, SLICES), {"lung_upper_lobe_left": 30}),
    )
    assert windows == [SOFT_TISSUE] * 15 + [LUNG] * 25


def test_an_overlay_window_of_less_than_20_mm_is_that_of_its_longer_neighbour(
    true_segmentation: Segmentation,
) -> None:
    short = int(SHORTEST_RUN_MM / STEP_MM)
    windows = windows_of(
        true_segmentation,
        (slice(0, 8), {"liver": 30}),
        (slice(8, 8 + short), {"femur_left": 30}),
        (slice(8 + short, SLICES), {"lung_upper_lobe_left": 30}),
    )
    assert windows == [SOFT_TISSUE] * 8 + [LUNG] * (SLICES - 8)


def test_an_overlay_window_of_more_than_20_mm_is_kept(true_segmentation: Segmentation) -> None:
    windows = windows_of(
        true_segmentation,
        (slice(0, 7), {"femur_left": 30}),
        (slice(7, SLICES), {"liver": 30}),
    )
    assert windows == [BONE] * 7 + [SOFT_TISSUE] * (SLICES - 7)


def test_all_overlay_slices_have_the_soft_tissue_window_if_nothing_was_found(
    true_segmentation: Segmentation,
) -> None:
    assert set(windows_of(true_segmentation)) == {SOFT_TISSUE}


def test_an_overlay_of_an_mr_has_one_window_from_its_values(
    true_segmentation: Segmentation,
) -> None:
    volume = replace(true_segmentation.volume, modality="MR")
    (window,) = set(slice_windows(replace(true_segmentation, volume=volume)))
    assert window.name == ""
    assert volume.voxels.min() <= window.low < window.high <= volume.voxels.max()

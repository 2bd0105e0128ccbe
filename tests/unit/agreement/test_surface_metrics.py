"""NSD and HD95 agree with surface-distance, and with MONAI where the definitions agree.

MONAI's Hausdorff distance goes from voxel to voxel of the borders and counts every border voxel
equally. surface-distance goes from corner to corner of voxels and counts each by the area of the
surface there. Both agree where the 95th percentile does not depend on these weights: for boxes
that are shifted against each other. For other masks, MONAI's distances between corners agree once
they are weighted by area, and MONAI's surface Dice with `use_subvoxels` has the same definition.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from surface_distance import metrics

from tests.unit.agreement.random_masks import SHAPE, Mask, grid, masks_of, random_pair
from totalmap.agreement.surface_metrics import (
    SurfaceAgreement,
    compare_surfaces,
    library_version,
    step_vectors_mm,
    surface_agreement,
    surface_distances,
    surfel_areas,
)
from totalmap.dicom.geometry import Geometry

PAIRS = 50
TOLERANCE_MM = 2.0
SAME_MM = 1e-3


@pytest.fixture(autouse=True)
def _without_warnings_of_the_package() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scipy.ndimage.filters
        yield


def own_agreement(a: Mask, b: Mask, spacing_mm: tuple[float, float, float]) -> SurfaceAgreement:
    steps = np.diag(spacing_mm)
    return surface_agreement(a, b, steps, surfel_areas(steps), TOLERANCE_MM)


def batch(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


def shifted_boxes(seed: int) -> tuple[Mask, Mask, tuple[float, float, float]]:
    """Returns a box, the same box shifted along one axis, and a spacing in mm."""
    generator = np.random.default_rng(seed)
    size = generator.integers(5, 9, 3)
    begin = generator.integers(2, 6, 3)
    shift = np.zeros(3, dtype=int)
    shift[generator.integers(3)] = generator.integers(1, 3)
    masks = []
    for first in (begin, begin + shift):
        mask = np.zeros(SHAPE, dtype=np.bool_)
        mask[tuple(slice(low, high) for low, high in zip(first, first + size, strict=True))] = True
        masks.append(mask)
    return masks[0], masks[1], (1.5, 1.0, 0.8)


def test_distances_and_areas_are_those_of_surface_distance_to_the_last_bit() -> None:
    for seed in range(PAIRS):
        a, b, spacing_mm = random_pair(seed)
        steps = np.diag(spacing_mm)
        theirs = metrics.compute_surface_distances(a, b, spacing_mm)
        ours = surface_distances(a, b, steps, surfel_areas(steps))
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_surface_dice_agrees_with_monai_on_50_random_pairs() -> None:
    from monai.metrics import compute_surface_dice

    for seed in range(PAIRS):
        a, b, spacing_mm = random_pair(seed)
        (theirs,) = compute_surface_dice(
            batch(b),
            batch(a),
            [TOLERANCE_MM],
            include_background=True,
            spacing=spacing_mm,
            use_subvoxels=True,
        )
        assert own_agreement(a, b, spacing_mm).nsd == pytest.approx(float(theirs), abs=SAME_MM)


def test_hd95_agrees_with_monai_on_50_random_pairs_of_shifted_boxes() -> None:
    from monai.metrics import compute_hausdorff_distance

    for seed in range(PAIRS):
        a, b, spacing_mm = shifted_boxes(seed)
        (theirs,) = compute_hausdorff_distance(
            batch(b), batch(a), include_background=True, percentile=95, spacing=spacing_mm
        )
        assert own_agreement(a, b, spacing_mm).hd95_mm == pytest.approx(float(theirs), abs=SAME_MM)


def test_hd95_is_monais_distance_between_corners_weighted_by_area_on_50_random_pairs() -> None:
    from monai.metrics.utils import get_edge_surface_distance

    for seed in range(PAIRS):
        a, b, spacing_mm = random_pair(seed)
        edges, distances, areas = get_edge_surface_distance(
            torch.from_numpy(b),
            torch.from_numpy(a),
            spacing=spacing_mm,
            use_subvoxels=True,
            symmetric=True,
        )
        percentiles = [
            weighted_percentile(apart.numpy(), area[edge].numpy())
            for edge, apart, area in zip(edges, distances, areas, strict=True)
        ]
        ours = own_agreement(a, b, spacing_mm).hd95_mm
        assert ours == pytest.approx(max(percentiles), abs=SAME_MM)


def weighted_percentile(distances: np.ndarray, areas: np.ndarray) -> float:
    order = distances.argsort()
    share = np.cumsum(areas[order]) / areas.sum()
    return float(distances[order][np.searchsorted(share, 0.95)])


def test_hd95_differs_from_monais_where_border_voxels_have_different_areas() -> None:
    """MONAI counts a border voxel once, however large the surface at it is."""
    from monai.metrics import compute_hausdorff_distance

    differing = 0
    for seed in range(10):
        a, b, spacing_mm = random_pair(seed)
        (theirs,) = compute_hausdorff_distance(
            batch(b), batch(a), include_background=True, percentile=95, spacing=spacing_mm
        )
        difference_mm = abs((own_agreement(a, b, spacing_mm).hd95_mm or 0.0) - float(theirs))
        assert difference_mm <= 2 * max(spacing_mm)
        differing += difference_mm > SAME_MM
    assert differing


def test_equal_masks_have_nsd_1_and_hd95_0() -> None:
    a, _, spacing_mm = random_pair(0)
    assert own_agreement(a, a, spacing_mm) == SurfaceAgreement(nsd=1.0, hd95_mm=0.0)


def test_a_tilted_stack_has_the_distances_and_areas_of_its_sheared_voxels() -> None:
    """A shear along the rows leaves faces across k alone and stretches those across j."""
    affine = grid((4, 4, 4), (3.0, 1.0, 1.0)).affine_lps.copy()
    affine[1, 2] = 3.0
    steps = step_vectors_mm(Geometry.regular(affine, (4, 4, 4)))
    assert steps.tolist() == [[0.0, 3.0, 3.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    box = np.zeros((4, 4, 4), dtype=np.bool_)
    box[1:3, 1:3, 1:3] = True
    moved = np.roll(box, 1, axis=0)
    distances = surface_distances(box, moved, steps, surfel_areas(steps))
    assert distances["distances_gt_to_pred"].max() == pytest.approx(np.sqrt(18.0))
    upright = surfel_areas(np.diag([3.0, 1.0, 1.0]))
    faces = [0b11110000, 0b11001100, 0b10101010]  # voxels on one side along k, j and i
    stretched = surfel_areas(steps)[faces] / upright[faces]
    assert stretched == pytest.approx([1.0, np.sqrt(2), 1.0])


def test_surfaces_of_structures_in_a_volume_are_those_of_their_own_masks() -> None:
    a, b, spacing_mm = random_pair(3)
    labels_a, labels_b = np.zeros((2, *SHAPE), dtype=np.uint8)
    labels_a[a], labels_b[b] = 1, 5
    labels_a[~a & ~b], labels_b[~a & ~b] = 2, 0
    geometry = grid(SHAPE, spacing_mm)
    found = compare_surfaces(
        masks_of(labels_a, {1: "liver", 2: "spleen"}, geometry),
        masks_of(labels_b, {5: "liver", 6: "spleen"}, geometry),
        {"liver": (True, True), "spleen": (True, False), "heart": (False, False)},
        TOLERANCE_MM,
    )
    assert found["liver"] == own_agreement(a, b, spacing_mm)
    assert found["spleen"] == SurfaceAgreement(nsd=0.0, hd95_mm=None)
    assert found["heart"] == SurfaceAgreement(nsd=None, hd95_mm=None)


def test_the_package_that_defines_the_metrics_is_named_with_its_version() -> None:
    assert library_version().startswith("surface-distance ")

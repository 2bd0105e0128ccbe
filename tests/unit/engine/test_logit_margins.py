import numpy as np
import pytest
import torch

from totalmap.engine.logit_margins import MarginSums
from totalmap.engine.sum_confidence_margins import TaskMargins
from totalmap.structures import Structure

SHAPE = (9, 5, 6)
INSIDE = slice(2, 7), slice(0, 4), slice(1, 6)
LIVER, SPLEEN, AORTA = (
    Structure(label=n, name=name) for n, name in ((5, "a"), (1, "b"), (52, "c"))
)


CHOSEN = np.random.default_rng(0).integers(0, 3, SHAPE, dtype=np.uint8)
MARGINS = np.random.default_rng(1).random(SHAPE, dtype=np.float32)


@pytest.fixture
def sums() -> MarginSums:
    """Of all planes, one by one and in runs."""
    result = MarginSums(INSIDE)
    for planes in (slice(0, 1), slice(1, 3), slice(3, 8), slice(8, 9)):
        result.add(planes, torch.from_numpy(CHOSEN[planes]), torch.from_numpy(MARGINS[planes]))
    return result


def test_confidence_margins_of_all_voxels_of_a_label_are_summed(sums: MarginSums) -> None:
    for label in range(3):
        chosen = CHOSEN[INSIDE] == label
        assert sums.voxels[label] == chosen.sum()
        assert sums.totals[label] == pytest.approx(MARGINS[INSIDE][chosen].sum(dtype=float))


def test_confidence_margins_do_not_count_voxels_of_the_padding(sums: MarginSums) -> None:
    assert sums.voxels.sum() == 5 * 4 * 5


def test_confidence_margins_by_network_label_are_translated_to_labels_of_the_task(
    sums: MarginSums,
) -> None:
    margins = TaskMargins()
    margins.add(sums, (0, 5, 1))
    liver, spleen = margins.of((SPLEEN, LIVER, AORTA))[::-1]
    assert (liver.structure, spleen.structure) == (LIVER, SPLEEN)
    assert (liver.voxels, spleen.voxels) == (sums.voxels[1], sums.voxels[2])
    assert liver.mean == pytest.approx(sums.totals[1] / sums.voxels[1])


def test_confidence_margins_of_a_structure_that_two_networks_know_are_added(
    sums: MarginSums,
) -> None:
    margins = TaskMargins()
    margins.add(sums, (0, 5, 0))
    margins.add(sums, (0, 0, 5))
    (liver,) = margins.of((LIVER, SPLEEN))
    assert liver.voxels == sums.voxels[1] + sums.voxels[2]
    assert liver.mean == pytest.approx((sums.totals[1] + sums.totals[2]) / liver.voxels)

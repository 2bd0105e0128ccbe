import numpy as np
import pytest

from totalmap.engine.margins import MarginSums, TaskMargins
from totalmap.structures import Structure

SHAPE = (9, 5, 6)
INSIDE = slice(2, 7), slice(0, 4), slice(1, 6)
LIVER, SPLEEN, AORTA = (
    Structure(label=n, name=name) for n, name in ((5, "a"), (1, "b"), (52, "c"))
)


@pytest.fixture
def sums() -> MarginSums:
    """Of labels 0..2 and whatever margins, plane by plane and in a run."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, SHAPE, dtype=np.uint8)
    margins = rng.random(SHAPE, dtype=np.float32)
    result = MarginSums(INSIDE)
    for planes in (slice(0, 1), slice(1, 3), slice(3, 8), slice(8, 9)):
        result.add(planes, labels[planes], margins[planes])
    for label in range(3):
        chosen = labels[INSIDE] == label
        assert result.voxels[label] == chosen.sum()
        assert result.totals[label] == pytest.approx(margins[INSIDE][chosen].sum(dtype=float))
    return result


def test_padding_does_not_count(sums: MarginSums) -> None:
    assert sums.voxels.sum() == 5 * 4 * 5


def test_a_network_speaks_the_labels_of_its_task(sums: MarginSums) -> None:
    margins = TaskMargins()
    margins.add(sums, (0, 5, 1))
    liver, spleen = margins.of((SPLEEN, LIVER, AORTA))[::-1]
    assert (liver.structure, spleen.structure) == (LIVER, SPLEEN)
    assert (liver.voxels, spleen.voxels) == (sums.voxels[1], sums.voxels[2])
    assert liver.mean == pytest.approx(sums.totals[1] / sums.voxels[1])


def test_what_two_networks_know_is_added_up(sums: MarginSums) -> None:
    margins = TaskMargins()
    margins.add(sums, (0, 5, 0))
    margins.add(sums, (0, 0, 5))
    (liver,) = margins.of((LIVER, SPLEEN))
    assert liver.voxels == sums.voxels[1] + sums.voxels[2]
    assert liver.mean == pytest.approx((sums.totals[1] + sums.totals[2]) / liver.voxels)

import numpy as np
import pytest

from benchmarks.speed.label_agreement import compare


def test_equal_labels_agree_completely_in_the_speed_benchmark() -> None:
    labels = np.arange(1000, dtype=np.uint8).reshape(10, 10, 10) % 3
    found = compare(labels, labels)
    assert (found.voxels, found.differing, found.min_dice, found.structures) == (1000, 0, 1.0, 2)


def test_the_lowest_dice_of_the_speed_benchmark_is_that_of_the_worst_large_structure() -> None:
    reference = np.zeros((10, 10, 10), dtype=np.uint8)
    reference[:2], reference[2:4], reference[5, 0] = 1, 2, 3
    labels = reference.copy()
    labels[0], labels[5, 0] = 0, 0  # half of label 1, and all ten voxels of label 3
    found = compare(labels, reference)
    assert (found.differing, found.structures) == (110, 2)
    assert found.min_dice == pytest.approx(2 * 100 / (100 + 200))


def test_the_speed_benchmark_refuses_to_compare_labels_on_different_grids() -> None:
    with pytest.raises(ValueError, match="against a reference"):
        compare(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8))

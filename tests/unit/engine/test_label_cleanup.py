import numpy as np
from numpy.typing import NDArray

from totalmap.engine.label_cleanup import clean
from totalmap.engine.tasks import load_task
from totalmap.settings import Variant

SIX_MM = np.full(3, 6.0, dtype=np.float32)
HALF_MM = np.full(3, 1.5, dtype=np.float32)


def blobs(*sizes_and_labels: tuple[int, int]) -> NDArray[np.uint8]:
    """Returns cubes of such edges and labels, one after another along x."""
    labels = np.zeros((64, 16, 16), dtype=np.uint8)
    x = 0
    for size, label in sizes_and_labels:
        labels[x : x + size, :size, :size] = label
        x += size + 1
    return labels


def test_label_cleanup_keeps_the_largest_piece_of_the_body_and_drops_tiny_extremities() -> None:
    labels = blobs((8, 1), (9, 1), (6, 2), (7, 2))  # 7 voxels of 6 mm: 74 088 mm3
    before = labels.copy()
    cleaned = clean(labels, load_task("body", Variant.FAST), SIX_MM)
    np.testing.assert_array_equal(labels, before)
    assert np.bincount(cleaned.ravel())[1:].tolist() == [9**3, 7**3]


def test_label_cleanup_gives_touching_vertebrae_one_label_each() -> None:
    labels = np.zeros((10, 10, 30), dtype=np.uint8)
    labels[2:6, 2:6, 2:6], labels[2:6, 2:6, 6:8] = 5, 6  # one body, two names
    labels[2:6, 2:6, 18:22] = 6
    cleaned = clean(labels, load_task("vertebrae_pp"), HALF_MM)
    assert np.unique(cleaned[:, :, :13]).tolist() == [0, 6]
    assert np.unique(cleaned[:, :, 14:]).tolist() == [0, 5]


def test_label_cleanup_keeps_the_labels_of_vertebrae_in_one_piece() -> None:
    labels = np.zeros((10, 10, 12), dtype=np.uint8)
    labels[2:6, 2:6, 2:6], labels[2:6, 2:6, 6:10] = 5, 6
    cleaned = clean(labels, load_task("vertebrae_pp"), HALF_MM)
    assert np.unique(cleaned).tolist() == [0, 5, 6]


def test_label_cleanup_removes_auxiliary_labels_of_the_training() -> None:
    cleaned = clean(blobs((3, 2), (3, 3), (3, 4)), load_task("kidney_cysts"), HALF_MM)
    assert np.unique(cleaned).tolist() == [0, 2]


def test_label_cleanup_removes_structures_that_were_not_chosen() -> None:
    task = load_task("body", Variant.FAST, ("body_extremities",))
    cleaned = clean(blobs((9, 1), (7, 2)), task, SIX_MM)
    assert np.unique(cleaned).tolist() == [0, 2]

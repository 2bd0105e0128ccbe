import numpy as np

from tests.unit.agreement.random_masks import masks_of
from totalmap.agreement.count_overlap import Overlap, count_overlap, joint_counts
from totalmap.agreement.structure_masks import Place, StructureMasks


def test_pairs_of_labels_are_counted_as_a_count_of_each_pair_does() -> None:
    generator = np.random.default_rng(0)
    a = generator.integers(0, 4, (9, 7, 5)).astype(np.uint8)
    b = generator.integers(0, 300, (9, 7, 5)).astype(np.uint16)
    counts = joint_counts(a, b)
    assert counts.shape == (4, int(b.max()) + 1)
    assert all(
        counts[m, n] == np.count_nonzero((a == m) & (b == n))
        for m in range(4)
        for n in range(counts.shape[1])
    )


def test_dice_is_zero_for_one_empty_mask_and_has_no_value_for_two() -> None:
    assert Overlap(a=4, b=4, both=2).dice == 0.5
    assert Overlap(a=4, b=0, both=0).dice == 0.0
    assert Overlap(a=0, b=0, both=0).dice is None


def test_structures_with_other_labels_and_layers_are_counted_by_their_names() -> None:
    first = np.zeros((2, 3, 4), dtype=np.uint8)
    first[0] = 1
    second = np.zeros_like(first)
    second[0, 0], second[1] = 7, 9
    a = masks_of(first, {1: "liver", 2: "spleen"})
    b = StructureMasks(
        form="SEG",
        layers=(np.zeros_like(first), second),
        places={"liver": Place(1, 7), "heart": Place(1, 9), "spleen": Place(0, 200)},
        geometry=a.geometry,
    )
    assert count_overlap(a, b) == {
        "liver": Overlap(a=12, b=4, both=4),
        "spleen": Overlap(a=0, b=0, both=0),
        "heart": Overlap(a=0, b=12, both=0),
    }

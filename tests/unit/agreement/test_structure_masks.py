import numpy as np

from tests.unit.agreement.random_masks import grid
from totalmap.agreement.structure_masks import FILLED_GAPS, MaskLayers, evenly_spaced
from totalmap.dicom.geometry import Geometry

SHAPE = (3, 4, 5)


def test_masks_that_overlap_lose_no_voxel() -> None:
    generator = np.random.default_rng(0)
    given = {label: generator.random(SHAPE) < 0.4 for label in range(1, 6)}
    masks = MaskLayers(SHAPE, largest_label=5)
    for k in range(SHAPE[0]):
        for label, mask in given.items():
            masks.add((k, slice(None)), mask[k], label)
    for label, mask in given.items():
        assert np.array_equal(masks.arrays[masks.layer_of(label)] == label, mask)
        assert sum(np.count_nonzero(layer == label) for layer in masks.arrays) == mask.sum()


def test_masks_that_do_not_overlap_share_one_layer() -> None:
    masks = MaskLayers(SHAPE, largest_label=300)
    masks.add((0,), np.ones(SHAPE[1:], dtype=np.bool_), 300)
    masks.add((slice(1, 3),), np.ones((2, *SHAPE[1:]), dtype=np.bool_), 2)
    (layer,) = masks.arrays
    assert layer.dtype == np.uint16
    assert (layer[0] == 300).all()
    assert (layer[1:] == 2).all()


def test_a_label_map_over_another_one_keeps_the_structures_of_both() -> None:
    labels = np.array([[1, 2], [0, 2]], dtype=np.uint8)
    others = np.array([[3, 0], [3, 4]], dtype=np.uint8)
    masks = MaskLayers((1, 2, 2), largest_label=4)
    for values in (labels, others):
        masks.add_labels((0,), values > 0, values[values > 0])
    for label in range(1, 5):
        expected = (labels == label) | (others == label)
        assert np.array_equal(masks.arrays[masks.layer_of(label)][0] == label, expected)


def test_missing_slices_are_filled_with_the_nearest_ones_and_this_is_said() -> None:
    regular = grid((3, 2, 2), (2.0, 1.0, 1.0))
    geometry = Geometry(
        affine_lps=regular.affine_lps, shape=regular.shape, slice_steps=(0.0, 1.0, 3.0)
    )
    layer = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), dtype=np.uint8)
    (filled,), even, notes = evenly_spaced((layer,), geometry)
    assert filled[:, 0, 0].tolist() == [0, 1, 1, 2]
    assert even.is_equidistant
    assert notes == (FILLED_GAPS,)
    assert evenly_spaced((layer,), regular) == ((layer,), regular, ())

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.measure.label_statistics import Labels
from totalmap.measure.structure_boxes_in_slices import SliceBox, slice_boxes

# Sparse, so that there are empty slices and absent structures.
LABELS = st.tuples(st.integers(1, 9), st.integers(1, 13), st.integers(1, 19)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([1, 2, 7]), fill=st.just(0))
)


@given(labels=LABELS)
@settings(deadline=None)
def test_the_boxes_of_labels_in_each_slice_are_those_that_scipy_finds(
    labels: NDArray[np.uint8],
) -> None:
    expected = {
        (k, label): box
        for k, slice_labels in enumerate(labels)
        for label, box in enumerate(ndimage.find_objects(slice_labels), start=1)
        if box is not None
    }
    found = [box for of_label in slice_boxes(labels).values() for box in of_label]
    assert {(box.k, box.label): box.box for box in found} == expected
    assert len(found) == len(expected)


def boxes_of(labels: Labels, wanted: Sequence[int]) -> list[SliceBox]:
    boxes = slice_boxes(labels)
    return [box for label in wanted for box in boxes.get(label, ())]

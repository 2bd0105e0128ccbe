import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.measure.test_structure_boxes_in_slices import LABELS, boxes_of
from totalmap.writers.seg.binary import packed_pixels


def plainly_packed(labels: NDArray[np.uint8], wanted: list[int]) -> bytes:
    """Returns all frames that are not empty, bit after bit (PS3.5 8.1.1)."""
    masks = [labels[k] == label for label in wanted for k in range(len(labels))]
    bits = [mask.ravel() for mask in masks if mask.any()]
    return np.packbits(np.concatenate(bits), bitorder="little").tobytes() if bits else b""


@given(labels=LABELS, wanted=st.sampled_from([[1, 2, 7], [7, 1], [2]]))
@settings(deadline=None)
def test_packed_boxes_of_seg_masks_equal_packed_whole_frames(
    labels: NDArray[np.uint8], wanted: list[int]
) -> None:
    boxes = boxes_of(labels, wanted)
    assert b"".join(map(bytes, packed_pixels(labels, boxes))) == plainly_packed(labels, wanted)


def test_more_seg_frames_than_one_run_are_packed() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (70, 11, 13), dtype=np.uint8)
    boxes = boxes_of(labels, range(1, 5))
    expected = plainly_packed(labels, [1, 2, 3, 4])
    assert b"".join(map(bytes, packed_pixels(labels, boxes))) == expected


def test_seg_frames_of_more_than_255_labels_are_packed() -> None:
    labels = np.arange(16 * 40, dtype=np.uint16).reshape(1, 16, 40)
    wanted = [1, 255, 256, 639]
    boxes = boxes_of(labels, wanted)
    assert [box.label for box in boxes] == wanted
    packed = b"".join(map(bytes, packed_pixels(labels, boxes)))
    assert np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little").sum() == len(wanted)

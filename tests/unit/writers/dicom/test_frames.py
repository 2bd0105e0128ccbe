from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.measure.label_statistics import Labels
from totalmap.writers.dicom.frames import SegFrame, packed_pixels, seg_frames

# Sparse, so that there are empty frames, slices and structures.
LABELS = st.tuples(st.integers(1, 9), st.integers(1, 13), st.integers(1, 19)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([1, 2, 7]), fill=st.just(0))
)


def plainly_packed(labels: NDArray[np.uint8], wanted: list[int]) -> bytes:
    """All frames that are not empty, bit after bit (PS3.5 8.1.1)."""
    masks = [labels[k] == label for label in wanted for k in range(len(labels))]
    bits = [mask.ravel() for mask in masks if mask.any()]
    return np.packbits(np.concatenate(bits), bitorder="little").tobytes() if bits else b""


@given(labels=LABELS, wanted=st.sampled_from([[1, 2, 7], [7, 1], [2]]))
@settings(deadline=None)
def test_boxes_are_packed_as_whole_frames(labels: NDArray[np.uint8], wanted: list[int]) -> None:
    frames = frames_of(labels, wanted)
    assert b"".join(map(bytes, packed_pixels(labels, frames))) == plainly_packed(labels, wanted)


@given(labels=LABELS)
@settings(deadline=None)
def test_boxes_are_the_smallest_around_each_label(labels: NDArray[np.uint8]) -> None:
    """Scipy finds the same."""
    expected = {
        (k, label): box
        for k, one in enumerate(labels)
        for label, box in enumerate(ndimage.find_objects(one), start=1)
        if box is not None
    }
    found = [frame for of_label in seg_frames(labels).values() for frame in of_label]
    assert {(frame.k, frame.label): frame.box for frame in found} == expected
    assert len(found) == len(expected)


def frames_of(labels: Labels, wanted: Sequence[int]) -> list[SegFrame]:
    frames = seg_frames(labels)
    return [frame for label in wanted for frame in frames.get(label, ())]


def test_more_frames_than_are_packed_at_once() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (70, 11, 13), dtype=np.uint8)
    frames = frames_of(labels, range(1, 5))
    expected = plainly_packed(labels, [1, 2, 3, 4])
    assert b"".join(map(bytes, packed_pixels(labels, frames))) == expected


def test_more_than_255_labels() -> None:
    labels = np.arange(16 * 40, dtype=np.uint16).reshape(1, 16, 40)
    wanted = [1, 255, 256, 639]
    frames = frames_of(labels, wanted)
    assert [frame.label for frame in frames] == wanted
    packed = b"".join(map(bytes, packed_pixels(labels, frames)))
    assert np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little").sum() == len(wanted)

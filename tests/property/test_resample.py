"""Tests that resampling equals scipy.ndimage.zoom, as TotalSegmentator calls it, for any shape."""

import numpy as np
import scipy.ndimage
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from totalmap.engine.resample import resample_image, resample_labels

LOWEST_HU, HIGHEST_HU = -1024, 3071

shapes = st.tuples(*[st.integers(1, 40)] * 3)
spacings = st.tuples(*[st.floats(0.25, 6.0, width=32)] * 3)
targets = st.sampled_from([1.5, 3.0, 6.0])


def image_of(shape: tuple[int, int, int], constant: int | None, seed: int) -> NDArray[np.int16]:
    """Noise, or an image whose last half along each axis is constant."""
    generator = np.random.default_rng(seed)
    image = generator.integers(LOWEST_HU, HIGHEST_HU, shape, dtype=np.int16)
    if constant is not None:
        image[tuple(slice(size // 2, None) for size in shape)] = constant
    return image


@settings(max_examples=1500, deadline=None)
@given(
    shape=shapes,
    spacing_mm=spacings,
    target_mm=targets,
    constant=st.none() | st.integers(LOWEST_HU, HIGHEST_HU),
    seed=st.integers(0, 9),
)
@example(shape=(30, 30, 30), spacing_mm=(0.72, 0.6, 1.5), target_mm=3.0, constant=-821, seed=0)
def test_resampled_images_and_labels_equal_those_of_scipy(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    target_mm: float,
    constant: int | None,
    seed: int,
) -> None:
    image = image_of(shape, constant, seed)
    spacing = np.asarray(spacing_mm, dtype=np.float32)
    zoom = spacing / np.full(3, target_mm)
    if min(round(size * factor) for size, factor in zip(shape, zoom, strict=True)) < 1:
        return
    theirs = scipy.ndimage.zoom(image.astype(np.float64), zoom, order=1, mode="nearest")
    ours = resample_image(image, spacing, (target_mm,) * 3)
    np.testing.assert_array_equal(ours, theirs.astype(np.int32))

    labels = (np.abs(ours) % 118).astype(np.uint8)
    back = np.asarray(shape) / np.asarray(labels.shape)
    expected = scipy.ndimage.zoom(labels.astype(np.float64), back, order=0, mode="nearest")
    np.testing.assert_array_equal(resample_labels(labels, shape), expected.astype(np.uint8))

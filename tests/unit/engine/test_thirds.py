import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from totalmap.engine.thirds import is_split, thirds, whole

MARGIN = 20


@given(st.integers(201, 2000))
def test_they_are_totalsegmentators(planes: int) -> None:
    """The slices of totalsegmentator.nnunet.nnUNet_predict_image, do_triple_split."""
    image = np.arange(planes)
    third = planes // 3
    seen = [
        image[: third + MARGIN],
        image[third + 1 - MARGIN : third * 2 + MARGIN],
        image[third * 2 + 1 - MARGIN :],
    ]
    joined = [seen[0][:-MARGIN], seen[1][MARGIN - 1 : -MARGIN], seen[2][MARGIN - 1 :]]
    parts = thirds(planes)
    for part, expected in zip(parts, seen, strict=True):
        np.testing.assert_array_equal(image[part.seen], expected)
    kept = [image[part.seen][part.kept_of_seen] for part in parts]
    for found, expected in zip(kept, joined, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.concatenate([image[part.kept] for part in parts]), image)


def test_one_part_is_the_image() -> None:
    (part,) = whole(30)
    assert part.seen == part.kept == part.kept_of_seen == slice(0, 30)


@pytest.mark.parametrize(
    ("shape", "split"),
    [
        ((900, 512, 512), False),
        ((901, 512, 512), True),
        ((200, 1100, 1100), False),  # not long enough
        ((201, 1100, 1100), True),
    ],
)
def test_what_is_split(shape: tuple[int, int, int], split: bool) -> None:
    assert is_split(shape) == split

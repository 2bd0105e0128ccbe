import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from totalmap.writers.dicom.decimal_strings import decimal_strings

# Anything within a metre, wherever that is.
VALUES = st.floats(-1e7, 1e7).flatmap(
    lambda middle: st.lists(
        st.lists(st.floats(middle - 500, middle + 500), min_size=1, max_size=5), min_size=1
    )
)


@given(texts=VALUES)
def test_they_are_the_numbers_with_three_decimals(texts: list[list[float]]) -> None:
    values = np.concatenate(texts)
    written = decimal_strings(values, np.cumsum([len(text) for text in texts]))
    for text, numbers in zip(written, texts, strict=True):
        decimals = text.decode("ascii").split("\\")
        assert max(map(len, decimals)) <= 16
        np.testing.assert_allclose([float(one) for one in decimals], numbers, rtol=0, atol=5.01e-4)


def test_no_more_characters_than_are_needed() -> None:
    values = np.array([1.0, -0.5, 0.0, -0.0004, 12.345, -12.34, 0.9996, 100.0])
    (text,) = decimal_strings(values, np.array([8]))
    assert text == rb"1\-0.5\0\0\12.345\-12.34\1\100"

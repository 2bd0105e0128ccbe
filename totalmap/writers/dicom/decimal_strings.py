"""Millions of positions as decimal strings (VR DS, PS3.5 6.2), fast.

To print numbers one by one takes longer than to find them. Here, the text of a number is put
together from two tables: one of whole millimetres, one of thousandths.
"""

import numpy as np
from numpy.typing import NDArray

# A thousandth of a millimetre: far less than any pixel. Decimal strings have at most 16
# characters, so this leaves 11 for whole millimetres.
_STEPS_PER_MM = 1000


def _fraction(thousandths: int) -> bytes:
    return f".{thousandths:03}".rstrip("0").rstrip(".").encode("ascii")


_FRACTIONS = np.array([_fraction(one) for one in range(_STEPS_PER_MM)])


def decimal_strings(values_mm: NDArray[np.float64], ends: NDArray[np.intp]) -> list[bytes]:
    r"""Returns the text of numbers, three decimals at most, parted by \.

    Args:
        values_mm: (n,) all within some metres of each other.
        ends: Where in `values_mm` each text ends; none is empty.
    """
    steps = np.rint(values_mm * _STEPS_PER_MM).astype(np.int64)
    whole, fraction = np.divmod(np.abs(steps), _STEPS_PER_MM)
    lowest = int(whole.min())
    wholes = _wholes(lowest, int(whole.max()))
    index = 2 * (whole - lowest) + (steps < 0)
    texts = np.empty(len(steps), dtype=[("whole", wholes.dtype), ("fraction", _FRACTIONS.dtype)])
    texts["whole"], texts["fraction"] = wholes[index], _FRACTIONS[fraction]
    joined = texts.tobytes().translate(None, b"\0")  # numpy fills shorter texts up with null bytes
    lengths = np.char.str_len(wholes)[index] + np.char.str_len(_FRACTIONS)[fraction]
    text_ends = np.cumsum(lengths)[ends - 1].tolist()
    # Every number has a separator before it; the first one's is left out.
    return [
        joined[start + 1 : end] for start, end in zip([0, *text_ends[:-1]], text_ends, strict=True)
    ]


def _wholes(lowest: int, highest: int) -> NDArray[np.bytes_]:
    """Returns the text of whole numbers after a separator, each without and with a minus sign."""
    numbers = range(lowest, highest + 1)
    return np.array([text for one in numbers for text in (b"\\%d" % one, b"\\-%d" % one)])

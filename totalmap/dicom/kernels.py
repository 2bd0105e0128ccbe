"""Reconstruction kernels of CT, by the names that vendors give them."""

import re

# Siemens: the number grows with sharpness, from 10 to 89; GE, Philips and Canon use words.
SHARP_NUMBER = 50
SHARP_WORDS = ("BONE", "LUNG", "EDGE", "SHARP", "DETAIL", "YB", "YC")
_SIEMENS = re.compile(r"^[A-Z][A-Z]?(\d\d)")


def is_sharp(kernel: str) -> bool:
    """Whether a kernel is made for bone or lung; TotalSegmentator was trained mostly on soft ones.

    Args:
        kernel: The first value of Convolution Kernel (0018,1210), in capitals.
    """
    siemens = _SIEMENS.match(kernel)
    if siemens:
        return int(siemens.group(1)) >= SHARP_NUMBER
    return any(word in kernel for word in SHARP_WORDS)

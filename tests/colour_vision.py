"""Simulates how people see colours who confuse red and green.

Source: Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision
Deficiency. IEEE Transactions on Visualization and Computer Graphics 15(6), 2009, 1291-1298: the
matrices of severity 1.0, which are applied to linear RGB. Linear RGB and contrast are those of
IEC 61966-2-1 (sRGB) and WCAG 2.2.
"""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]


class Confusion(StrEnum):
    """Why a person confuses red and green: the cones for long or medium waves are missing."""

    PROTANOPIA = "protanopia"
    DEUTERANOPIA = "deuteranopia"


RED_GREEN_CONFUSIONS = tuple(Confusion)

_MATRICES: Mapping[Confusion, NDArray[np.float64]] = {
    Confusion.PROTANOPIA: np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    Confusion.DEUTERANOPIA: np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def seen(values: NDArray[np.float64], confusion: Confusion) -> NDArray[np.float64]:
    """Returns colours, (..., 3) of sRGB in 0..1, as a person sees them who confuses red and green.

    Colours outside of sRGB are cut to it.
    """
    return _encoded(np.clip(_linear(values) @ _MATRICES[confusion].T, 0, 1))


def contrast(first: Rgb, second: Rgb) -> float:
    """Returns the contrast ratio of two colours by WCAG 2.2: 1 (none) to 21 (black on white)."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    darker, lighter = sorted(
        float(_linear(np.array(rgb) / 255) @ weights) + 0.05 for rgb in (first, second)
    )
    return lighter / darker


def _linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encoded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)

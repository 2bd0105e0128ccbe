"""Synthetic CT bodies with known anatomy, for tests, demonstrations and training."""

from .anatomy import Anatomy
from .scanner import SHARP, SOFT, Scanner
from .study import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    SeriesSpec,
    WrittenSeries,
    WrittenStudy,
    write_series,
    write_study,
)

__all__ = [
    "AXIAL",
    "CORONAL",
    "SAGITTAL",
    "SHARP",
    "SOFT",
    "Anatomy",
    "Scanner",
    "SeriesSpec",
    "WrittenSeries",
    "WrittenStudy",
    "write_series",
    "write_study",
]

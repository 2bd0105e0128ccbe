"""Makes synthetic CT bodies with known anatomy, for tests, demonstrations and training."""

from .anatomy import Anatomy
from .enhanced import write_enhanced
from .scanner import SHARP, SOFT, Scanner
from .study import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    STAIN_HU,
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
    "STAIN_HU",
    "Anatomy",
    "Scanner",
    "SeriesSpec",
    "WrittenSeries",
    "WrittenStudy",
    "write_enhanced",
    "write_series",
    "write_study",
]

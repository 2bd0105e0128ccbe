"""The healthy studies that mutants are made of: small, so that a thousand take a minute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.phantom.enhanced import write_enhanced
from tests.phantom.study import SAGITTAL, SeriesSpec, write_series

STAIN = 5
SLICES = 12
SPEC = SeriesSpec(
    rows=32,
    columns=32,
    n_slices=SLICES,
    pixel_spacing_mm=(9.0, 9.0),
    slice_spacing_mm=5.0,
    slice_thickness_mm=3.0,
    centre_lps_mm=(-50.0, 0.0, 130.0),
    scanner=None,
    stained=(STAIN,),
)
CLASSIC, ENHANCED, TWO_SERIES, MR, SAGITTAL_CT, TILTED = BASES = (
    "classic",
    "enhanced",
    "two series",
    "mr",
    "sagittal",
    "tilted",
)


def write_bases(folder: Path) -> dict[str, Path]:
    """Writes all healthy studies and returns their folders; each series has one of its own."""
    thick = replace(SPEC, number=3, description="Trunk 5.0 LUNG", kernel="LUNG")
    write_series(folder / CLASSIC / "a", 0, SPEC)
    write_enhanced(folder / ENHANCED / "a", 0, SPEC)
    write_series(folder / TWO_SERIES / "a", 0, SPEC)
    write_series(folder / TWO_SERIES / "b", 0, thick)
    write_series(folder / MR / "a", 0, replace(SPEC, modality="MR"))
    write_series(
        folder / SAGITTAL_CT / "a", 0, replace(SPEC, orientation=SAGITTAL, file_order="shuffled")
    )
    write_series(folder / TILTED / "a", 0, replace(SPEC, tilt_degrees=12.0))
    return {name: folder / name for name in BASES}

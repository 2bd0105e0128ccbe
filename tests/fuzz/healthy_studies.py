"""Writes the healthy studies from which mutants are made: small, a thousand take a minute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from tests.phantom.enhanced import write_enhanced
from tests.phantom.modules import BIRTH_DATE, PATIENT_NAME
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
CLASSIC, ENHANCED, TWO_SERIES, MR, SAGITTAL_CT, TILTED, LONG_HEADER = BASES = (
    "classic",
    "enhanced",
    "two series",
    "mr",
    "sagittal",
    "tilted",
    "long header",
)
# All paths hold the patient's name, so that a message with a path is found.
OF_PATIENT = f"{PATIENT_NAME}_{BIRTH_DATE}"
# More than the first 64 KiB of a file, which are read at once.
COMMENT = "x" * 8000


def write_bases(folder: Path) -> dict[str, Path]:
    """Writes all healthy studies and returns their folders; each series has its own subfolder."""
    thick = replace(SPEC, number=3, description="Trunk 5.0 LUNG", kernel="LUNG")
    sagittal = replace(SPEC, orientation=SAGITTAL, file_order="shuffled")
    studies = {name: folder / name / OF_PATIENT for name in BASES}
    write_series(studies[CLASSIC] / "a", 0, SPEC)
    write_enhanced(studies[ENHANCED] / "a", 0, SPEC)
    write_series(studies[TWO_SERIES] / "a", 0, SPEC)
    write_series(studies[TWO_SERIES] / "b", 0, thick)
    write_series(studies[MR] / "a", 0, replace(SPEC, modality="MR"))
    write_series(studies[SAGITTAL_CT] / "a", 0, sagittal)
    write_series(studies[TILTED] / "a", 0, replace(SPEC, tilt_degrees=12.0))
    _lengthen(write_enhanced(studies[LONG_HEADER] / "a", 0, SPEC).paths[0])
    return {name: folder / name for name in BASES}


def _lengthen(path: Path) -> None:
    """Gives a multi-frame file a long header with sequences of undefined lengths."""
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence[0].FrameComments = COMMENT
    undefine_lengths(dataset)
    dataset.save_as(path)


def undefine_lengths(dataset: Dataset) -> None:
    """Gives all sequences and items undefined lengths, so that delimiters end them."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                undefine_lengths(item)

"""Writes the labels as one multi-label NIfTI file, as `TotalSegmentator --ml` does."""

import gzip
from typing import Any, BinaryIO

import nibabel
import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import (
    LPS_TO_RAS,
    NEGLIGIBLE_TILT_DEGREES,
    Affine,
    to_equidistant,
    to_las,
    to_own_axes,
)
from totalmap.errors import OutputError
from totalmap.result_options import NiftiGrid
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom.identifiers import result_name

FILE_NAME = "labels.nii.gz"
# The default of zlib: files are three times smaller than at level 1.
COMPRESSION_LEVEL = 6


def write_nifti(segmentation: Segmentation, settings: Settings, release: Release) -> Result:
    """Writes the labels on the source grid, or on that of the network if the settings say so.

    On the source grid, the axes point to the left, anterior and superior, as those of dicom2nifti;
    a source that is a NIfTI file itself keeps its own axes. On the grid of the network, they point
    to the right, anterior and superior.

    A NIfTI file has evenly spaced slices. If slices of the source are missing or unevenly spaced,
    each slice of the file gets the labels of the nearest slice.

    The value of a voxel is TotalSegmentator's label number. An extended header names the labels,
    as totalsegmentator.nifti_ext_header.add_label_map_to_nifti does.

    Raises:
        OutputError: The file that was written differs from the labels.
    """
    labels, affine_ras = _laid_out(segmentation, settings.results.nifti_grid)
    image = nibabel.Nifti1Image(labels, affine_ras, dtype=np.uint8)
    image.header.set_xyzt_units("mm")
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, _label_table(segmentation)))

    def write(file: BinaryIO) -> None:
        # No time stamp and no name inside: the same labels give the same bytes.
        with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file, mtime=0) as packed:
            image.to_stream(packed)

    name = result_name(segmentation, FILE_NAME)
    staged = release.write(name, write)
    with gzip.open(staged) as packed:
        written = nibabel.Nifti1Image.from_stream(packed)
        if not np.array_equal(np.asanyarray(written.dataobj), labels):
            raise OutputError(f"{name} differs from the labels after writing")
    return Result(kind="nifti", path=f"{RESULTS_NAME}/{name}")


def nifti_warnings(segmentation: Segmentation, settings: Settings) -> tuple[str, ...]:
    """Returns a warning if the grid of the file is sheared, which ITK does not read."""
    tilt_degrees = segmentation.volume.geometry.tilt_degrees
    on_source = settings.results.nifti_grid is NiftiGrid.SOURCE
    if not on_source or tilt_degrees <= NEGLIGIBLE_TILT_DEGREES:
        return ()
    return (
        f"the slices are tilted by {tilt_degrees:.1f} degrees, so {FILE_NAME} has a sheared grid, "
        "which 3D Slicer, ITK-SNAP and other programs based on ITK can't open: for them, set "
        "results.nifti_grid to inference",
    )


def _laid_out(segmentation: Segmentation, grid: NiftiGrid) -> tuple[NDArray[Any], Affine]:
    """Returns the labels of the file, (x, y, z), and its affine, to mm in RAS."""
    if grid is NiftiGrid.INFERENCE:
        return segmentation.inference.labels, LPS_TO_RAS @ segmentation.inference.affine_lps
    volume = segmentation.volume
    lay_out = to_las if volume.is_dicom else to_own_axes
    return lay_out(*to_equidistant(segmentation.labels, volume.geometry))


def _label_table(segmentation: Segmentation) -> bytes:
    """Returns the names of the labels in the Caret extension, as TotalSegmentator writes them."""
    labels = "\n".join(
        f'<Label Key="{structure.label}" Red="1" Green="1" Blue="1" Alpha="1">'
        f"<![CDATA[{structure.name}]]></Label>"
        for structure in segmentation.structures
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><CaretExtension><VolumeInformation Index="0">'
        f"<LabelTable>{labels}</LabelTable><VolumeType><![CDATA[Label]]></VolumeType>"
        "</VolumeInformation></CaretExtension>"
    ).encode()

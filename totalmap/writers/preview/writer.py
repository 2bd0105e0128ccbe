"""Writes the pages of the preview as Secondary Capture images (PS3.3 A.8.1), and the first as PNG.

Every viewer shows single-frame Secondary Captures, so each page is one image. For a source that is
not DICOM, only the PNG is written.
"""

from functools import partial
from typing import BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage

from totalmap.dicom.derived_uids import derived_uid
from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.header import ObjectKind, references_to
from totalmap.writers.dicom.run_lengths import run_lengths, single_frame
from totalmap.writers.dicom.secondary_capture import secondary_capture_header, source_images
from totalmap.writers.dicom.write_file_in_parts import encapsulated_pixels, write_parts
from totalmap.writers.preview.pages import render_pages

FOLDER_NAME = "preview"
PNG_NAME = "preview.png"
# Modality "other", not that of the source, so that nobody mistakes a page for a scan.
KIND = ObjectKind(
    name=ResultKind.PREVIEW, sop_class=SecondaryCaptureImageStorage, modality="OT", title="preview"
)
# A higher level takes three times as long and saves a tenth.
_PNG_LEVEL = 3


def write_preview(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the pages and compares the files with them, pixel by pixel.

    Returns:
        A result for each page, and one for the PNG.

    Raises:
        OutputError: A structure has no name and colour, or a file that was written differs from
            its page.
    """
    pages = render_pages(segmentation, settings)
    first = _header(segmentation, settings)
    results = [
        _write_page(segmentation, release, page_header(first, page, number), page)
        for number, page in enumerate(pages, start=1)
    ]
    return (*results, _write_png(segmentation, release, pages[0]))


def write_preview_picture(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the first page as PNG and compares the file with it.

    Raises:
        OutputError: A structure has no name and colour, or the file differs from the page.
    """
    return (_write_png(segmentation, release, render_pages(segmentation, settings)[0]),)


def page_header(first: Dataset, page: NDArray[np.uint8], number: int) -> Dataset:
    """Returns the header of a page, made from that of the first page, which keeps its UID."""
    header = Dataset(first)
    header.InstanceNumber = number
    if number > 1:
        header.SOPInstanceUID = derived_uid("page", str(first.SOPInstanceUID), str(number))
    header.Rows, header.Columns = page.shape[:2]
    return header


def _header(segmentation: Segmentation, settings: Settings) -> Dataset:
    """Returns the header of the first page."""
    derivation = "Overview of an automatic segmentation"
    header = secondary_capture_header(segmentation, settings, KIND, derivation)
    # A page has no position in the patient.
    del header.FrameOfReferenceUID
    del header.PositionReferenceIndicator
    header.SourceImageSequence = source_images(references_to(segmentation.volume))
    return header


def _write_page(
    segmentation: Segmentation, release: Release, header: Dataset, page: NDArray[np.uint8]
) -> Result:
    name = f"{FOLDER_NAME}/page_{header.InstanceNumber}.dcm"
    name = identifiers.result_name(segmentation, name)
    parts = [encapsulated_pixels([run_lengths(page)])]
    staged = release.write(
        name, partial(write_parts, dataset=header, parts=parts, syntax=RLELossless)
    )
    if not np.array_equal(np.moveaxis(single_frame(pydicom.dcmread(staged)), 0, -1), page):
        raise OutputError(f"{name} differs from the page after writing")
    uid = str(header.SOPInstanceUID)
    return Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid)


def _write_png(segmentation: Segmentation, release: Release, page: NDArray[np.uint8]) -> Result:
    def write(file: BinaryIO) -> None:
        Image.fromarray(page).save(file, "PNG", compress_level=_PNG_LEVEL)

    name = identifiers.result_name(segmentation, PNG_NAME)
    with Image.open(release.write(name, write)) as written:
        if not np.array_equal(np.asarray(written), page):
            raise OutputError(f"{name} differs from the page after writing")
    return Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}")

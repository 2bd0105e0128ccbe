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
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from totalmap.dicom.derived_uids import derived_uid
from totalmap.dicom.volume import Volume
from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.encoding import write_parts
from totalmap.writers.dicom.header import ObjectKind, derived_header, references_to
from totalmap.writers.preview.pages import render_pages

FOLDER_NAME = "preview"
PNG_NAME = "preview.png"
# Modality "other", not that of the source, so that nobody mistakes a page for a scan.
KIND = ObjectKind(
    name=ResultKind.PREVIEW, sop_class=SecondaryCaptureImageStorage, modality="OT", title="preview"
)

# CID 7203 Image Derivation, CID 7202 Source Image Purposes of Reference.
_SEGMENTATION = Code("113076", "DCM", "Segmentation")
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
# PS3.16 annex L, Table L-1: terms of regions and organs that are not paired.
_UNPAIRED_BODY_PARTS = frozenset(
    (
        *("ABDOMEN", "ABDOMENPELVIS", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "PELVIS"),
        *("NECK", "NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "WHOLEBODY"),
        *("BRAIN", "HEAD", "HEADNECK", "SKULL"),
        *("SPINE", "CSPINE", "CTSPINE", "TSPINE", "TLSPINE", "LSPINE", "LSSPINE", "SSPINE"),
        *("AORTA", "BLADDER", "COLON", "HEART", "LIVER", "MEDIASTINUM", "PANCREAS", "PROSTATE"),
        *("SPLEEN", "STOMACH", "UTERUS"),
    )
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
    """Returns the header of the first page (PS3.3 C.7.6.1, C.7.6.3, C.8.6.1)."""
    header = derived_header(segmentation, settings, KIND)
    # A page has no position in the patient.
    del header.FrameOfReferenceUID
    del header.PositionReferenceIndicator
    header.ConversionType = "WSD"
    header.ImageType = ["DERIVED", "SECONDARY"]
    header.PatientOrientation = None
    header.update(_body_part(segmentation.volume.slices[0].instance.body_part))
    header.BurnedInAnnotation = "YES"
    header.RecognizableVisualFeatures = "NO"
    header.LossyImageCompression = "00"
    header.ImageComments = f"{identifiers.algorithm_name(segmentation)}: AI result, not verified"
    header.DerivationDescription = "Overview of an automatic segmentation"
    header.DerivationCodeSequence = [code_item(_SEGMENTATION)]
    header.SourceImageSequence = _source_images(segmentation.volume)
    header.SamplesPerPixel = 3
    header.PhotometricInterpretation = "RGB"
    header.PlanarConfiguration = 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    header.PixelRepresentation = 0
    return header


def _body_part(name: str) -> Dataset:
    """Returns the body part of the source (PS3.3 C.7.3.1).

    Laterality may be left out only for body parts without one; an empty value means unknown.
    """
    body_part = Dataset()
    if name:
        body_part.BodyPartExamined = name
    if name not in _UNPAIRED_BODY_PARTS:
        body_part.Laterality = None
    return body_part


def _source_images(volume: Volume) -> list[Dataset]:
    """Returns the items of Source Image Sequence (PS3.3 C.12.4.1): each file of the source."""
    images = references_to(volume)
    for image in images:
        image.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
    return images


def _write_page(
    segmentation: Segmentation, release: Release, header: Dataset, page: NDArray[np.uint8]
) -> Result:
    name = f"{FOLDER_NAME}/page_{header.InstanceNumber}.dcm"
    name = identifiers.result_name(segmentation, name)
    header.PixelData = page.tobytes()
    header["PixelData"].VR = "OB"
    staged = release.write(
        name, partial(write_parts, dataset=header, parts=(), syntax=ExplicitVRLittleEndian)
    )
    if not np.array_equal(pydicom.dcmread(staged).pixel_array, page):
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

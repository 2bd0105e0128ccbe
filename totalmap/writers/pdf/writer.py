"""Writes the report as an Encapsulated PDF (PS3.3 A.45.1, C.24.2), and reads it back."""

from functools import partial

import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.texts.catalogue import texts_in
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.character_sets import UTF_8
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.fast_dataset_encoding import encoded
from totalmap.writers.dicom.header import ObjectKind, derived_header, references_to
from totalmap.writers.dicom.write_file_in_parts import write_parts
from totalmap.writers.pdf.document import pdf_document
from totalmap.writers.presentation.title_and_notices import title_of

FILE_NAME = "report.dcm"
KIND = ObjectKind(
    name=ResultKind.PDF, sop_class=EncapsulatedPDFStorage, modality="DOC", title="report"
)
# CID 7021 Measurement Report Document Titles, CID 7202 Source Image Purposes of Reference.
_DOCUMENT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
_MIME_TYPE = "application/pdf"


def write_pdf(segmentation: Segmentation, settings: Settings, release: Release) -> Result:
    """Writes the PDF and compares the file with it.

    Raises:
        OutputError: A structure has no name and colour, or the file differs from the document.
    """
    document = pdf_document(segmentation, settings).content
    dataset = encode_pdf(segmentation, settings, document)
    name = identifiers.result_name(segmentation, FILE_NAME)
    staged = release.write(
        name, partial(write_parts, dataset=dataset, parts=(), syntax=ExplicitVRLittleEndian)
    )
    compare_pdf(pydicom.dcmread(staged), dataset, document)
    uid = str(dataset.SOPInstanceUID)
    return Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid)


def encode_pdf(segmentation: Segmentation, settings: Settings, document: bytes) -> Dataset:
    """Returns the object with a document."""
    header = derived_header(segmentation, settings, KIND)
    # A document has no position in the patient.
    del header.FrameOfReferenceUID
    del header.PositionReferenceIndicator
    header.ConversionType = "WSD"
    header.AcquisitionDateTime = None
    # The date and the series identify the images, and the settings may add the patient.
    header.BurnedInAnnotation = "YES"
    header.RecognizableVisualFeatures = "NO"
    header.SourceInstanceSequence = _sources(segmentation)
    header.DocumentTitle = _title(segmentation, settings, header)
    header.ConceptNameCodeSequence = [code_item(_DOCUMENT_TITLE)]
    header.VerificationFlag = "UNVERIFIED"
    header.MIMETypeOfEncapsulatedDocument = _MIME_TYPE
    header.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    header.EncapsulatedDocumentLength = len(document)
    return header


def _title(segmentation: Segmentation, settings: Settings, header: Dataset) -> str:
    """Returns the title in the language of the settings if the character set has its letters."""
    title = title_of(segmentation, texts_in(settings.report.language))
    if title.isascii() or header.get("SpecificCharacterSet") == UTF_8:
        return title
    return title.encode("ascii", "ignore").decode("ascii")


def _sources(segmentation: Segmentation) -> list[Dataset]:
    """Returns the items of Source Instance Sequence: each file of the source."""
    sources = references_to(segmentation.volume)
    for source in sources:
        source.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
    return sources


def compare_pdf(written: Dataset, expected: Dataset, document: bytes) -> None:
    """Compares an object that was read back with what should have been written.

    Raises:
        OutputError: They differ.
    """
    length = int(written.get("EncapsulatedDocumentLength") or 0)
    if written.get("EncapsulatedDocument", b"")[:length] != document:
        raise OutputError(f"{FILE_NAME} differs from the document after writing")
    if encoded(written) != encoded(expected):
        raise OutputError(f"{FILE_NAME} differs from its header after writing")

"""Writes the header of Secondary Capture images (PS3.3 A.8.1), which every viewer shows."""

from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.header import ObjectKind, derived_header

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


def secondary_capture_header(
    segmentation: Segmentation, settings: Settings, kind: ObjectKind, derivation: str
) -> Dataset:
    """Returns the header of the first RGB image of a series, without its size and its pixels.

    PS3.3 C.7.6.1, C.7.6.3, C.8.6.1. It has a Frame of Reference and no position: an image gets a
    position, or loses the Frame of Reference.

    Args:
        derivation: How the image was made, in words.
    """
    header = derived_header(segmentation, settings, kind)
    header.ConversionType = "WSD"
    header.ImageType = ["DERIVED", "SECONDARY"]
    header.PatientOrientation = None
    header.update(_body_part(segmentation.volume.slices[0].instance.body_part))
    header.BurnedInAnnotation = "YES"
    header.RecognizableVisualFeatures = "NO"
    header.LossyImageCompression = "00"
    header.ImageComments = f"{identifiers.algorithm_name(segmentation)}: AI result, not verified"
    header.DerivationDescription = derivation
    header.DerivationCodeSequence = [code_item(_SEGMENTATION)]
    header.SamplesPerPixel = 3
    header.PhotometricInterpretation = "RGB"
    header.PlanarConfiguration = 1  # as RLE needs it
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    header.PixelRepresentation = 0
    return header


def source_images(references: Iterable[Dataset]) -> list[Dataset]:
    """Returns the items of Source Image Sequence (PS3.3 C.12.4.1).

    Args:
        references: Items that refer to instances of the source; they get their purpose.
    """
    images = list(references)
    for image in images:
        image.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
    return images


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

"""What all objects that we derive from a volume have in common: whose they are, and who made them.

PS3.3 C.7.1.1 (patient), C.7.2.1 (study), C.7.3.1 (series), C.7.4.1 (frame of reference), C.7.5.1
(equipment), C.12.1 (SOP common). Two runs write the same bytes, so no clock is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from totalmap.origin import MANUFACTURER, Origin
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import provenance
from totalmap.writers.dicom.coded import coded
from totalmap.writers.dicom.source_headers import patient_and_study

# Content Date and Content Time are required; where the study has none, what nobody takes for one.
_NO_DATE, _NO_TIME = "19000101", "000000"

# CID 7005 Contributing Equipment Purposes.
_PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object that we make.

    Attributes:
        name: Goes into the UIDs, so that two kinds never share one.
        title: Goes into the description of its series, for whoever chooses among them.
    """

    name: ResultKind
    sop_class: UID
    modality: str
    title: str = ""


def derived_header(
    segmentation: Segmentation,
    settings: Settings,
    kind: Kind,
    part: str = "",
    structures: Iterable[Structure] | None = None,
) -> Dataset:
    """Returns a new object of the patient and study of a volume, without any content.

    Args:
        segmentation: What it is derived from.
        settings: Give the number and the description of its series.
        kind: What it is.
        part: Names it, where a kind has several objects, each in a series of its own.
        structures: What it would hold had it been found; None: all that was looked for.
    """
    source = segmentation.volume.slices[0].instance
    header = patient_and_study(source)
    header.SOPClassUID = kind.sop_class
    header.SOPInstanceUID = provenance.instance_uid(segmentation, settings, kind.name, part)
    header.Modality = kind.modality
    header.StudyInstanceUID = source.study_instance_uid
    header.SeriesInstanceUID = provenance.series_uid(segmentation, settings, kind.name, part)
    header.SeriesNumber = settings.results.series_numbers.of(kind.name)
    header.SeriesDescription = provenance.series_description(
        segmentation, settings, f"{kind.title} {part}".strip()
    )
    header.InstanceNumber = 1
    header.FrameOfReferenceUID = source.frame_of_reference_uid
    header.PositionReferenceIndicator = None
    header.ContentDate = header.StudyDate or _NO_DATE
    header.ContentTime = header.StudyTime or _NO_TIME
    _add_equipment(header, Origin.of(segmentation, settings, structures))
    return header


def _add_equipment(header: Dataset, origin: Origin) -> None:
    header.Manufacturer = MANUFACTURER
    header.ManufacturerModelName = provenance.MODEL_NAME
    header.DeviceSerialNumber = provenance.DEVICE_SERIAL_NUMBER
    header.SoftwareVersions = provenance.software_versions()
    header.ContributingEquipmentSequence = [_contribution(line) for line in origin.lines()]


def _contribution(description: str) -> Dataset:
    contribution = Dataset()
    contribution.PurposeOfReferenceCodeSequence = [coded(_PROCESSING_EQUIPMENT)]
    contribution.Manufacturer = MANUFACTURER
    contribution.ManufacturerModelName = provenance.MODEL_NAME
    contribution.SoftwareVersions = provenance.software_versions()
    contribution.ContributionDescription = description
    return contribution

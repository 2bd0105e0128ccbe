"""Writes the header that all derived objects share: patient, study, series, equipment, references.

PS3.3 C.7.1.1 (patient), C.7.2.1 (study), C.7.3.1 (series), C.7.4.1 (frame of reference), C.7.5.1
(equipment), C.12.1 (SOP common). Two runs write the same bytes, so no clock is read, except for the
date of the results of an undated study. Corrected results have the time of the correction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from totalmap.dicom.instance import read_dataset
from totalmap.dicom.volume import Volume
from totalmap.origin_in_dicom import MANUFACTURER, Origin
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.copied_attributes import (
    institution_of,
    is_plain,
    patient_and_study,
    referenced_requests,
    requests_of,
)
from totalmap.writers.dicom.moments import moment_in

# Dates of the source that can stand for the date of the content, each with its time.
_DATES = ("Study", "Series", "Acquisition", "Content")
_MIDNIGHT = "000000"
# SOP classes whose series state the requests that led to them in another way: PS3.3 C.17.1, C.17.2.
_DOCUMENTS = frozenset(("SR", "KO"))

# CID 7162 Surface Processing / Algorithm Family; 123110 in PS3.16 annex D.
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
# CID 7005 Contributing Equipment Purposes.
_PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKind:
    """A kind of DICOM object that we write.

    Attributes:
        name: One of the inputs of derived UIDs, so that two kinds never have the same UID.
        title: Part of the series description, for people who choose among the series.
    """

    name: ResultKind
    sop_class: UID
    modality: str
    title: str = ""


def derived_header(
    segmentation: Segmentation,
    settings: Settings,
    kind: ObjectKind,
    part: str = "",
    structures: Iterable[Structure] | None = None,
) -> Dataset:
    """Returns a new object of the patient and study of a volume, without any content.

    Args:
        segmentation: The source of the object.
        settings: The settings with the number and the description of the series.
        kind: The kind of object.
        part: Name of the part, if a kind has several objects; each has its own series.
        structures: Structures that the object holds if they are found; None: all of the
            segmentation.
    """
    source = segmentation.volume.slices[0].instance
    dataset = read_dataset(source)
    header = patient_and_study(dataset)
    header.update(institution_of(dataset))
    header.update(_requests(dataset, kind.modality))
    header.SOPClassUID = kind.sop_class
    header.SOPInstanceUID = identifiers.instance_uid(segmentation, settings, kind.name, part)
    header.Modality = kind.modality
    header.StudyInstanceUID = source.study_instance_uid
    header.SeriesInstanceUID = identifiers.series_uid(segmentation, settings, kind.name, part)
    header.SeriesNumber = settings.results.series_numbers.of(kind.name)
    header.SeriesDescription = identifiers.series_description(
        segmentation, settings, f"{kind.title} {part}".strip()
    )
    header.InstanceNumber = 1
    header.FrameOfReferenceUID = source.frame_of_reference_uid
    header.PositionReferenceIndicator = None
    header.ContentDate, header.ContentTime = _date_and_time(dataset)
    if segmentation.correction is not None:
        moment = moment_in(header, segmentation.correction.reviewer.at)
        header.ContentDate, header.ContentTime = moment.date, moment.time
    _add_equipment(header, Origin.of(segmentation, settings, structures))
    return header


def _requests(source: Dataset, modality: str) -> Dataset:
    return referenced_requests(source) if modality in _DOCUMENTS else requests_of(source)


def _date_and_time(source: Dataset) -> tuple[str, str]:
    """Returns date and time of the content: of the first date of the source that is valid.

    SEG, SR and Key Object Selection require both (type 1). A date without a valid time has
    midnight. If the source has no date, the content has the day of the run, at midnight, so that
    two runs on a day write the same bytes.
    """
    for name in _DATES:
        date, time = source.get(f"{name}Date"), source.get(f"{name}Time")
        if date and is_plain(f"{name}Date", date):
            return date, time if time and is_plain(f"{name}Time", time) else _MIDNIGHT
    return f"{datetime.now().astimezone():%Y%m%d}", _MIDNIGHT


def algorithm_identification(segmentation: Segmentation) -> Dataset:
    """Returns the item of Algorithm Identification (PS3.3 10.16)."""
    algorithm = Dataset()
    algorithm.AlgorithmFamilyCodeSequence = [code_item(ARTIFICIAL_INTELLIGENCE)]
    algorithm.AlgorithmName = identifiers.algorithm_name(segmentation)
    algorithm.AlgorithmVersion = identifiers.software_versions()
    algorithm.AlgorithmParameters = identifiers.algorithm_parameters(segmentation)
    algorithm.AlgorithmSource = MANUFACTURER
    return algorithm


def reference(instance_uid: str, class_uid: str) -> Dataset:
    """Returns the item that refers to an instance (PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID = class_uid
    item.ReferencedSOPInstanceUID = instance_uid
    return item


def series_reference(series_uid: str, references: list[Dataset]) -> Dataset:
    """Returns the item that refers to instances of a series (PS3.3 Table C.17-3a)."""
    series = Dataset()
    series.ReferencedSOPSequence = references
    series.SeriesInstanceUID = series_uid
    return series


def references_to(volume: Volume) -> list[Dataset]:
    """Returns an item for each file of a volume, in the order of its slices."""
    instances = [slice_.instance for slice_ in volume.slices]
    classes = {instance.sop_instance_uid: instance.sop_class_uid for instance in instances}
    return [reference(uid, class_uid) for uid, class_uid in classes.items()]


def referenced_series(volume: Volume) -> Dataset:
    """Returns the item of Common Instance Reference (PS3.3 C.12.2) with each file of the source."""
    series = Dataset()
    series.SeriesInstanceUID = volume.series_instance_uid
    series.ReferencedInstanceSequence = references_to(volume)
    return series


def _add_equipment(header: Dataset, origin: Origin) -> None:
    header.Manufacturer = MANUFACTURER
    header.ManufacturerModelName = identifiers.MODEL_NAME
    header.DeviceSerialNumber = identifiers.DEVICE_SERIAL_NUMBER
    header.SoftwareVersions = identifiers.software_versions()
    header.ContributingEquipmentSequence = [_contribution(line) for line in origin.lines()]


def _contribution(description: str) -> Dataset:
    contribution = Dataset()
    contribution.PurposeOfReferenceCodeSequence = [code_item(_PROCESSING_EQUIPMENT)]
    contribution.Manufacturer = MANUFACTURER
    contribution.ManufacturerModelName = identifiers.MODEL_NAME
    contribution.SoftwareVersions = identifiers.software_versions()
    contribution.ContributionDescription = description
    return contribution

"""Copies patient, study, positions and spacing from the source into a derived object.

Positions and spacing are the values that were checked when the study was read. Every attribute of
patient and study that can be read is copied unchanged, so that patients are never mixed up. An
attribute that can't be read, such as an invalid date, is left out.
"""

from collections.abc import Iterable, Sequence

from highdicom.enum import PatientSexValues, SpecificCharacterSetValues
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, VR, DSfloat

from totalmap.dicom.header import BROKEN_VALUE
from totalmap.dicom.slices import Slice
from totalmap.dicom.volume import Volume
from totalmap.writers.dicom.character_sets import NOT_DECODED, UTF_8

# Attributes of type 2, which may be empty (PS3.3 C.7.1.1, C.7.2.1) and which anonymisers remove.
CARRIED_OVER = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
# Further attributes of the study modules (PS3.3 C.7.2.1, C.12.1).
_MORE_OF_THE_STUDY = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "StudyDescription",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "AdmittingDiagnosesDescription",
)
_INSTITUTION = ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName")
# Patient and clinical trial.
_GROUPS = (0x0010, 0x0012)
_WANTED = frozenset(CARRIED_OVER + _MORE_OF_THE_STUDY)
# highdicom lacks the Korean character set.
_CHARACTER_SETS = frozenset(
    ["ISO 2022 IR 149", *(value.value for value in SpecificCharacterSetValues)]
)
# Sequences of the patient have two levels. With far more levels, pydicom fills the memory.
_DEEPEST = 8
_SEXES = ("", *(sex.value for sex in PatientSexValues))


def plane_position(slice_: Slice) -> Dataset:
    """Returns the item of Plane Position Sequence (PS3.3 C.7.6.16.2.3)."""
    position = Dataset()
    position.ImagePositionPatient = _decimals(slice_.plane.position_mm)
    return position


def plane_orientation(volume: Volume) -> Dataset:
    """Returns the item of Plane Orientation Sequence (PS3.3 C.7.6.16.2.4).

    It is that of the first slice; the slice audit makes sure that all others are equal.
    """
    orientation = Dataset()
    orientation.ImageOrientationPatient = _decimals(volume.slices[0].plane.cosines)
    return orientation


def image_plane(slice_: Slice) -> Dataset:
    """Returns position, orientation and spacing of a single image (PS3.3 C.7.6.2)."""
    plane = plane_position(slice_)
    plane.ImageOrientationPatient = _decimals(slice_.plane.cosines)
    plane.PixelSpacing = _decimals(slice_.plane.pixel_spacing_mm)
    return plane


def pixel_measures(volume: Volume, every: int = 1) -> Dataset:
    """Returns the item of Pixel Measures Sequence (PS3.3 C.7.6.16.2.1).

    Without a Slice Thickness, it is the distance between slices.

    Args:
        every: An object has every n-th slice of the volume.
    """
    first = volume.slices[0]
    step_mm = volume.geometry.spacing_mm[2]
    thickness_mm = first.frame.slice_thickness_mm
    if thickness_mm is None or thickness_mm <= 0:
        thickness_mm = step_mm
    measures = Dataset()
    measures.PixelSpacing = _decimals(first.plane.pixel_spacing_mm)
    (measures.SliceThickness,) = _decimals([thickness_mm])
    if volume.geometry.is_grid:
        (measures.SpacingBetweenSlices,) = _decimals([every * step_mm])
    return measures


def _decimals(values: Sequence[float]) -> list[DSfloat]:
    return [DSfloat(value, auto_format=True) for value in values]


def institution_of(source: Dataset) -> Dataset:
    """Returns the institution where the source was made (PS3.3 C.7.5.1), where it can be read."""
    return _readable(source, _INSTITUTION)


def requests_of(source: Dataset) -> Dataset:
    """Returns Request Attributes Sequence of the source (PS3.3 C.7.3.1), where it can be read."""
    return _readable(source, ["RequestAttributesSequence"])


def referenced_requests(source: Dataset) -> Dataset:
    """Returns the requests in the form of reports: Referenced Request Sequence (PS3.3 C.17.2).

    Args:
        source: A source instance, or an object that was made from one.
    """
    made = Dataset()
    requests = _readable(source, ["ReferencedRequestSequence"])
    if requests:
        return requests
    items = requests_of(source).get("RequestAttributesSequence", ())
    if items:
        made.ReferencedRequestSequence = [_referenced_request(item, source) for item in items]
    return made


def _referenced_request(request: Dataset, source: Dataset) -> Dataset:
    """Returns a request with every attribute that PS3.3 C.17.2 requires, empty if not known."""
    item = Dataset()
    item.StudyInstanceUID = request.get("StudyInstanceUID") or source.StudyInstanceUID
    item.ReferencedStudySequence = []
    item.AccessionNumber = request.get("AccessionNumber") or source.get("AccessionNumber")
    for keyword in ("PlacerOrderNumberImagingServiceRequest", "RequestedProcedureID"):
        setattr(item, keyword, request.get(keyword))
    item.FillerOrderNumberImagingServiceRequest = None
    item.RequestedProcedureDescription = request.get("RequestedProcedureDescription")
    item.RequestedProcedureCodeSequence = request.get("RequestedProcedureCodeSequence") or []
    return item


def _readable(source: Dataset, keywords: Iterable[str]) -> Dataset:
    """Returns the attributes among the keywords that are present, not empty and can be read."""
    carried = Dataset()
    for keyword in keywords:
        try:
            element = source[keyword]
            if not element.is_empty:
                carried.add(_understood(element))
        except BROKEN_VALUE:
            continue  # no other reader could read it either
    return carried


def patient_and_study(source: Dataset) -> Dataset:
    """Returns the attributes of patient and study that can be read, unchanged.

    Args:
        source: A source instance, or an object that was made from one.
    """
    carried = Dataset()
    for tag in sorted(source.keys()):
        try:
            element = source[tag]
            if tag.group in _GROUPS or element.keyword in _WANTED:
                carried.add(_understood(element))
        except BROKEN_VALUE:
            continue  # no other reader could read it either
    if not _is_known(carried.get("SpecificCharacterSet")):
        carried.SpecificCharacterSet = UTF_8
    for keyword in CARRIED_OVER:
        if not is_plain(keyword, carried.get(keyword)):
            setattr(carried, keyword, None)
    return carried


def _understood(element: DataElement, depth: int = 0) -> DataElement:
    """Returns an element after reading every value of every item in it.

    Args:
        element: The element.
        depth: Number of sequences that it lies in.

    Raises:
        ValueError: Its VR is not the one of PS3.6, it lies too deep, or it holds bytes that can't
            be decoded: they would be written as other bytes.
    """
    if depth > _DEEPEST or element.VR not in {dictionary_VR(element.tag)} - {VR.UN}:
        raise ValueError("an element of an unexpected kind")
    if element.VR == VR.SQ:
        items = [_understood_item(item, depth + 1) for item in element.value]
        return DataElement(element.tag, VR.SQ, items)
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    if any(sign in str(value) for value in values for sign in NOT_DECODED):
        raise ValueError("bytes that can't be decoded")
    return element


def _understood_item(source: Dataset, depth: int) -> Dataset:
    item = Dataset()
    for tag in sorted(source.keys()):
        item.add(_understood(source[tag], depth))
    if not _is_known(item.get("SpecificCharacterSet")):
        raise ValueError("an unknown character set")
    return item


def is_plain(keyword: str, value: object) -> bool:
    """Returns whether a value is single and, if it is a date, a time or a sex, a valid one."""
    try:
        if keyword.endswith("Date"):
            DA(value)
        if keyword.endswith("Time"):
            TM(value)
    except BROKEN_VALUE:
        return False
    if value is None or isinstance(value, MultiValue):
        return False
    return keyword != "PatientSex" or value in _SEXES


def _is_known(character_sets: object) -> bool:
    """Returns whether all character sets, if any, are in PS3.3 C.12.1.1.2.

    The first of several may be empty, which means ASCII.
    """
    if character_sets is None:
        return True
    if not isinstance(character_sets, MultiValue):
        return character_sets in _CHARACTER_SETS
    first, *others = character_sets
    return first in ("", *_CHARACTER_SETS) and all(name in _CHARACTER_SETS for name in others)

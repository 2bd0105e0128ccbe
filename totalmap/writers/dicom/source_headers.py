"""What an object that is derived from a volume takes over from its source.

Positions and spacing are the values that were checked when the study was read. Of patient and study
everything is carried over that can be understood: a study is not lost because of a date that is no
date, and a patient is never mixed up, for nothing is changed.
"""

from collections.abc import Sequence

from highdicom.enum import PatientSexValues, SpecificCharacterSetValues
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, VR, DSfloat

from totalmap.dicom.header import BROKEN_VALUE
from totalmap.dicom.instance import Instance, read_dataset
from totalmap.dicom.slices import Slice
from totalmap.dicom.volume import Volume

# Attributes of type 2, which may be empty (PS3.3 C.7.1.1, C.7.2.1) and which anonymisers leave out
# altogether.
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
# What else the study modules hold (PS3.3 C.7.2.1, C.12.1).
_MORE_OF_THE_STUDY = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "StudyDescription",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "AdmittingDiagnosesDescription",
)
# Patient and clinical trial.
_GROUPS = (0x0010, 0x0012)
_WANTED = frozenset(CARRIED_OVER + _MORE_OF_THE_STUDY)
UTF_8 = "ISO_IR 192"
# highdicom lacks the Korean one.
_CHARACTER_SETS = frozenset(["ISO 2022 IR 149", *(one.value for one in SpecificCharacterSetValues)])
# Patient's sequences hold two levels. Out of stack, pydicom writes until memory ends.
_DEEPEST = 8
# What decoders leave where bytes are not of the character set: a replacement, or the escape.
_NOT_DECODED = ("\ufffd", "\x1b")
_SEXES = ("", *(sex.value for sex in PatientSexValues))


def plane_position(one: Slice) -> Dataset:
    """Returns the item of Plane Position Sequence (PS3.3 C.7.6.16.2.3)."""
    position = Dataset()
    position.ImagePositionPatient = _decimals(one.plane.position_mm)
    return position


def plane_orientation(volume: Volume) -> Dataset:
    """Returns the item of Plane Orientation Sequence (PS3.3 C.7.6.16.2.4).

    That of the first slice; the audit let no other one pass.
    """
    orientation = Dataset()
    orientation.ImageOrientationPatient = _decimals(volume.slices[0].plane.cosines)
    return orientation


def pixel_measures(volume: Volume) -> Dataset:
    """Returns the item of Pixel Measures Sequence (PS3.3 C.7.6.16.2.1).

    Where no thickness is said, slices reach to the next one.
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
        (measures.SpacingBetweenSlices,) = _decimals([step_mm])
    return measures


def _decimals(values: Sequence[float]) -> list[DSfloat]:
    return [DSfloat(value, auto_format=True) for value in values]


def patient_and_study(instance: Instance) -> Dataset:
    """Returns what says whose study it is, as far as it can be understood."""
    carried = Dataset()
    source = read_dataset(instance)
    for tag in sorted(source.keys()):
        try:
            element = source[tag]
            if tag.group in _GROUPS or element.keyword in _WANTED:
                carried.add(_understood(element))
        except BROKEN_VALUE:
            continue  # neither can anybody else read it
    if not _is_known(carried.get("SpecificCharacterSet")):
        carried.SpecificCharacterSet = UTF_8
    for keyword in CARRIED_OVER:
        if not _is_plain(keyword, carried.get(keyword)):
            setattr(carried, keyword, None)
    return carried


def _understood(element: DataElement, depth: int = 0) -> DataElement:
    """Returns an element that was read to the last value of the last item.

    Args:
        depth: In how many sequences it lies.

    Raises:
        ValueError: It is not of the kind that PS3.6 says, lies too deep, or holds bytes that are no
            text: they would be written as other ones.
    """
    if depth > _DEEPEST or element.VR not in {dictionary_VR(element.tag)} - {VR.UN}:
        raise ValueError("an element of an unexpected kind")
    if element.VR == VR.SQ:
        items = [_understood_item(one, depth + 1) for one in element.value]
        return DataElement(element.tag, VR.SQ, items)
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    if any(sign in str(value) for value in values for sign in _NOT_DECODED):
        raise ValueError("bytes that are no text")
    return element


def _understood_item(source: Dataset, depth: int) -> Dataset:
    item = Dataset()
    for tag in sorted(source.keys()):
        item.add(_understood(source[tag], depth))
    if not _is_known(item.get("SpecificCharacterSet")):
        raise ValueError("an unknown character set")
    return item


def _is_plain(keyword: str, value: object) -> bool:
    """Whether a library takes a value for what it should be: it reads dates, times and sexes."""
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
    """Whether there is none, or all are in PS3.3 C.12.1.1.2; texts are decoded by now anyway.

    Of several, the first may be empty: ASCII.
    """
    if character_sets is None:
        return True
    if not isinstance(character_sets, MultiValue):
        return character_sets in _CHARACTER_SETS
    first, *others = character_sets
    return first in ("", *_CHARACTER_SETS) and all(name in _CHARACTER_SETS for name in others)

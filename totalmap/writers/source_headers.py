"""What an object that is derived from a volume has to know of its source.

Libraries that write such objects trust the source's header. They get the values that were checked
when the study was read and, of the rest, what can be understood: a study is not lost because of a
date that is no date, and a patient is never mixed up, for nothing is changed.
"""

from collections.abc import Sequence

from highdicom.enum import PatientSexValues, SpecificCharacterSetValues
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import DA, TM, DSfloat

from totalmap.dicom.header import BROKEN_VALUE
from totalmap.dicom.identity import UID_KEYWORDS
from totalmap.dicom.instance import Instance, read_dataset
from totalmap.dicom.stacks import Slice
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
# Identification, patient, clinical trial, visit.
_GROUPS = (0x0008, 0x0010, 0x0012, 0x0032, 0x0038)
UTF_8 = "ISO_IR 192"
_CHARACTER_SETS = frozenset(one.value for one in SpecificCharacterSetValues)
_SEXES = ("", *(sex.value for sex in PatientSexValues))


def source_headers(volume: Volume) -> list[Dataset]:
    """Returns a header of each file of the volume, in the order of the slices, each file once.

    Patient and study stand in the first.
    """
    files: dict[str, list[Slice]] = {}
    for one in volume.slices:
        files.setdefault(one.instance.sop_instance_uid, []).append(one)
    headers = [_header(slices, volume) for slices in files.values()]
    first = _carried_over(volume.slices[0].instance)
    first.update(headers[0])
    return [first, *headers[1:]]


def _header(slices: Sequence[Slice], volume: Volume) -> Dataset:
    instance = slices[0].instance
    header = Dataset()
    for keyword, uid in zip(UID_KEYWORDS, instance.uids, strict=True):
        setattr(header, keyword, UID(uid))
    header.Modality = instance.modality
    header.Rows, header.Columns = instance.rows, instance.columns
    if len(instance.frames) > 1:
        _add_frames(header, instance, volume)
    else:
        header.update(_position(slices[0].plane.position_mm))
        header.update(_orientation(volume))
        header.update(_measures(volume))
    return header


def _add_frames(header: Dataset, instance: Instance, volume: Volume) -> None:
    """Adds functional groups; a frame without a position gets that of another one.

    No frame of the result refers to it: `seg` keeps the frames of the volume alone.
    """
    some = volume.slices[0].plane
    header.NumberOfFrames = len(instance.frames)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_measures(volume)]
    shared.PlaneOrientationSequence = [_orientation(volume)]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = []
    for frame in instance.frames:
        groups = Dataset()
        groups.PlanePositionSequence = [_position((frame.plane or some).position_mm)]
        header.PerFrameFunctionalGroupsSequence.append(groups)


def _position(position_mm: Sequence[float]) -> Dataset:
    position = Dataset()
    position.ImagePositionPatient = _decimals(position_mm)
    return position


def _orientation(volume: Volume) -> Dataset:
    """Returns the orientation of the first slice; the audit let no other one pass."""
    orientation = Dataset()
    orientation.ImageOrientationPatient = _decimals(volume.slices[0].plane.cosines)
    return orientation


def _measures(volume: Volume) -> Dataset:
    """Returns pixel spacing and thickness: where none is said, slices reach to the next one."""
    first = volume.slices[0]
    thickness_mm = first.frame.slice_thickness_mm
    if thickness_mm is None or thickness_mm <= 0:
        thickness_mm = volume.geometry.spacing_mm[2]
    measures = Dataset()
    measures.PixelSpacing = _decimals(first.plane.pixel_spacing_mm)
    (measures.SliceThickness,) = _decimals([thickness_mm])
    return measures


def _decimals(values: Sequence[float]) -> list[DSfloat]:
    return [DSfloat(value, auto_format=True) for value in values]


def _carried_over(instance: Instance) -> Dataset:
    """Returns what says whose study it is, as far as it can be understood."""
    carried = Dataset()
    source = read_dataset(instance)
    for tag in sorted(source.keys()):
        try:
            element = source[tag]
            is_wanted = tag.group in _GROUPS or element.keyword in CARRIED_OVER
            if is_wanted and element.VR in {dictionary_VR(tag)} - {"SQ", "UN"}:
                carried.add(element)
        except BROKEN_VALUE:
            continue  # neither can anybody else read it
    if not _is_known(carried.get("SpecificCharacterSet")):
        carried.SpecificCharacterSet = UTF_8
    for keyword in CARRIED_OVER:
        if not _is_plain(keyword, carried.get(keyword)):
            setattr(carried, keyword, None)
    return carried


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
    """Whether there is none, or all are in PS3.3 C.12.1.1.2; texts are decoded by now anyway."""
    if character_sets is None:
        return True
    names = character_sets if isinstance(character_sets, MultiValue) else [character_sets]
    return all(name in _CHARACTER_SETS for name in names)

"""Assesses the headers of a series: patient, image type, geometry, contrast, kernel."""

import re
from collections.abc import Iterator
from datetime import date

from pydicom.tag import BaseTag, Tag

from totalmap.dicom.file_reader import read_header
from totalmap.dicom.frame import is_sharp_kernel
from totalmap.dicom.geometry import NEGLIGIBLE_TILT_DEGREES, Geometry
from totalmap.dicom.header import Header
from totalmap.dicom.image_kinds import NOT_HU
from totalmap.dicom.volume import Volume
from totalmap.finding import Finding, Severity
from totalmap.selection_settings import Orientation
from totalmap.structures import Face
from totalmap.texts.catalogue import Joined, Message

# Dice 0.81 in adults, 0.73 in children: 10.1007/s10278-024-01273-w.
ADULT_YEARS = 16
# The networks work at 1.5 or 3 mm; thicker slices miss small organs.
MAX_THICKNESS_MM = 5.0
# With less, the rules about levels and volumes do not apply
# (quality/plausibility/assess_plausibility.py).
MIN_COVERAGE_MM = 100.0
# Below, iodine and bone have much higher values than at the usual 100 or 120 kV.
MIN_KVP = 80.0

# Tasks that were trained on contrast-enhanced CT only, or find nothing without a contrast agent.
NEED_CONTRAST = frozenset(
    {
        "aortic_dissection",  # TotalSegmentator's own aorta report leaves it out in native CT
        "coronary_arteries_LEGACY",  # TotalSegmentator#26, #333; its successor was trained on both
        "liver_vessels",  # the portal venous phase: Simpson 2019, arXiv 1902.09063
    }
)

# Kinds of series by the words of Image Type, its vendor's part included; the first match counts.
# PS3.3 C.7.6.1.1.2, C.8.2.1.1.1, C.8.16.1.3 and C.8.16.1.4.
_KINDS = (
    ("LOCALIZER", ("LOCALIZER",)),
    ("PROJECTION", ("MIP", "MAX_IP", "MAXIMUM", "MINIP", "MIN_IP", "MINIMUM", "PROJECTION")),
    ("REFORMAT", ("MPR", "CURVED_MPR", "REFORMATTED")),
    ("PROJECTION", ("AVERAGE", "MEAN")),
    ("DERIVED", ("SECONDARY", "DERIVED")),
)
# The words for a kind in the catalogues, where they say more than its code.
_KIND_KEYS = {
    "MIP": "maximum",
    "MAX_IP": "maximum",
    "MINIP": "minimum",
    "MIN_IP": "minimum",
    "SECONDARY": "secondary",
}

_AGE = re.compile(r"(\d{1,3})([DWMY])")  # VR AS
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
_PATIENT_TAGS: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in (
        *("PatientAge", "PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate"),
        *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    )
]


def header_findings(volume: Volume) -> tuple[Finding, ...]:
    """Returns the findings about the headers of a series of any modality."""
    return (
        *_other_patient(volume),
        *_child(volume),
        *_part(volume),
        *_kind(volume),
        *_short(volume.geometry),
    )


def geometry_findings(volume: Volume, task: str) -> tuple[Finding, ...]:
    """Returns the findings about a volume without DICOM headers.

    Args:
        volume: A volume from a NIfTI file.
        task: TotalSegmentator's name of the task.
    """
    of_ct = (*_thick(volume), *_tilt(volume.geometry), *_contrast(volume, task))
    return (*_short(volume.geometry), *(of_ct if volume.modality == "CT" else ()))


def ct_header_findings(volume: Volume, task: str) -> tuple[Finding, ...]:
    """Returns the findings about the headers of a CT series.

    Args:
        volume: The volume of the series.
        task: TotalSegmentator's name of the task.
    """
    return (
        *_unit(volume),
        *_thick(volume),
        *_tilt(volume.geometry),
        *_contrast(volume, task),
        *_low_voltage(volume),
        *_sharp(volume),
    )


def _other_patient(volume: Volume) -> Iterator[Finding]:
    names = volume.patient_disagreements
    if names:
        yield Finding(
            code="OTHER_PATIENT",
            severity=Severity.REVIEW,
            sentence=Message("finding.OTHER_PATIENT", names=Joined(tuple(names))),
        )


def _child(volume: Volume) -> Iterator[Finding]:
    # Read here, so that no patient attribute is ever stored in our types.
    with volume.slices[0].instance.path.open("rb") as file:
        header = Header(read_header(file, _PATIENT_TAGS))
    if is_child(header):
        yield Finding(
            code="CHILD",
            severity=Severity.REVIEW,
            sentence=Message("finding.CHILD", years=ADULT_YEARS),
            limit=ADULT_YEARS,
            unit="a",
        )


def is_child(header: Header) -> bool:
    """Returns whether the patient is younger than ADULT_YEARS.

    The age is Patient's Age, else it follows from the dates of birth and study. De-identifiers
    write an age of 0 years, or the same date for both; neither counts as an age.
    """
    is_identity_removed = _is_identity_removed(header)
    age = _AGE.fullmatch(header.text("PatientAge").upper())
    if age and (int(age[1]) > 0 or not (is_identity_removed or age[2] == "Y")):
        return int(age[1]) < ADULT_YEARS * _PER_YEAR[age[2]]
    birth = _date(header.moment("PatientBirthDate"))
    study = _date(header.moment("StudyDate", "SeriesDate", "AcquisitionDate"))
    if birth is None or study is None or study < birth:
        return False
    if is_identity_removed and study == birth:
        return False
    years = study.year - birth.year - ((study.month, study.day) < (birth.month, birth.day))
    return years < ADULT_YEARS


def _is_identity_removed(header: Header) -> bool:
    """Returns whether the header says that it was de-identified (PS3.3 C.7.1.1)."""
    return header.code("PatientIdentityRemoved") == "YES" or header.has(
        "DeidentificationMethod", "DeidentificationMethodCodeSequence"
    )


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.replace(".", "-"))  # with points: ACR-NEMA
    except ValueError:
        return None


def _part(volume: Volume) -> Iterator[Finding]:
    coverage = volume.coverage
    if coverage is not None and not coverage.is_whole:
        yield Finding(
            code="PARTIAL_SERIES",
            severity=Severity.REVIEW,
            sentence=Message(
                "finding.PARTIAL_SERIES",
                used=coverage.used,
                of=coverage.of,
                elsewhere=Message("coverage.where", elsewhere=coverage.elsewhere)
                if coverage.elsewhere
                else "",
            ),
            value=coverage.used,
            limit=coverage.of,
            unit="{slices}",
        )


def _kind(volume: Volume) -> Iterator[Finding]:
    values = {value for item in volume.slices for value in item.frame.image_type}
    words = {word for value in values for word in value.split()}
    orientation = volume.slices[0].plane.orientation
    for code, candidates in _KINDS:
        found = [word for word in candidates if word in words]
        if found:
            severity = Severity.INFORMATION if found[0] == "DERIVED" else Severity.REVIEW
            yield _of_kind(code, _KIND_KEYS.get(found[0], code), severity)
            return
        if code == "REFORMAT" and volume.modality == "CT" and orientation is not Orientation.AXIAL:
            yield _of_kind(code, code, Severity.REVIEW, orientation)
            return


def _of_kind(
    code: str, kind: str, severity: Severity, orientation: Orientation | None = None
) -> Finding:
    """Returns the finding that a series is no original slices, of a kind of the catalogues."""
    meaning = Message(f"kind.{kind}")
    if orientation is not None:
        words = Message(f"orientation.{orientation}")
        meaning = Message("kind.with_orientation", kind=meaning, orientation=words)
    sentence = Message("finding.KIND", kind=meaning)
    return Finding(code=code, severity=severity, sentence=sentence)


def _short(geometry: Geometry) -> Iterator[Finding]:
    height_mm = _height_mm(geometry)
    if height_mm < MIN_COVERAGE_MM:
        yield Finding(
            code="SHORT_COVERAGE",
            severity=Severity.REVIEW,
            sentence=Message(
                "finding.SHORT_COVERAGE", height_mm=float(height_mm), limit=MIN_COVERAGE_MM
            ),
            value=round(height_mm, 1),
            limit=MIN_COVERAGE_MM,
            unit="mm",
        )


def upright_axis(geometry: Geometry) -> int:
    """Returns the axis of (k, j, i) that is closest to the direction from feet to head."""
    return next(axis for axis, faces in enumerate(geometry.faces) if Face.SUPERIOR in faces)


def _height_mm(geometry: Geometry) -> float:
    axis = upright_axis(geometry)
    if axis == 0:
        return geometry.coverage_mm
    return (geometry.shape[axis] - 1) * geometry.spacing_mm[2 - axis]


def _unit(volume: Volume) -> Iterator[Finding]:
    units = sorted({item.frame.unit for item in volume.slices} & NOT_HU.keys())
    if units:
        yield Finding(
            code="NOT_HU",
            severity=Severity.REVIEW,
            sentence=Message("finding.NOT_HU", unit=Message(f"unit.{units[0]}")),
        )


def _thick(volume: Volume) -> Iterator[Finding]:
    thicknesses_mm = [item.frame.slice_thickness_mm or 0.0 for item in volume.slices]
    thickness_mm = round(max([*thicknesses_mm, volume.geometry.spacing_mm[2]]), 1)
    if thickness_mm > MAX_THICKNESS_MM:
        yield Finding(
            code="THICK_SLICES",
            severity=Severity.REVIEW,
            sentence=Message(
                "finding.THICK_SLICES",
                thickness_mm=float(thickness_mm),
                limit=MAX_THICKNESS_MM,
            ),
            value=thickness_mm,
            limit=MAX_THICKNESS_MM,
            unit="mm",
        )


def _tilt(geometry: Geometry) -> Iterator[Finding]:
    if geometry.tilt_degrees > NEGLIGIBLE_TILT_DEGREES:
        yield Finding(
            code="TILT",
            severity=Severity.INFORMATION,
            sentence=Message(
                "finding.TILT",
                degrees=float(geometry.tilt_degrees),
                limit=float(NEGLIGIBLE_TILT_DEGREES),
            ),
            value=round(geometry.tilt_degrees, 1),
            limit=NEGLIGIBLE_TILT_DEGREES,
            unit="deg",
        )


def _contrast(volume: Volume, task: str) -> Iterator[Finding]:
    if task in NEED_CONTRAST and not any(item.frame.has_contrast for item in volume.slices):
        yield Finding(
            code="CONTRAST",
            severity=Severity.REVIEW,
            sentence=Message("finding.CONTRAST", task=task),
        )


def _low_voltage(volume: Volume) -> Iterator[Finding]:
    kvp = volume.slices[0].frame.kvp
    if kvp is not None and 0 < kvp < MIN_KVP:
        yield Finding(
            code="LOW_KVP",
            severity=Severity.INFORMATION,
            sentence=Message("finding.LOW_KVP", kvp=float(kvp), limit=MIN_KVP),
            value=kvp,
            limit=MIN_KVP,
            unit="kV",
        )


def _sharp(volume: Volume) -> Iterator[Finding]:
    if is_sharp_kernel(volume.slices[0].frame.kernel):
        yield Finding(
            code="SHARP_KERNEL",
            severity=Severity.INFORMATION,
            sentence=Message("finding.SHARP_KERNEL"),
        )

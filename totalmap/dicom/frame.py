"""Reads what a header says of one image: a classic file, or a frame of a multi-frame file."""

import math
import re
from dataclasses import dataclass

from totalmap.dicom.geometry import Plane
from totalmap.dicom.header import Header

# Microscopes and projections have pixels of other sizes; tables are some metres long.
PIXEL_SPACING_MM = (1e-3, 1e3)
MAX_POSITION_MM = 1e5
# HU reach from -1024 to 30 000 on extended scales, stored values to 65535.
MAX_RESCALE = 1e6
# Cosines are written with four decimals or more.
UNIT_TOLERANCE = 1e-3

FRAME_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "ImageType",
    "ConvolutionKernel",
    "InstanceNumber",
    "AcquisitionNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "TemporalPositionIdentifier",
    "EchoTime",
    "DiffusionBValue",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
    "KVP",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """Output value = slope * stored value + intercept (PS3.3 C.11.1)."""

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image: the only one of a classic file, or one frame of a multi-frame file.

    Attributes:
        number: Number of the frame in its file, from 1.
        instance_number: Instance Number; in a multi-frame file, the number of the frame.
        plane: Position and orientation; None if the header has none.
        fault: Why the frame can't be used; empty if it can.
        rescale: None if the header has none.
        unit: Rescale Type, the unit of the rescaled values; empty if the header has none.
        slice_spacing_mm: Spacing Between Slices; distances are measured by positions instead.
    """

    number: int
    plane: Plane | None
    fault: str
    rescale: Rescale | None
    unit: str
    slice_thickness_mm: float | None
    slice_spacing_mm: float | None
    image_type: tuple[str, ...]
    kernel: str
    instance_number: int
    acquisition_number: int | None
    acquisition_time: str
    temporal_position: int | None
    echo_time_ms: float | None
    b_value: float | None
    cardiac_phase_percent: float | None
    trigger_time_ms: float | None
    kvp: float | None
    has_contrast: bool


# Siemens numbers kernels by sharpness, from 10 to 89; GE, Philips and Canon use words.
SHARP_NUMBER = 50
SHARP_WORDS = ("BONE", "LUNG", "EDGE", "SHARP", "DETAIL", "YB", "YC")
_SIEMENS = re.compile(r"^[A-Z][A-Z]?(\d\d)")


def is_sharp_kernel(kernel: str) -> bool:
    """Returns whether a kernel is made for bone or lung; most training data has soft kernels.

    Args:
        kernel: The first value of Convolution Kernel (0018,1210), in capitals.
    """
    siemens = _SIEMENS.match(kernel)
    if siemens:
        return int(siemens.group(1)) >= SHARP_NUMBER
    return any(word in kernel for word in SHARP_WORDS)


def read_frame(header: Header, number: int, *, is_only: bool, pixel_fault: str) -> Frame:
    """Returns a frame from its header.

    Args:
        header: Header of the frame, see Header.frames.
        number: Number of the frame in its file, from 1.
        is_only: Whether the file has no other frame.
        pixel_fault: Why the pixels of the whole file can't be used; empty if they can.
    """
    plane, plane_fault = _plane(header)
    rescale, rescale_fault = _rescale(header)
    return Frame(
        number=number,
        plane=plane,
        fault=pixel_fault or plane_fault or rescale_fault,
        rescale=rescale,
        unit=header.text("RescaleType").upper(),
        slice_thickness_mm=header.number("SliceThickness"),
        slice_spacing_mm=header.number("SpacingBetweenSlices"),
        image_type=header.words("FrameType", "ImageType"),
        kernel=next(iter(header.words("ConvolutionKernel")), ""),
        instance_number=header.integer("InstanceNumber") or 0 if is_only else number,
        acquisition_number=header.integer("FrameAcquisitionNumber", "AcquisitionNumber"),
        acquisition_time=header.moment("FrameAcquisitionDateTime", "AcquisitionDateTime")
        or header.moment("AcquisitionDate") + header.moment("AcquisitionTime"),
        temporal_position=header.integer("TemporalPositionIndex", "TemporalPositionIdentifier"),
        echo_time_ms=header.number("EffectiveEchoTime", "EchoTime"),
        b_value=header.number("DiffusionBValue"),
        cardiac_phase_percent=header.number("NominalPercentageOfCardiacPhase"),
        trigger_time_ms=header.number("NominalCardiacTriggerDelayTime", "TriggerTime"),
        kvp=header.number("KVP"),
        has_contrast=header.has("ContrastBolusAgent", "ContrastBolusAgentSequence"),
    )


def _plane(header: Header) -> tuple[Plane | None, str]:
    """Returns the plane of a frame, or why it has none."""
    position = header.numbers(3, "ImagePositionPatient")
    cosines = header.numbers(6, "ImageOrientationPatient")
    spacing = header.numbers(2, "PixelSpacing")
    if position is None or max(map(abs, position)) > MAX_POSITION_MM:
        return None, "no valid Image Position (Patient)"
    if cosines is None:
        return None, "no valid Image Orientation (Patient)"
    low, high = PIXEL_SPACING_MM
    if spacing is None or not (low <= min(spacing) and max(spacing) <= high):
        return None, "no valid Pixel Spacing"
    row, column = cosines[:3], cosines[3:]
    lengths = math.hypot(*row), math.hypot(*column)
    product = sum(a * b for a, b in zip(row, column, strict=True))
    if abs(product) > UNIT_TOLERANCE or any(abs(length - 1) > UNIT_TOLERANCE for length in lengths):
        return None, "Image Orientation (Patient) is not two perpendicular directions"
    return Plane(position_mm=position, cosines=cosines, pixel_spacing_mm=spacing), ""


def _rescale(header: Header) -> tuple[Rescale | None, str]:
    """Returns the rescale, None if there is none, and why it can't be used."""
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if header.malformed & {"RescaleSlope", "RescaleIntercept"}:
        return None, "Rescale Slope or Intercept is not a number"
    if slope is None and intercept is None:
        has_table = header.has("ModalityLUTSequence")
        return None, "a Modality LUT Sequence, which is not applied" if has_table else ""
    rescale = Rescale(slope=1.0 if slope is None else slope, intercept=intercept or 0.0)
    if rescale.slope == 0 or max(abs(rescale.slope), abs(rescale.intercept)) > MAX_RESCALE:
        return None, f"Rescale Slope {rescale.slope:g} and Intercept {rescale.intercept:g}"
    return rescale, ""

"""One DICOM file: what its header says, frame by frame, and why a frame can't be used."""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from totalmap.dicom.geometry import Plane
from totalmap.dicom.header import Header
from totalmap.dicom.identity import UID_KEYWORDS

# No scanner makes larger images; Rows and Columns can say up to 65535 (PS3.3 C.7.6.3.1).
MAX_MATRIX = 8192
# HU reach from -1024 to 30 000 on extended scales, stored values to 65535.
MAX_RESCALE = 1e6
# Cosines are written with four decimals or more.
UNIT_TOLERANCE = 1e-3

PIXEL_DATA = b"\xe0\x7f\x10\x00"
PIXEL_DATA_BIG_ENDIAN = b"\x7f\xe0\x00\x10"
UNDEFINED_LENGTH = 0xFFFFFFFF

_INSTANCE_KEYWORDS = (
    *UID_KEYWORDS,
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesTime",
    "BodyPartExamined",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_FRAME_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
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
class PixelFormat:
    """How the pixels of an instance are stored (PS3.3 C.7.6.3).

    Attributes:
        padding: The lowest and the highest stored value that mean "no image here".
        offset: Where native pixels begin in the file; None where a decoder has to find them.
    """

    transfer_syntax: UID
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    padding: tuple[int, int] | None
    offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image: the only one of a classic file, or one frame of a multi-frame file.

    Attributes:
        number: The place of the frame in its file, from 1.
        instance_number: Instance Number; in a multi-frame file the number of the frame.
        plane: Where it lies; None where the header does not say.
        fault: Why it can't be used, empty if it can.
        rescale: None where the header has none.
    """

    number: int
    plane: Plane | None
    fault: str
    rescale: Rescale | None
    slice_thickness_mm: float | None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One DICOM file. UIDs that were empty are replaced by derived ones and named.

    Attributes:
        frames: Empty where the instance is no image.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    frame_of_reference_uid: str
    modality: str
    series_number: int | None
    series_description: str
    series_time: str
    body_part: str
    rows: int
    columns: int
    pixels: PixelFormat
    frames: tuple[Frame, ...]
    repaired_uids: tuple[str, ...] = ()


def read_instance(path: Path) -> Instance | None:
    """Returns what the header of a file says, or None for a file that is no DICOM instance.

    Raises:
        OSError: The file can't be read.
        Exception: One of BROKEN_FILE; the file begins like DICOM and can't be understood.
    """
    with path.open("rb") as file:
        try:
            dataset = pydicom.dcmread(
                file,
                stop_before_pixels=True,
                specific_tags=[*_INSTANCE_KEYWORDS, *_FRAME_KEYWORDS],
            )
        except InvalidDicomError:
            return None
        meta, header = Header(dataset.file_meta), Header(dataset)
        if meta.text("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return None
        if not header.text("SOPClassUID") and not header.text("Modality"):
            # pydicom returns what it has when a file breaks off.
            raise ValueError("neither SOP Class UID nor Modality")
        syntax = UID(meta.text("TransferSyntaxUID") or ImplicitVRLittleEndian)
        offset, length = _find_native_pixels(file, syntax)
    return _instance(path, header, _pixel_format(header, syntax, offset), length)


def read_dataset(instance: Instance, *, with_pixels: bool = False) -> Dataset:
    """Returns all attributes of an instance, its empty UIDs filled with the derived ones."""
    dataset = pydicom.dcmread(instance.path, stop_before_pixels=not with_pixels)
    derived = dict(zip(UID_KEYWORDS, _uids(instance), strict=True))
    for keyword in instance.repaired_uids:
        setattr(dataset, keyword, derived[keyword])
    return dataset


def missing_uids(instance: Instance) -> tuple[str, ...]:
    """Returns the keywords of the UIDs that an instance must have and that are empty.

    Only what has a position needs a frame of reference (PS3.3 C.7.4.1): reports have none.
    """
    has_position = any(frame.plane for frame in instance.frames)
    return tuple(
        keyword
        for keyword, uid in zip(UID_KEYWORDS, _uids(instance), strict=True)
        if not uid and (has_position or keyword != "FrameOfReferenceUID")
    )


def _uids(instance: Instance) -> tuple[str, ...]:
    return (
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.series_instance_uid,
        instance.study_instance_uid,
        instance.frame_of_reference_uid,
    )


def _find_native_pixels(file: BinaryIO, syntax: UID) -> tuple[int | None, int | None]:
    """Returns where native pixels begin, and how many bytes of them the file holds.

    None where a decoder has to tell. The file stands where pydicom stopped: at the tag of the
    pixel data (PS3.5 7.1).
    """
    if syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
        return None, None
    tag = PIXEL_DATA if syntax.is_little_endian else PIXEL_DATA_BIG_ENDIAN
    head = file.read(8 if syntax.is_implicit_VR else 12)
    if len(head) < 8 or head[:4] != tag:
        return None, 0
    (length,) = struct.unpack("<L" if syntax.is_little_endian else ">L", head[-4:])
    offset = file.tell()
    rest = os.fstat(file.fileno()).st_size - offset
    return offset, 0 if length == UNDEFINED_LENGTH else min(length, rest)


def _pixel_format(header: Header, syntax: UID, offset: int | None) -> PixelFormat:
    padding = header.integer("PixelPaddingValue")
    limit = header.integer("PixelPaddingRangeLimit")
    ends = [value for value in (padding, limit) if value is not None]
    return PixelFormat(
        transfer_syntax=syntax,
        samples=header.integer("SamplesPerPixel") or 1,
        bits_allocated=header.integer("BitsAllocated") or 0,
        bits_stored=header.integer("BitsStored") or 0,
        is_signed=header.integer("PixelRepresentation") == 1,
        padding=None if padding is None else (min(ends), max(ends)),
        offset=offset,
    )


def _instance(path: Path, header: Header, pixels: PixelFormat, length: int | None) -> Instance:
    rows, columns = header.integer("Rows") or 0, header.integer("Columns") or 0
    frames: tuple[Frame, ...] = ()
    if rows and columns:
        headers = list(header.frames())
        fault = _pixel_fault(header, rows, columns, pixels, len(headers), length)
        frames = tuple(
            _frame(one, number, len(headers) == 1, fault)
            for number, one in enumerate(headers, start=1)
        )
    return Instance(
        path=path,
        sop_class_uid=header.text("SOPClassUID"),
        sop_instance_uid=header.text("SOPInstanceUID"),
        series_instance_uid=header.text("SeriesInstanceUID"),
        study_instance_uid=header.text("StudyInstanceUID"),
        frame_of_reference_uid=header.text("FrameOfReferenceUID"),
        modality=header.text("Modality").upper(),
        series_number=header.integer("SeriesNumber"),
        series_description=header.text("SeriesDescription"),
        series_time=header.text("SeriesTime"),
        body_part=header.text("BodyPartExamined").upper(),
        rows=rows,
        columns=columns,
        pixels=pixels,
        frames=frames,
    )


def _pixel_fault(
    header: Header, rows: int, columns: int, pixels: PixelFormat, groups: int, length: int | None
) -> str:
    frames = header.integer("NumberOfFrames") or 1
    needed = rows * columns * pixels.samples * frames * pixels.bits_allocated // 8
    if max(rows, columns) > MAX_MATRIX or min(rows, columns) < 0:
        return f"{rows} x {columns} pixels; at most {MAX_MATRIX} x {MAX_MATRIX} are plausible"
    if pixels.bits_allocated not in (8, 16, 32) or not (
        0 < pixels.bits_stored <= pixels.bits_allocated
    ):
        return f"{pixels.bits_stored} of {pixels.bits_allocated} bits a pixel"
    if header.integer("HighBit") not in (None, pixels.bits_stored - 1):
        return f"the highest of {pixels.bits_stored} bits is not the last (High Bit)"
    if pixels.samples != 1:
        return "a colour image"
    if frames != groups:
        return f"{frames} frames with positions for {groups}"
    if length is not None and length < needed:
        return f"its pixels break off after {length} of {needed} bytes"
    return ""


def _frame(header: Header, number: int, is_only: bool, pixel_fault: str) -> Frame:
    plane, plane_fault = _plane(header)
    rescale, rescale_fault = _rescale(header)
    return Frame(
        number=number,
        plane=plane,
        fault=pixel_fault or plane_fault or rescale_fault,
        rescale=rescale,
        slice_thickness_mm=header.number("SliceThickness"),
        image_type=header.words("FrameType", "ImageType"),
        kernel=next(iter(header.words("ConvolutionKernel")), ""),
        instance_number=header.integer("InstanceNumber") or 0 if is_only else number,
        acquisition_number=header.integer("FrameAcquisitionNumber", "AcquisitionNumber"),
        acquisition_time=header.text("FrameAcquisitionDateTime", "AcquisitionDateTime")
        or header.text("AcquisitionDate") + header.text("AcquisitionTime"),
        temporal_position=header.integer("TemporalPositionIndex", "TemporalPositionIdentifier"),
        echo_time_ms=header.number("EffectiveEchoTime", "EchoTime"),
        b_value=header.number("DiffusionBValue"),
        cardiac_phase_percent=header.number("NominalPercentageOfCardiacPhase"),
        trigger_time_ms=header.number("NominalCardiacTriggerDelayTime", "TriggerTime"),
        kvp=header.number("KVP"),
        has_contrast=bool(header.text("ContrastBolusAgent", "ContrastBolusAgentSequence")),
    )


def _plane(header: Header) -> tuple[Plane | None, str]:
    """Returns where a frame lies, or why that can't be told."""
    position = header.numbers(3, "ImagePositionPatient")
    cosines = header.numbers(6, "ImageOrientationPatient")
    spacing = header.numbers(2, "PixelSpacing")
    if position is None:
        return None, "no valid Image Position (Patient)"
    if cosines is None:
        return None, "no valid Image Orientation (Patient)"
    if spacing is None or min(spacing) <= 0:
        return None, "no valid Pixel Spacing"
    row, column = cosines[:3], cosines[3:]
    lengths = math.hypot(*row), math.hypot(*column)
    product = sum(a * b for a, b in zip(row, column, strict=True))
    if abs(product) > UNIT_TOLERANCE or any(abs(one - 1) > UNIT_TOLERANCE for one in lengths):
        return None, "Image Orientation (Patient) is not two perpendicular directions"
    return Plane(position_mm=position, cosines=cosines, pixel_spacing_mm=spacing), ""


def _rescale(header: Header) -> tuple[Rescale | None, str]:
    """Returns the rescale, or None where there is none, and why it can't be used."""
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if header.malformed & {"RescaleSlope", "RescaleIntercept"}:
        return None, "Rescale Slope or Intercept is not a number"
    if slope is None and intercept is None:
        return None, ""
    rescale = Rescale(slope=1.0 if slope is None else slope, intercept=intercept or 0.0)
    if rescale.slope == 0 or max(abs(rescale.slope), abs(rescale.intercept)) > MAX_RESCALE:
        return None, f"Rescale Slope {rescale.slope:g} and Intercept {rescale.intercept:g}"
    return rescale, ""

"""Reads the header of a DICOM file, frame by frame, and finds frames that can't be used."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
)

from totalmap.dicom.anonymous_file_names import anonymous_name
from totalmap.dicom.bounded_reader import SPARE_BYTES, BrokenFile
from totalmap.dicom.derived_uids import UID_KEYWORDS, derived_uid
from totalmap.dicom.element_reader import PIXEL_DATA_TAG, PixelElement
from totalmap.dicom.file_reader import (
    NativePixels,
    native_pixels,
    read_all,
    read_header_and_pixels,
    syntax_of,
)
from totalmap.dicom.frame import FRAME_KEYWORDS, Frame, read_frame
from totalmap.dicom.header import Header
from totalmap.dicom.patient_comparison import PATIENT_KEYWORDS, UNKNOWN, Patient, read_patient
from totalmap.dicom.transfer_syntaxes import DECODABLE

# No scanner makes larger images; Rows and Columns can say up to 65535 (PS3.3 C.7.6.3.1).
MAX_MATRIX = 8192

# Modality by SOP Class, for files whose Modality (0008,0060) a de-identifier emptied.
_MODALITIES: dict[str, str] = {
    CTImageStorage: "CT",
    EnhancedCTImageStorage: "CT",
    LegacyConvertedEnhancedCTImageStorage: "CT",
    MRImageStorage: "MR",
    EnhancedMRImageStorage: "MR",
    LegacyConvertedEnhancedMRImageStorage: "MR",
}

GREY = ("MONOCHROME1", "MONOCHROME2")
# Attributes without a default if their value is invalid.
_PIXEL_KEYWORDS = (
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)

_INSTANCE_KEYWORDS = (
    *UID_KEYWORDS,
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesTime",
    "BodyPartExamined",
    "Rows",
    "Columns",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *_PIXEL_KEYWORDS,
    *PATIENT_KEYWORDS,
)
_TAGS = [int(Tag(keyword)) for keyword in _INSTANCE_KEYWORDS + FRAME_KEYWORDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """Storage format of the pixels of an instance (PS3.3 C.7.6.3).

    Attributes:
        padding: The lowest and the highest stored value of padding; None without padding.
        offset: Offset of native pixels in the file, in bytes; None for compressed pixels.
    """

    transfer_syntax: UID
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    padding: tuple[int, int] | None
    offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The header of a DICOM file. Invalid UIDs are replaced by derived ones.

    Attributes:
        modality: Modality of the SOP Class if the attribute is empty.
        frames: The frames; empty if the instance is no image.
        patient: Digests of the patient's attributes.
        repaired_uids: Keywords of the UIDs that were derived.
        number: Number of the file in the input, from 1.
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
    patient: Patient = UNKNOWN
    repaired_uids: tuple[str, ...] = ()
    number: int = field(default=1, compare=False)

    @property
    def uids(self) -> tuple[str, ...]:
        """The values of UID_KEYWORDS, in their order."""
        return (
            self.sop_class_uid,
            self.sop_instance_uid,
            self.series_instance_uid,
            self.study_instance_uid,
            self.frame_of_reference_uid,
        )

    @property
    def file_name(self) -> str:
        """Label of the file in messages, with its number and never its path."""
        return anonymous_name(self.path, self.number)

    @property
    def pixel_bytes(self) -> int:
        """Number of bytes of the decompressed pixels."""
        values = self.rows * self.columns * len(self.frames) * self.pixels.samples
        return values * self.pixels.bits_allocated // 8


def read_instance(path: Path, number: int = 1) -> Instance | None:
    """Returns the header of a file; None for a file that is no DICOM instance.

    Args:
        path: The file.
        number: Number of the file in messages.

    Raises:
        OSError: The file can't be read.
        Exception: One of BROKEN_FILE; the file begins like DICOM and is damaged.
    """
    with path.open("rb") as file:
        try:
            dataset, element = read_header_and_pixels(file, _TAGS)
        except InvalidDicomError:
            return None
    meta, header = Header(dataset.file_meta), Header(dataset)
    syntax = syntax_of(dataset, meta.uid("TransferSyntaxUID"), element)
    if meta.text("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return None
    if not header.text("SOPClassUID") and not header.text("Modality"):
        if dataset.preamble is None:
            return None  # it begins like an element by chance
        # pydicom returns the elements before the end of a truncated file.
        raise BrokenFile("it has neither SOP Class UID nor Modality")
    pixels = _pixel_format(header, syntax, native_pixels(element, syntax))
    return _instance(path, number, header, pixels, element, read_patient(dataset))


def read_dataset(instance: Instance, *, with_pixels: bool = False) -> Dataset:
    """Returns all attributes of an instance, with the derived UIDs.

    Raises:
        OSError: The file can't be read.
        Exception: One of BROKEN_FILE; the file has changed since its header was read.
    """
    pixels = instance.pixels
    is_packed = with_pixels and pixels.offset is None
    with instance.path.open("rb") as file:
        dataset, _ = read_all(file, pixel_bytes=instance.pixel_bytes if is_packed else None)
        if with_pixels and pixels.offset is not None:
            file.seek(pixels.offset)
            content = file.read(instance.pixel_bytes)
            dataset.add_new(PIXEL_DATA_TAG, "OW" if pixels.bits_allocated > 8 else "OB", content)
    for keyword, uid in zip(UID_KEYWORDS, instance.uids, strict=True):
        if uid:
            dataset.add_new(Tag(keyword), "UI", uid)
    return dataset


def missing_uids(instance: Instance) -> tuple[str, ...]:
    """Returns the keywords of the UIDs that an instance needs and that are empty.

    Only images with a position need a frame of reference (PS3.3 C.7.4.1).
    """
    has_position = any(frame.plane for frame in instance.frames)
    return tuple(
        keyword
        for keyword, uid in zip(UID_KEYWORDS, instance.uids, strict=True)
        if not uid and (has_position or keyword != "FrameOfReferenceUID")
    )


def _pixel_format(header: Header, syntax: UID, native: NativePixels | None) -> PixelFormat:
    padding = header.integer("PixelPaddingValue")
    limit = header.integer("PixelPaddingRangeLimit")
    samples = header.integer("SamplesPerPixel")
    ends = [value for value in (padding, limit) if value is not None]
    return PixelFormat(
        transfer_syntax=syntax,
        samples=1 if samples is None else samples,
        bits_allocated=header.integer("BitsAllocated") or 0,
        bits_stored=header.integer("BitsStored") or 0,
        is_signed=header.integer("PixelRepresentation") == 1,
        padding=None if padding is None else (min(ends), max(ends)),
        offset=native.offset if native else None,
    )


def _instance(
    path: Path,
    number: int,
    header: Header,
    pixels: PixelFormat,
    element: PixelElement | None,
    patient: Patient,
) -> Instance:
    sop_class, *uids = (header.uid(keyword) for keyword in UID_KEYWORDS)
    invalid = _invalid_uids(header)
    sop_instance, series, study, frame_of_reference = (
        uid or invalid.get(keyword, "") for keyword, uid in zip(UID_KEYWORDS[1:], uids, strict=True)
    )
    return Instance(
        path=path,
        number=number,
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        series_instance_uid=series,
        study_instance_uid=study,
        frame_of_reference_uid=frame_of_reference,
        modality=header.code("Modality") or _MODALITIES.get(sop_class, ""),
        series_number=header.integer("SeriesNumber"),
        series_description=header.text("SeriesDescription"),
        series_time=header.text("SeriesTime"),
        body_part=header.text("BodyPartExamined").upper(),
        rows=header.integer("Rows") or 0,
        columns=header.integer("Columns") or 0,
        pixels=pixels,
        frames=_frames(header, pixels, element),
        patient=patient,
        repaired_uids=tuple(invalid),
    )


def _invalid_uids(header: Header) -> dict[str, str]:
    """Returns UIDs derived from invalid values, by keyword.

    Equal values give equal UIDs. The SOP Class can't be derived.
    """
    return {
        keyword: derived_uid(keyword, text)
        for keyword in UID_KEYWORDS[1:]
        if keyword in header.malformed and (text := header.text(keyword))
    }


def _frames(header: Header, pixels: PixelFormat, element: PixelElement | None) -> tuple[Frame, ...]:
    """Returns the frames; empty if the instance is no image."""
    rows, columns = header.integer("Rows"), header.integer("Columns")
    if rows is None or columns is None:
        return ()
    count = header.count_frames()
    if not (0 < rows <= MAX_MATRIX and 0 < columns <= MAX_MATRIX):
        fault = f"{rows} x {columns} pixels; at most {MAX_MATRIX} x {MAX_MATRIX} are plausible"
    else:
        needed = rows * columns * count * pixels.bits_allocated // 8
        fault = (
            _syntax_fault(pixels.transfer_syntax, element)
            or _format_fault(header, pixels)
            or _length_fault(header, count, needed, pixels, element)
        )
    if fault and count > 1:
        # Their positions are useless, and a damaged header may declare millions of frames.
        unusable = replace(read_frame(header, 1, is_only=False, pixel_fault=fault), plane=None)
        said = max(header.integer("NumberOfFrames") or 1, 1)
        return tuple(replace(unusable, number=n + 1) for n in range(min(count, said)))
    return tuple(
        read_frame(frame_header, number, is_only=count == 1, pixel_fault=fault)
        for number, frame_header in enumerate(header.frames(), start=1)
    )


def _format_fault(header: Header, pixels: PixelFormat) -> str:
    """Returns why the stored values can't be decoded; empty if they can."""
    representation, high_bit = header.integer("PixelRepresentation"), header.integer("HighBit")
    meaning = header.code("PhotometricInterpretation")
    if nonsense := header.malformed.intersection(_PIXEL_KEYWORDS):
        return f"{min(nonsense)} makes no sense"
    if pixels.bits_allocated not in (8, 16, 32) or not (
        0 < pixels.bits_stored <= pixels.bits_allocated
    ):
        return f"{pixels.bits_stored} of {pixels.bits_allocated} bits a pixel"
    if high_bit not in (None, pixels.bits_stored - 1):
        return f"the highest of {pixels.bits_stored} bits is not the last (High Bit)"
    if representation not in (0, 1):
        return "Pixel Representation says neither signed nor unsigned"
    if pixels.samples < 1:
        return f"{pixels.samples} samples a pixel"
    if pixels.samples != 1 or meaning not in ("", *GREY):
        return "a colour image"
    return ""


def _length_fault(
    header: Header, count: int, needed: int, pixels: PixelFormat, element: PixelElement | None
) -> str:
    """Returns why the pixels do not match the frames, which need `needed` bytes."""
    frames = header.integer("NumberOfFrames") or 1
    if "NumberOfFrames" in header.malformed:
        return "Number of Frames makes no sense"
    if frames != count:
        return f"{frames} frames with positions for {count}"
    native = native_pixels(element, pixels.transfer_syntax)
    if native is not None and native.length < needed:
        return f"its pixels break off after {native.length} of {needed} bytes"
    is_deflated = pixels.transfer_syntax == DeflatedExplicitVRLittleEndian
    if is_deflated and element is not None and (element.length or 0) > needed + SPARE_BYTES:
        return f"its pixels unpack to {element.length} bytes and not to {needed}"
    return ""


def _syntax_fault(syntax: UID, element: PixelElement | None) -> str:
    """Returns why the transfer syntax or the kind of pixels is not supported."""
    if element is not None and element.is_float:
        return "pixels are floating-point numbers (Float Pixel Data), and only integers are read"
    if syntax in DECODABLE:
        return ""
    name = "" if syntax.name == syntax else f" ({syntax.name})"
    return f"transfer syntax {syntax}{name}, which is not supported"

"""Writes an export of a PACS: a CT, and one file of every other kind, complete or truncated.

Sources: dcm4chee writes sequences of undefined length (dicom-rs#60, dcm4che's default encoding);
planning systems leave out the preamble (pydicom#2231, OHIF#3185); discs hold viewers and an
autorun.inf (IHE PDI).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG4HP41,
    UID,
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    RawDataStorage,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    SpatialRegistrationStorage,
    TwelveLeadECGWaveformStorage,
    VideoPhotographicImageStorage,
)

from tests.fuzz.healthy_studies import OF_PATIENT, SPEC, undefine_lengths
from tests.phantom.modules import PATIENT_NAME, file_meta, phantom_uid, series_modules
from tests.phantom.study import WrittenSeries, write_series

CUT_SHARE = 0.5
NO_PREAMBLE_SHARE = 0.2
ITEMS = (1, 3, 160)
Fill = Callable[[Dataset, Random], None]


def items(count: int, rng: Random) -> Sequence:
    """Returns items, each with a sequence, a text and numbers."""
    content = []
    for number in range(count):
        inner, item = Dataset(), Dataset()
        inner.ReferencedSOPClassUID = RTDoseStorage
        inner.ReferencedSOPInstanceUID = phantom_uid("referenced", number)
        item.ContourImageSequence = Sequence([inner])
        item.ContourGeometricType = "CLOSED_PLANAR"
        item.NumberOfContourPoints = rng.randrange(3, 30)
        item.ContourData = [f"{rng.uniform(-200, 200):.3f}" for _ in range(rng.randrange(3, 90))]
        content.append(item)
    return Sequence(content)


def structures(dataset: Dataset, rng: Random) -> None:
    """Fills a structure set."""
    region = Dataset()
    region.ReferencedROINumber = 1
    region.ContourSequence = items(rng.choice(ITEMS), rng)
    dataset.ROIContourSequence = Sequence([region])


def references(dataset: Dataset, rng: Random) -> None:
    """Fills an object that refers to others: a plan, a registration, a report."""
    dataset.ContentSequence = items(rng.choice(ITEMS), rng)
    dataset.add_new(0x00091001, "UN", rng.randbytes(2 * rng.randrange(50_000)))


def picture(dataset: Dataset, rng: Random) -> None:
    """Fills an image of several frames: a dose or a segmentation."""
    references(dataset, rng)
    dataset.Rows = dataset.Columns = 16
    dataset.NumberOfFrames = frames = rng.randrange(1, 9)
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = rng.randbytes(frames * 16 * 16 * 2)
    dataset["PixelData"].VR = "OW"


def video(dataset: Dataset, rng: Random) -> None:
    """Fills a video, whose frames are one stream."""
    picture(dataset, rng)
    dataset.PixelData = encapsulate([rng.randbytes(5000)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def waveform(dataset: Dataset, rng: Random) -> None:
    """Fills an ECG."""
    group = Dataset()
    group.WaveformData = rng.randbytes(2 * rng.randrange(1, 100_000))
    group["WaveformData"].VR = "OW"
    group.ChannelDefinitionSequence = items(12, rng)
    dataset.WaveformSequence = Sequence([group])


def document(dataset: Dataset, rng: Random) -> None:
    """Fills an encapsulated document."""
    dataset.EncapsulatedDocument = b"%PDF-1.7 " + rng.randbytes(2 * rng.randrange(60_000)) + b"\n"


OBJECTS: dict[str, tuple[str, UID, Fill]] = {
    "rtstruct": ("RTSTRUCT", RTStructureSetStorage, structures),
    "rtdose": ("RTDOSE", RTDoseStorage, picture),
    "rtplan": ("RTPLAN", RTPlanStorage, references),
    "ecg": ("ECG", TwelveLeadECGWaveformStorage, waveform),
    "pr": ("PR", GrayscaleSoftcopyPresentationStateStorage, references),
    "ko": ("KO", KeyObjectSelectionDocumentStorage, references),
    "reg": ("REG", SpatialRegistrationStorage, references),
    "seg": ("SEG", SegmentationStorage, picture),
    "sr": ("SR", BasicTextSRStorage, references),
    "pdf": ("DOC", EncapsulatedPDFStorage, document),
    "video": ("XC", VideoPhotographicImageStorage, video),
    "raw": ("CT", RawDataStorage, references),
}
OTHER_FILES: dict[str, bytes] = {
    "results.csv": b"name,volume\n" + PATIENT_NAME.encode() + b",1.5\n",
    "viewer.exe": b"MZ\x90\0" + bytes(range(256)) * 400,
    "autorun.inf": b"[autorun]\r\nopen=viewer.exe\r\n",
    "INDEX.HTM": b"<html><body>disc</body></html>",
    "picture.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(3000),
    "volume.raw": b"\x08\0\x05\0" + bytes(5000),
    "empty": b"",
}


def write_export(folder: Path, seed: int) -> WrittenSeries:
    """Writes a CT of 12 slices and the other files, in folders named after the patient."""
    rng = Random(seed)  # noqa: S311  the same export for the same seed
    disc = folder / OF_PATIENT
    written = write_series(disc / "CT", 0, SPEC)
    beside = disc if rng.random() < CUT_SHARE else disc / "CT"
    for name in OBJECTS:
        path = beside / f"{PATIENT_NAME}-{name}.dcm"
        write_object(path, name, rng)
        if rng.random() < CUT_SHARE:
            cut(path, rng)
    for name, content in OTHER_FILES.items():
        (beside / name).write_bytes(content)
        if content and rng.random() < CUT_SHARE:
            cut(beside / name, rng)
    return written


def cut(path: Path, rng: Random) -> None:
    """Truncates a file at a random place."""
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def write_object(path: Path, name: str, rng: Random) -> None:
    """Writes an object of a kind, in a random encoding."""
    modality, sop_class, fill = OBJECTS[name]
    series_uid = phantom_uid("series of", name)
    dataset = series_modules(0, series_uid, 100 + list(OBJECTS).index(name), name, modality)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, phantom_uid("object", name)
    fill(dataset, rng)
    if rng.random() < CUT_SHARE:
        undefine_lengths(dataset)
    meta = file_meta(sop_class, dataset.SOPInstanceUID)
    native = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
    syntax = MPEG4HP41 if name == "video" else rng.choice(native)
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    if syntax == ImplicitVRLittleEndian and rng.random() < NO_PREAMBLE_SHARE:
        content = path.read_bytes()
        path.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])

"""Changes the values of attributes: removed, empty, contradictory, absurd or invalid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.fuzz.raw_elements import (
    Element,
    File,
    number,
    parse,
    sequence,
    tag_of,
    text,
)
from tests.phantom.modules import ACCESSION_NUMBER, BIRTH_DATE, PATIENT_ID, PATIENT_NAME

ONE_FILE_SHARE = 0.65
ONE_PLACE_SHARE = 0.5

UIDS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"),
    *("FrameOfReferenceUID", "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"),
)
PIXEL_NUMBERS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    "SamplesPerPixel",
)
DECIMALS = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept", "KVP", "WindowCenter", "EchoTime", "GantryDetectorTilt"),
    *("TriggerTime", "NominalPercentageOfCardiacPhase", "SpacingBetweenSlices"),
)
INTEGERS = ("SeriesNumber", "InstanceNumber", "AcquisitionNumber", "NumberOfFrames")
TEXTS = (
    *("Modality", "ImageType", "ConvolutionKernel", "SeriesDescription", "BodyPartExamined"),
    *("StudyID", "PatientSex", "SpecificCharacterSet", "PatientPosition", "LossyImageCompression"),
    *("PhotometricInterpretation", "ContrastBolusAgent", "Manufacturer", "PatientAge"),
)
DATES = ("StudyDate", "StudyTime", "SeriesTime", "AcquisitionDate", "AcquisitionTime")
PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber")
ALL = (*UIDS, "TransferSyntaxUID", *PIXEL_NUMBERS, *DECIMALS, *INTEGERS, *TEXTS, *DATES, *PATIENT)

SECRETS = (PATIENT_NAME, PATIENT_ID, BIRTH_DATE, ACCESSION_NUMBER)
INVALID_NUMBERS = (
    *("NaN", "nan", "inf", "-Infinity", "1e400", "-1e400", "abc", "", "\\", "1\\2", "1\\2\\3\\4"),
    *("\\".join("1" * 40), "1,5", "0x10", "1_000", "--1", "1e", "\0\0", "\x1b[31m", "1" * 500),
    *("1\\NaN\\1", "inf\\0\\0", "1e308\\1e308\\1e308", "1e5000", PATIENT_NAME, PATIENT_ID),
)
INVALID_UIDS = (
    *("../../etc/passwd", "/etc/passwd", "..\\..\\x", "1." * 250, "1.2.840\x00.3", "1.2\n3.4", "."),
    *("2.25.-1", "1.2.840.10008.5.1.4.1.1.2\\1.2.3", " ", "abc", "\x1b[2J", "%s%n", "'; DROP", "0"),
    *(PATIENT_NAME, PATIENT_ID, "2.25." + "9" * 59, "1.02.003"),
)
INVALID_TEXTS = (
    *("", "\0" * 16, "\x1b[31mred\x1b[0m", "a\r\nb", "x" * 5000, "\\" * 60, "\xff\xfe\xfd"),
    *("../../etc/passwd", "ISO 2022 IR 87\\ISO_IR 999", "{0}", "%s", "CT\\MR", "ct ", "1e400"),
)

Change = Callable[[File], None]


def files_of(study: Path) -> list[Path]:
    """Returns the files of a study."""
    return sorted(path for path in study.rglob("*") if path.is_file() and not path.is_symlink())


def one_file(study: Path, rng: Random) -> Path:
    """Returns a file; earlier mutations may have left none."""
    paths = files_of(study)
    if not paths:
        raise ValueError("no file is left")
    return rng.choice(paths)


def some_files(study: Path, rng: Random) -> list[Path]:
    """Returns a file, or all files of its folder."""
    path = one_file(study, rng)
    return [path] if rng.random() < ONE_FILE_SHARE else files_of(path.parent)


def edit(study: Path, rng: Random, change: Change) -> str:
    """Changes a file or all files of a folder, and returns how many."""
    paths = some_files(study, rng)
    for path in paths:
        file = parse(path.read_bytes())
        change(file)
        path.write_bytes(file.to_bytes())
    return f"in {len(paths)} files"


def put(file: File, element: Element, place: float | None = None) -> None:
    """Puts an element at all places of its tag or at a single place; adds it if it is new.

    Args:
        place: Chooses the single place, from 0 to 1; None: all places.
    """
    places = file.places(element.tag)
    if not places:
        elements = file.meta if element.tag[0] == 2 else file.body
        elements.append(element)
        elements.sort(key=lambda element: element.tag)
    elif place is None:
        for elements, index in places:
            elements[index] = element
    else:
        elements, index = places[int(place * len(places))]
        elements[index] = element


def put_all(study: Path, rng: Random, *elements: Element) -> str:
    """Puts elements into some files, at all places or at a single place."""
    place = rng.random() if rng.random() < ONE_PLACE_SHARE else None

    def change(file: File) -> None:
        for element in elements:
            put(file, element, place)

    return edit(study, rng, change)


def shown(value: str) -> str:
    """Returns a value as a short word, without patient data."""
    return "patient data" if value in SECRETS else ascii(value[:24])


def decimals(values: Sequence[float]) -> str:
    return "\\".join(f"{value:.6g}" for value in values)


def attribute_removed(study: Path, rng: Random) -> str:
    keyword = rng.choice(ALL)

    def change(file: File) -> None:
        for elements, index in reversed(file.places(tag_of(keyword))):
            del elements[index]

    return f"{keyword} {edit(study, rng, change)}"


def attribute_emptied(study: Path, rng: Random) -> str:
    keyword = rng.choice(ALL)
    return f"{keyword} {put_all(study, rng, text(keyword, ''))}"


def size_contradicts(study: Path, rng: Random) -> str:
    rows, columns = rng.choice([(64, 32), (32, 64), (16, 64), (16, 32), (31, 32), (32, 33), (4, 8)])
    where = put_all(study, rng, number("Rows", rows), number("Columns", columns))
    return f"{rows} x {columns} {where}"


def size_absurd(study: Path, rng: Random) -> str:
    rows, columns = rng.choice(
        [
            (65535, 32),
            (32, 65535),
            (65535, 65535),
            (8192, 8192),
            (0, 32),
            (32, 0),
            (0, 0),
            (1, 1024),
        ]
    )
    where = put_all(study, rng, number("Rows", rows), number("Columns", columns))
    return f"{rows} x {columns} {where}"


def frames_absurd(study: Path, rng: Random) -> str:
    value = rng.choice(["1000000", "0", "-1", "2", "2147483648", "1e6", "1\\2", "11", "13", "1.5"])
    return f"{value} {put_all(study, rng, text('NumberOfFrames', value))}"


def bits_contradict(study: Path, rng: Random) -> str:
    keyword, value = rng.choice(
        [
            *(("BitsStored", value) for value in (0, 1, 8, 13, 16, 17, 32, 65535)),
            *(("BitsAllocated", value) for value in (0, 1, 7, 8, 12, 24, 32, 64, 65535)),
            *(("HighBit", value) for value in (0, 7, 12, 15, 65535)),
            *(("PixelRepresentation", value) for value in (1, 2, 7, 65535)),
        ]
    )
    return f"{keyword} {value} {put_all(study, rng, number(keyword, value))}"


def colours(study: Path, rng: Random) -> str:
    samples = rng.choice([0, 1, 3, 4, 65535])
    meaning = rng.choice(["RGB", "PALETTE COLOR", "MONOCHROME1", "YBR_FULL_422", "NONSENSE", ""])
    elements = [number("SamplesPerPixel", samples), text("PhotometricInterpretation", meaning)]
    return f"{samples} {meaning} {put_all(study, rng, *rng.sample(elements, rng.choice([1, 2])))}"


def padding_contradicts(study: Path, rng: Random) -> str:
    values = rng.choice([(0,), (1024,), (65535,), (63536, 4095), (0, 4095), (2000, 1)])
    elements = [number("PixelPaddingValue", values[0])]
    elements += [number("PixelPaddingRangeLimit", value) for value in values[1:]]
    slope = rng.choice(["1", "2", "-3", "0.5"])
    return f"{values} {put_all(study, rng, *elements, text('RescaleSlope', slope))}"


def rescale_extreme(study: Path, rng: Random) -> str:
    slope = rng.choice(["0", "-1", "0.5", "1e-300", "1e5", "1e6", "1e7", "1e300", "2", "1.0000001"])
    intercept = rng.choice(["-1024", "0", "1e6", "-1e6", "1e9", "1e300", "0.25", "-32768", "32767"])
    elements = text("RescaleSlope", slope), text("RescaleIntercept", intercept)
    return f"{slope} and {intercept} {put_all(study, rng, *elements)}"


def place_contradicts(study: Path, rng: Random) -> str:
    choices: list[tuple[str, list[float]]] = [
        ("ImagePositionPatient", [rng.uniform(-300, 300) for _ in range(3)]),
        ("ImagePositionPatient", [0.0, 0.0, 0.0]),
        ("ImagePositionPatient", [1e30, -1e30, 1e30]),
        ("ImagePositionPatient", [1e308, 1e308, 1e308]),
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1]),
        ("ImageOrientationPatient", [-1, 0, 0, 0, 1, 0]),
        ("ImageOrientationPatient", [1, 0.0004, 0, 0, 1, 0]),
        ("ImageOrientationPatient", [0.6, 0.8, 0, 0.8, -0.6, 0]),
        ("PixelSpacing", [9.0, 8.0]),
        ("PixelSpacing", [0.5, 0.5]),
        ("PixelSpacing", [9.0004, 9.0]),
        ("PixelSpacing", [500.0, 500.0]),
    ]
    keyword, values = rng.choice(choices)
    where = put_all(study, rng, text(keyword, decimals(values)))
    return f"{keyword} {decimals(values)} {where}"


def directions_wrong(study: Path, rng: Random) -> str:
    choices: list[list[float]] = [
        [0, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 2, 0],
        [1, 0, 0, 1, 0, 0],
        [1, 0, 0, 0.5, 0.5, 0],
        [1e200, 0, 0, 0, 1e200, 0],
        [1e-200, 0, 0, 0, 1e-200, 0],
        [1, 0, 0],
        [1, 0, 0, 0, 1, 0, 0],
    ]
    values = rng.choice(choices)
    where = put_all(study, rng, text("ImageOrientationPatient", decimals(values)))
    return f"{decimals(values)} {where}"


def spacing_wrong(study: Path, rng: Random) -> str:
    value = rng.choice(
        ["-9\\9", "0\\0", "9\\0", "NaN\\9", "1e-300\\1e-300", "1e300\\1e300", "9", "9\\-9"]
    )
    return f"{value} {put_all(study, rng, text('PixelSpacing', value))}"


def number_wrong(study: Path, rng: Random) -> str:
    keyword, value = rng.choice([*DECIMALS, *INTEGERS]), rng.choice(INVALID_NUMBERS)
    return f"{keyword} {shown(value)} {put_all(study, rng, text(keyword, value))}"


def uid_wrong(study: Path, rng: Random) -> str:
    keyword, value = rng.choice(UIDS), rng.choice(INVALID_UIDS)
    return f"{keyword} {shown(value)} {put_all(study, rng, text(keyword, value))}"


def syntax_wrong(study: Path, rng: Random) -> str:
    value = rng.choice(
        [
            *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"),
            *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"),
            *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.100"),
            *("1.2.840.10008.1.2.4.94", "1.2.840.113619.5.2", "1.2.3.4", "1.2.840.10008.1.2.1"),
            *INVALID_UIDS,
        ]
    )
    return f"{shown(value)} {put_all(study, rng, text('TransferSyntaxUID', value))}"


def text_wrong(study: Path, rng: Random) -> str:
    keyword, value = rng.choice([*TEXTS, *DATES]), rng.choice(INVALID_TEXTS)
    return f"{keyword} {shown(value)} {put_all(study, rng, text(keyword, value))}"


def patient_wrong(study: Path, rng: Random) -> str:
    """Writes patient data that violate their VR, which libraries quote in warnings."""
    keyword, value = rng.choice(PATIENT), rng.choice(SECRETS)
    value = rng.choice([value * 20, f"{value}\n{value}", f"{value}\\{value}", f"{value}\xff\x1b"])
    return f"{keyword} {put_all(study, rng, text(keyword, value))}"


def patient_elsewhere(study: Path, rng: Random) -> str:
    """Writes patient data into other attributes, except descriptions, which are shown on purpose.

    The birth date is left out, since it is a valid number, date and UID.
    """
    value = rng.choice([PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER])
    keyword = rng.choice([*UIDS, *DECIMALS, *INTEGERS, *DATES, "TransferSyntaxUID", "PatientSex"])
    return f"{keyword} {put_all(study, rng, text(keyword, value))}"


def references_cyclic(study: Path, rng: Random) -> str:
    """Makes images refer to themselves or to each other."""
    keyword = rng.choice(["ReferencedImageSequence", "SourceImageSequence"])
    paths = files_of(study)
    uids = [_text_of(parse(path.read_bytes()), "SOPInstanceUID") for path in paths]
    distance = rng.choice([0, 1])
    for n, path in enumerate(paths):
        file = parse(path.read_bytes())
        item = [
            text("ReferencedSOPClassUID", _text_of(file, "SOPClassUID")),
            text("ReferencedSOPInstanceUID", uids[(n + distance) % len(uids)]),
        ]
        put(file, sequence(keyword, [*item, sequence(keyword, item)]))
        path.write_bytes(file.to_bytes())
    return f"{keyword}, {distance} further, in {len(paths)} files"


def series_mixed(study: Path, rng: Random) -> str:
    """Gives files a UID of another series, study, instance or frame of reference."""
    keyword = rng.choice(UIDS[1:5])
    donor = parse(one_file(study, rng).read_bytes())
    value = rng.choice([_text_of(donor, keyword), "2.25.1"])
    return f"{keyword} {put_all(study, rng, text(keyword, value))}"


def instance_doubled(study: Path, rng: Random) -> str:
    """Copies a file under the same UID with other content."""
    path = one_file(study, rng)
    file = parse(path.read_bytes())
    element = rng.choice(
        [
            text("ImagePositionPatient", "0\\0\\0"),
            text("RescaleIntercept", "0"),
            text("SeriesDescription", "the double"),
            text("SeriesInstanceUID", "2.25.2"),
        ]
    )
    put(file, element)
    path.with_name(rng.choice(["A.dcm", "Z.dcm"])).write_bytes(file.to_bytes())
    return f"with another {element.tag[0]:04X},{element.tag[1]:04X}"


def _text_of(file: File, keyword: str) -> str:
    for elements, index in file.places(tag_of(keyword)):
        value = elements[index].value
        if isinstance(value, bytes):
            return value.decode("latin-1").rstrip("\0 ")
    return ""

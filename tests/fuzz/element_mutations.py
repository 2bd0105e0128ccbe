"""Changes the encoding of elements: VRs, lengths, order and sequences."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

from tests.fuzz.attribute_mutations import (
    ALL,
    DECIMALS,
    INTEGERS,
    PIXEL_NUMBERS,
    edit,
    put_all,
)
from tests.fuzz.raw_elements import (
    UNDEFINED,
    Element,
    Elements,
    File,
    number,
    sequence,
    tag_of,
    text,
)
from tests.phantom.modules import PATIENT_NAME

WRONG_VRS = (
    *("UN", "OB", "OW", "DS", "IS", "US", "FD", "FL", "UI", "LO", "PN", "AT", "DA", "TM", "UT"),
    *("SQ", "UR", "OD", "ZZ", "us", "??", "\0\0", "SV", "UV", "OV"),
)
LENGTHS = (UNDEFINED, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFF, 1, 3, 70_000)


def vr_wrong(study: Path, rng: Random) -> str:
    keyword, vr = rng.choice([*ALL, "PixelData"]), rng.choice(WRONG_VRS)

    def change(file: File) -> None:
        if keyword == "PixelData":
            file.tail = file.tail[:4] + vr.encode("latin-1") + file.tail[6:]
        for elements, index in file.places(tag_of(keyword)):
            old = elements[index]
            elements[index] = Element(old.tag, vr, old.value)

    return f"{keyword} as {vr!a} {edit(study, rng, change)}"


def number_type_wrong(study: Path, rng: Random) -> str:
    """Writes binary numbers instead of text, and text instead of binary numbers."""
    keyword = rng.choice([*DECIMALS, *PIXEL_NUMBERS, *INTEGERS])
    value = rng.choice([float("nan"), float("inf"), -1.0, 32.0, 1e300])
    element = rng.choice(
        [
            Element(tag_of(keyword), "FD", struct.pack("<d", value)),
            Element(tag_of(keyword), "FD", struct.pack("<3d", value, 1.0, 0.0)),
            Element(tag_of(keyword), "FL", b"\0\0\xc0\x7f"),
            Element(tag_of(keyword), "US", b"\x20\0\x20\0"),
            Element(tag_of(keyword), "US", b"\x20"),
            Element(tag_of(keyword), "SS", b"\xff\xff"),
            text(keyword, "32", "DS"),
            text(keyword, "32", "LO"),
        ]
    )
    return f"{keyword} as {element.vr} {put_all(study, rng, element)}"


def sequence_for_value(study: Path, rng: Random) -> str:
    keyword = rng.choice(ALL)
    choices: list[list[Elements]] = [
        [],
        [[]],
        [[text("PatientName", PATIENT_NAME)], [number("Rows", 32)]],
    ]
    return f"{keyword} {put_all(study, rng, sequence(keyword, *rng.choice(choices)))}"


def value_for_sequence(study: Path, rng: Random) -> str:
    keyword = rng.choice(
        [
            *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
            *("PlanePositionSequence", "PixelMeasuresSequence", "ContrastBolusAgentSequence"),
            *("PlaneOrientationSequence", "PixelValueTransformationSequence"),
        ]
    )
    value = text(keyword, rng.choice(["1", "abc", PATIENT_NAME]), rng.choice(["LO", "UN", "DS"]))
    return f"{keyword} as {value.vr} {put_all(study, rng, value)}"


def sequence_deep(study: Path, rng: Random) -> str:
    """Nests sequences in an attribute that the header needs, or in another attribute."""
    depth = rng.choice([200, 500, 900, 2000])
    keyword = rng.choice(
        ["SharedFunctionalGroupsSequence", "ReferencedImageSequence", "RequestAttributesSequence"]
    )
    value = rng.choice([_nested(keyword, depth), _nested_without_lengths(keyword, depth)])
    element = Element(tag_of(keyword), "SQ", value)
    if value.startswith(b"\xfe\xff\x00\xe0\xff"):
        element.length = UNDEFINED
    return f"{keyword} {depth} deep {put_all(study, rng, element)}"


def _nested(keyword: str, depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        head = struct.pack("<HH2s2xL", *tag_of(keyword), b"SQ", len(value))
        value = struct.pack("<HHL", 0xFFFE, 0xE000, len(head) + len(value)) + head + value
    return value


def _nested_without_lengths(keyword: str, depth: int) -> bytes:
    head = struct.pack("<HH2s2xL", *tag_of(keyword), b"SQ", UNDEFINED)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
    ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return item + (head + item) * depth + ends * (depth + 1)


def groups_odd(study: Path, rng: Random) -> str:
    """Writes functional groups where none belong, too few, too many, or empty ones."""
    count = rng.choice([0, 1, 2, 11, 13, 5_000])
    item = rng.choice(
        [
            [],
            [sequence("PlanePositionSequence", [text("ImagePositionPatient", "0\\0\\0")])],
            [sequence("PlanePositionSequence")],
            [sequence("FrameContentSequence", [])],
            [text("ImagePositionPatient", "0\\0\\0")],
        ]
    )
    element = sequence("PerFrameFunctionalGroupsSequence", *([item] * count))
    frames = text("NumberOfFrames", str(count))
    return f"{count} items {put_all(study, rng, *rng.choice([[element], [element, frames]]))}"


def length_absurd(study: Path, rng: Random) -> str:
    """Writes an element whose stated length exceeds the file or is too short."""
    length = rng.choice(LENGTHS)
    element = rng.choice(
        [
            Element((0x0009, 0x1001), "OB", b"1234", length),
            Element((0x0009, 0x1001), "UN", b"1234", length),
            Element((0x0009, 0x1001), "UT", b"1234", length),
            Element((0x0018, 0x9346), "SQ", b"", length),
            Element(tag_of("Rows"), "US", b"\x20\0", length),
            Element(tag_of("ImagePositionPatient"), "DS", b"0\\0\\0 ", length),
            Element(tag_of("PatientName"), "PN", PATIENT_NAME.encode(), length),
        ]
    )
    return f"{element.vr} of {length} bytes {put_all(study, rng, element)}"


def pixel_length_wrong(study: Path, rng: Random) -> str:
    """Gives pixel data a wrong stated length."""
    length = rng.choice([0, 1, 2047, 2049, *LENGTHS])

    def change(file: File) -> None:
        file.tail = file.tail[:8] + struct.pack("<L", length) + file.tail[12:]

    return f"{length} bytes {edit(study, rng, change)}"


def order_wrong(study: Path, rng: Random) -> str:
    """Shuffles elements, and repeats some."""

    def change(file: File) -> None:
        file.body += rng.sample(file.body, 3)
        rng.shuffle(file.body)

    return edit(study, rng, change)

"""Changes whole files: flipped, lost and added bytes, and other transfer syntaxes."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from random import Random

import pydicom
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from tests.fuzz.attribute_mutations import edit, one_file, some_files
from tests.fuzz.raw_elements import PIXEL_DATA, PREFIX, parse, text
from tests.transfer_syntaxes import BY_GDCM, BY_OPENJPH, BY_PYDICOM, transcode

COMPRESSED: tuple[UID, ...] = (*BY_PYDICOM, *BY_GDCM, *BY_OPENJPH)
NATIVE = (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
HEADER_BYTES = 120
MEBIBYTE = 1 << 20
BOMB_MEBIBYTES = 3072


def compressed(study: Path, rng: Random) -> str:
    """Compresses a file, so that a decoder has to unpack it."""
    _, syntax = _compress(study, rng)
    return f"{syntax.name} in 1 file"


def stream_broken(study: Path, rng: Random) -> str:
    """Damages the pixels of a compressed file."""
    path, syntax = _compress(study, rng)
    content = bytearray(path.read_bytes())
    first = _start_of_pixels(content) + 12
    # The headers of codestreams are short and sensitive.
    end = rng.choice([min(first + HEADER_BYTES, len(content)), len(content)])
    _flip(content, first, end, rng)
    path.write_bytes(content)
    return f"{syntax.name} in 1 file"


def stream_truncated(study: Path, rng: Random) -> str:
    """Truncates a compressed file."""
    path, syntax = _compress(study, rng)
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(_start_of_pixels(content), len(content))])
    return f"{syntax.name} in 1 file"


def other_syntax(study: Path, rng: Random) -> str:
    """Writes native pixels in another byte order, without VRs, or deflated."""
    syntax = rng.choice(NATIVE)
    paths = some_files(study, rng)
    for path in paths:
        path.write_bytes(parse(path.read_bytes()).as_syntax(syntax))
    return f"{syntax.name} in {len(paths)} files"


def truncated(study: Path, rng: Random) -> str:
    path = one_file(study, rng)
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) + 1)])
    return "anywhere"


def header_flipped(study: Path, rng: Random) -> str:
    path = one_file(study, rng)
    content = bytearray(path.read_bytes())
    _flip(content, 0, _start_of_pixels(content), rng)
    path.write_bytes(content)
    return "in 1 file"


def pixels_flipped(study: Path, rng: Random) -> str:
    path = one_file(study, rng)
    content = bytearray(path.read_bytes())
    _flip(content, _start_of_pixels(content), len(content), rng)
    path.write_bytes(content)
    return "in 1 file"


def bytes_flipped(study: Path, rng: Random) -> str:
    paths = some_files(study, rng)
    for path in paths:
        content = bytearray(path.read_bytes())
        _flip(content, 0, len(content), rng)
        path.write_bytes(content)
    return f"in {len(paths)} files"


def bytes_removed(study: Path, rng: Random) -> str:
    """Removes some bytes, so that all later bytes move."""
    path = one_file(study, rng)
    content = path.read_bytes()
    first = rng.randrange(len(content) + 1)
    count = rng.choice([1, 2, 7, 100])
    path.write_bytes(content[:first] + content[first + count :])
    return f"{count} bytes"


def zeros(study: Path, rng: Random) -> str:
    """Writes a block of zeros, as a broken disk or download does."""
    path = one_file(study, rng)
    content = bytearray(path.read_bytes())
    first = rng.randrange(len(content) + 1)
    content[first : first + 512] = bytes(len(content[first : first + 512]))
    path.write_bytes(content)
    return "512 bytes"


def garbage_appended(study: Path, rng: Random) -> str:
    count = rng.choice([1, 2, 100, 5000])
    path = one_file(study, rng)
    path.write_bytes(path.read_bytes() + rng.randbytes(count))
    return f"{count} bytes"


def garbage_after_prefix(study: Path, rng: Random) -> str:
    one_file(study, rng).write_bytes(PREFIX + rng.randbytes(rng.choice([1, 8, 3000])))
    return "in 1 file"


def preamble_alone(study: Path, rng: Random) -> str:
    one_file(study, rng).write_bytes(PREFIX[: rng.choice([127, 128, 130, 132])])
    return "in 1 file"


def emptied(study: Path, rng: Random) -> str:
    one_file(study, rng).write_bytes(b"")
    return "in 1 file"


def folder_for_file(study: Path, rng: Random) -> str:
    path = one_file(study, rng)
    path.unlink()
    path.mkdir()
    return "in 1 file"


def link_to_itself(study: Path, rng: Random) -> str:
    """Makes a cycle in the file system: a link to itself, or a folder that links to itself."""
    path = one_file(study, rng)
    if rng.random() < 0.5:
        path.unlink()
        path.symlink_to(path.name)
        return "a file"
    path.with_name("again").symlink_to(path.parent, target_is_directory=True)
    return "a folder"


def name_odd(study: Path, rng: Random) -> str:
    """Gives a file a name that is no text or that holds terminal commands."""
    path = one_file(study, rng)
    name = rng.choice([b"\xff\xfe.dcm", b"\x1b[31m.dcm", b"a\nb.dcm", b"-rf", b" ", b"x" * 255])
    path.rename(path.with_name(os.fsdecode(name)))
    return f"{name[:8]!r}"


def deflate_bomb(study: Path, rng: Random) -> str:
    """Writes a few megabytes that unpack to more than the memory."""
    path = one_file(study, rng)
    file = parse(path.read_bytes())
    file.meta = [element for element in file.meta if element.tag != (0x0002, 0x0010)]
    file.meta.append(text("TransferSyntaxUID", DeflatedExplicitVRLittleEndian))
    file.meta.sort(key=lambda element: element.tag)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    start = struct.pack("<HH2s2xL", 0x0009, 0x1001, b"OB", BOMB_MEBIBYTES * MEBIBYTE)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(file.head() + first + block * BOMB_MEBIBYTES + packer.flush())
    return f"{BOMB_MEBIBYTES} MiB"


def many_files(study: Path, rng: Random) -> str:
    """Writes files that are not DICOM, deep in nested folders."""
    deep = study / "/".join("d" * 100)
    deep.mkdir(parents=True)
    for number in range(50):
        (deep / f"{number}.txt").write_bytes(rng.randbytes(200))
    return "50 files"


def nothing(study: Path, rng: Random) -> str:
    """Rewrites files as they are: a mutant without a fault has to succeed."""
    return edit(study, rng, lambda _: None)


def _compress(study: Path, rng: Random) -> tuple[Path, UID]:
    path, syntax = one_file(study, rng), rng.choice(COMPRESSED)
    if pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.is_encapsulated:
        raise ValueError("compressed already, and perhaps damaged")
    transcode(path, syntax)
    return path, syntax


def _start_of_pixels(content: bytes | bytearray) -> int:
    return max(content.rfind(PIXEL_DATA + b"O"), 132)


def _flip(content: bytearray, first: int, end: int, rng: Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if first < min(end, len(content)):
            content[rng.randrange(first, min(end, len(content)))] ^= 1 << rng.randrange(8)

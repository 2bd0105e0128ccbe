"""Unpacks a ZIP archive into a folder: within limits, regular files only, under new names.

The names of the members may hold a patient's name. Therefore no message quotes them, and files are
unpacked as 0001/000001: the number of their folder and that of the member.
"""

import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from totalmap.errors import InputError, ResourceError

SIGNATURE = b"PK\x03\x04"
SUFFIX = ".zip"

# Records at the end of an archive (APPNOTE 4.3.16, 4.3.15, 4.3.14).
_END = struct.Struct("<4s8xLL2x")
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR_BYTES = 20
_END_64 = struct.Struct("<4s36xQ8x")
_END_64_SIGNATURE = b"PK\x06\x06"
_LONGEST_COMMENT = 2**16 - 1

_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_CHUNK_BYTES = 1 << 20
# Exceptions of zipfile for a damaged archive or member.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Size limits of an archive.

    Attributes:
        members: Number of files and folders. A study of several phases has some 10,000 images.
        directory_bytes: Size of the list of members, which zipfile reads as a whole.
        unpacked_bytes: Size of all members together, far above any study.
        ratio: Unpacked to packed bytes. Images of noise and air shrink to a half or a tenth.
        small_bytes: The ratio is not limited up to this unpacked size.
    """

    members: int = 100_000
    directory_bytes: int = 64 << 20
    unpacked_bytes: int = 64 << 30
    ratio: int = 100
    small_bytes: int = 1 << 30


LIMITS = Limits()


def is_zip(path: Path) -> bool:
    """Returns whether a file has the signature or the suffix of a ZIP archive."""
    if path.suffix.lower() == SUFFIX:
        return True
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def unpack(archive: Path, folder: Path, limits: Limits = LIMITS) -> int:
    """Unpacks the files of an archive and returns their number.

    Archives in the archive stay packed. Two members with the same name are both unpacked.

    Raises:
        InputError: The archive is broken, encrypted or too large, or holds a link, a device or a
            path that leads out of it.
        ResourceError: The disk has too little space.
    """
    with _opened(archive, limits) as opened:
        members = opened.infolist()
        _check(members, archive.stat().st_size, limits)
        _require_space(folder, sum(member.file_size for member in members))
        try:
            return _unpack_all(opened, members, folder)
        except OSError as error:  # errors of reading are InputErrors already
            raise ResourceError(
                f"the ZIP archive can't be unpacked into the temporary folder: {error.strerror}; "
                "free some space, or name another place in TMPDIR"
            ) from error


def _opened(archive: Path, limits: Limits) -> zipfile.ZipFile:
    try:
        _check_directory(archive, limits)
        return zipfile.ZipFile(archive)
    except OSError as error:
        raise InputError(f"the ZIP archive can't be read: {error.strerror or error}") from error
    except _BROKEN as error:
        raise InputError("the ZIP archive is broken: its list of files can't be read") from error


def _check_directory(archive: Path, limits: Limits) -> None:
    """Refuses a list of members that would fill the memory, since zipfile reads all of it."""
    with archive.open("rb") as file:
        size = file.seek(0, 2)
        wanted = _END.size + _LONGEST_COMMENT + _LOCATOR_BYTES + _END_64.size
        file.seek(max(size - wanted, 0))
        tail = file.read()
    ends = {tail.rfind(_END_SIGNATURE), len(tail) - _END.size}
    lengths = [length for at in ends if at >= 0 for length in _directory_lengths(tail, at)]
    if max(lengths, default=0) > limits.directory_bytes:
        raise InputError(
            f"the list of files in the ZIP archive has more than {limits.directory_bytes} bytes: "
            "give the studies in several archives, or a folder"
        )


def _directory_lengths(tail: bytes, at: int) -> list[int]:
    """Returns the lengths of the list according to an end record and the ZIP64 record before it."""
    lengths = []
    if len(tail) >= at + _END.size:
        signature, length, _ = _END.unpack_from(tail, at)
        if signature == _END_SIGNATURE and length != 2**32 - 1:  # else ZIP64 has the length
            lengths.append(length)
    before = at - _LOCATOR_BYTES - _END_64.size
    if before >= 0:
        signature, length = _END_64.unpack_from(tail, before)
        if signature == _END_64_SIGNATURE:
            lengths.append(length)
    return lengths


def _check(members: list[zipfile.ZipInfo], packed_bytes: int, limits: Limits) -> None:
    if len(members) > limits.members:
        raise InputError(
            f"the ZIP archive holds {len(members)} files, and at most {limits.members} are "
            "unpacked: give the studies in several archives, or a folder"
        )
    for number, member in enumerate(members, start=1):
        fault = _fault(member)
        if fault:
            raise InputError(f"file {number} of {len(members)} in the ZIP archive {fault}")
    total = sum(member.file_size for member in members)
    if total > limits.unpacked_bytes:
        raise InputError(
            f"the ZIP archive unpacks to {total} bytes, and at most {limits.unpacked_bytes} are "
            "unpacked: give the studies in several archives, or a folder"
        )
    if total > limits.small_bytes and total > limits.ratio * packed_bytes:
        raise InputError(
            f"the ZIP archive unpacks to more than {limits.ratio} times its size "
            f"({total} bytes): no images do; unpack it yourself and give the folder"
        )


def _fault(member: zipfile.ZipInfo) -> str:
    """Returns why a member is not unpacked; empty if it is a regular file or folder."""
    path = PurePosixPath(member.orig_filename.replace("\\", "/"))
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(member.orig_filename):
        return "has a path that leads out of the archive: pack it anew"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device: pack the files themselves"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted: unpack the archive and give the folder"
    if member.compress_type not in _METHODS:
        return (
            f"is compressed by method {member.compress_type}, and only method 8 (deflate) is "
            "known: unpack the archive and give the folder"
        )
    return ""


def _require_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise ResourceError(
            f"the ZIP archive unpacks to {needed_bytes} bytes, and {free_bytes} are free for "
            "temporary files: free some space, or name another place in TMPDIR"
        )


def _unpack_all(opened: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path) -> int:
    folders: dict[PurePosixPath, Path] = {}
    files = 0
    for number, member in enumerate(members, start=1):
        if member.is_dir():
            continue
        # Files of one folder stay together, since series without UIDs are distinguished by folder.
        parent = PurePosixPath(member.filename).parent
        if parent not in folders:
            folders[parent] = folder / f"{len(folders) + 1:04}"
            folders[parent].mkdir()
        _unpack_file(opened, member, folders[parent] / f"{number:06}", number, len(members))
        files += 1
    return files


def _unpack_file(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, number: int, count: int
) -> None:
    which = f"file {number} of {count} in the ZIP archive"
    with path.open("xb") as file:
        for chunk in _chunks(opened, member, which):
            file.write(chunk)


def _chunks(opened: zipfile.ZipFile, member: zipfile.ZipInfo, which: str) -> Iterator[bytes]:
    """Yields the bytes of a member, exactly as many as the list of members states."""
    left = member.file_size
    try:
        with opened.open(member) as packed:
            while chunk := packed.read(_CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
    except (*_BROKEN, OSError) as error:
        reason = type(error).__name__
        raise InputError(f"{which} can't be unpacked ({reason}): it is damaged") from error
    if left:
        raise InputError(
            f"{which} has another size than the list of files says ({member.file_size} bytes): "
            "it is damaged"
        )

"""Reads and writes the list of a backup's files, in the format of `sha256sum`."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from totalmap.errors import InputError

MANIFEST_FILE = "SHA256SUMS"
_SHA256_CHARACTERS = 64
_SEPARATOR = "  "


class BrokenBackup(InputError):
    """A backup is incomplete, or was changed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a backup.

    Attributes:
        path: The path, relative to the folder of the backup.
        sha256: The hash of its content, as hexadecimal digits.
    """

    path: str
    sha256: str


def write_manifest(folder: Path, entries: Iterable[Entry]) -> None:
    """Writes the list of files; a backup without it is incomplete."""
    aside = folder / f"{MANIFEST_FILE}.part"
    with aside.open("w", encoding="utf-8") as file:
        for entry in entries:
            file.write(f"{entry.sha256}{_SEPARATOR}{entry.path}\n")
        file.flush()
        os.fsync(file.fileno())
    aside.rename(folder / MANIFEST_FILE)


def read_manifest(folder: Path) -> Iterator[Entry]:
    """Yields the files of a backup.

    Raises:
        BrokenBackup: There is no list, because the backup was interrupted; or a line of it does not
            name a file of the backup.
    """
    try:
        file = (folder / MANIFEST_FILE).open(encoding="utf-8")
    except OSError as error:
        raise BrokenBackup(
            f"{folder} has no {MANIFEST_FILE}: it is no backup, or one that was cut off"
        ) from error
    with file:
        for line in file:
            sha256, _, path = line.rstrip("\n").partition(_SEPARATOR)
            parts = Path(path).parts
            if len(sha256) != _SHA256_CHARACTERS or not parts or {"..", "/"} & {*parts}:
                raise BrokenBackup(f"{folder / MANIFEST_FILE}: a line of it names no file")
            yield Entry(path, sha256)


def copy_with_sha256(source: Path, target: Path) -> str:
    """Copies a file to a new file, which is on the disk then; returns its SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as content, target.open("xb") as copy:
        while block := content.read(1 << 20):
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()

"""Reads the lock files: the packages of each set with their versions and hashes.

A set is installed with `pip install --no-deps`, after the sets that it builds on. No set has the
packages in unused.txt, which other packages require but no run imports.
"""

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LOCKS = REPOSITORY / "locks"
UNUSED = Path(__file__).resolve().parent / "unused.txt"

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_DOWNLOAD = re.compile(r"^# Download: (?P<megabytes>\d+) MB", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """One lock file.

    Attributes:
        path: The file.
        pins: The packages as `name==version`, in the order of the file.
        hashes: The SHA-256 of the files that may be installed, for each pin.
        download_mb: The size of all downloads in MB; 0 if the file does not state it.
    """

    path: Path
    pins: tuple[str, ...]
    hashes: tuple[frozenset[str], ...]
    download_mb: int


def read_lock(path: Path) -> Lock:
    """Reads a lock file."""
    text = path.read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if _PIN.match(entry)]
    size = _DOWNLOAD.search(text)
    return Lock(
        path=path,
        pins=tuple(entry.split()[0] for entry in entries),
        hashes=tuple(frozenset(_HASH.findall(entry)) for entry in entries),
        download_mb=int(size["megabytes"]) if size else 0,
    )


def lock_of(name: str) -> Lock:
    """Reads the lock file of a set.

    Args:
        name: run, torch-cpu, torch-cuda, gateway, development, packaged or build.
    """
    return read_lock(LOCKS / f"{name}.txt")


def names_in(path: Path) -> list[str]:
    """Returns the names in a list of packages with one name a line; comments are ignored."""
    text = path.read_text(encoding="utf-8")
    return [line for raw in text.splitlines() if (line := re.sub(r"\s*#.*", "", raw).strip())]

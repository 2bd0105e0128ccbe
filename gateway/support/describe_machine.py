"""Describes the machine and the installed packages, without the name of the machine."""

import os
import platform
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from gateway.store.file_storage import file_system
from totalmap import __version__
from totalmap.machine_limits import PROC, available_bytes, machine_bytes, usable_processors

_UNKNOWN = "not installed"


def describe_versions() -> Mapping[str, str]:
    """Returns the versions of TotalMAP, of what computes, and of the system."""
    system = {}
    with suppress(OSError):
        system = platform.freedesktop_os_release()
    return {
        "TotalMAP": __version__,
        "TotalSegmentator": _version("TotalSegmentator"),
        "torch": _version("torch"),
        "dbos": _version("dbos"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "C library": " ".join(platform.libc_ver()),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": system.get("PRETTY_NAME", "unknown"),
    }


def installed_packages() -> Sequence[str]:
    """Returns the installed packages with their versions, as `pip freeze` writes them."""
    found = {f"{entry.metadata['Name']}=={entry.version}" for entry in distributions()}
    return sorted(found, key=str.lower)


def describe_machine(folder: Path) -> Mapping[str, Any]:
    """Returns the processor, the memory and the disk, in bytes.

    Args:
        folder: On the disk that is described; it may not exist.
    """
    while not folder.exists():
        folder = folder.absolute().parent
    disk, space = shutil.disk_usage(folder), os.statvfs(folder)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_processors": usable_processors(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "memory_bytes": machine_bytes(),
        "memory_available_bytes": available_bytes(),
        "gpus": len([*Path("/dev").glob("nvidia[0-9]*")]),
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
        "disk_free_inodes": space.f_favail,
        "file_system": file_system(folder),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _UNKNOWN


def _processor() -> str:
    return _field(PROC / "cpuinfo", "model name") or platform.machine()


def _field(file: Path, name: str) -> str:
    with suppress(OSError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""

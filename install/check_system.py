"""Checks that TotalMAP can be installed on this machine, and prints the reason if it can't.

It runs as a script with any Python: it needs no package and no new syntax.
"""

import os
import platform
import sys
from typing import Optional, Tuple

PYTHONS = ((3, 11), (3, 12), (3, 13))
# Holoscan's wheel is manylinux_2_35: Debian 12, Ubuntu 22.04 and later.
GLIBC = (2, 35)
MACHINE = "x86_64"
CONTAINER = "use the container instead (docs/image.md)"


def unsupported(
    system: str, machine: str, python: Tuple[int, int], glibc: Optional[Tuple[int, int]]
) -> Optional[str]:
    """Returns the reason why TotalMAP can't be installed, or None.

    Args:
        system: The operating system, as platform.system() names it.
        machine: The processor, as platform.machine() names it.
        python: Version of Python, for example (3, 11).
        glibc: Version of the GNU C library, for example (2, 36); None for another C library.
    """
    if system != "Linux":
        return "TotalMAP installs on Linux, and this is {}: {}.".format(system, CONTAINER)
    if machine != MACHINE:
        return "TotalMAP installs on {} processors, and this is {}: {}.".format(
            MACHINE, machine, CONTAINER
        )
    if glibc is None or glibc < GLIBC:
        found = "another C library" if glibc is None else "glibc {}.{}".format(*glibc)
        return (
            "TotalMAP needs glibc {}.{} or newer (Debian 12, Ubuntu 22.04 or later), "
            "and this system has {}: {}.".format(GLIBC[0], GLIBC[1], found, CONTAINER)
        )
    if python not in PYTHONS:
        known = ", ".join("{}.{}".format(*version) for version in PYTHONS)
        return (
            "TotalMAP needs Python {}, and this is Python {}.{}: name another one "
            "(make PYTHON=python{}.{} ...), or {}.".format(
                known, python[0], python[1], PYTHONS[0][0], PYTHONS[0][1], CONTAINER
            )
        )
    return None


def glibc_version() -> Optional[Tuple[int, int]]:
    """Returns the version of the GNU C library, or None for another C library."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError):  # not Linux, or another C library
        return None
    if name != "glibc":
        return None
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def main() -> int:
    """Returns 1 and prints the reason if TotalMAP can't be installed."""
    reason = unsupported(
        platform.system(), platform.machine(), sys.version_info[:2], glibc_version()
    )
    if reason:
        sys.stderr.write(reason + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Lists the licences of packages, from the packages' own metadata.

`make licences` writes docs/licences.md for the locked packages, with the metadata of PyPI. The
build of the container writes a NOTICE about the packages in the image:

    python -m install.licences docs/licences.md
    python -m install.licences --installed /opt/holoscan/docs/NOTICE

It imports the standard library and pip only.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from install.read_lock_files import lock_of

# Licences that forbid the use in a hospital, or would bind TotalMAP's own code.
FORBIDDEN = ("GPL", "AGPL", "GNU GENERAL PUBLIC", "GNU AFFERO", "NONCOMMERCIAL", "NON-COMMERCIAL")
LESSER = ("LGPL", "GNU LESSER", "GNU LIBRARY")
NVIDIA = "NVIDIA"

_TITLE = """# Licences of the installed packages

TotalMAP itself is under the Apache License 2.0. This page lists every package that `make install`
and the container install, with the licence that the package's own metadata states. `make licences`
writes it. The weights of TotalSegmentator have licences of their own: [tasks](tasks.md).

No package is under the GPL or the AGPL; a test checks this. These packages are under the LGPL,
which allows use in any product: {lesser}.

**Packages of NVIDIA.** These packages are proprietary, under NVIDIA's own licence agreements:
{nvidia}. `nvidia-cuda-runtime` is installed on machines without a GPU as well, since `holoscan`
links to it. `holoscan-cu13` states Apache-2.0, and its wheel also carries NVIDIA's
AI product agreement (`NVIDIA-AI-PRODUCT-EULA.txt`). The other packages of NVIDIA are installed
with PyTorch for CUDA only.
"""
# Title, introduction and lock file of each table.
SECTIONS = (
    ("Run time", "In the container, and with every installation.", "run"),
    ("PyTorch", "For CUDA. PyTorch for the CPU comes without NVIDIA's packages.", "torch-cuda"),
    ("Gateway", "With `make install`; the container has none of it.", "gateway"),
)


@dataclass(frozen=True)
class Licensed:
    """A package and the licence that its metadata states."""

    name: str
    version: str
    licence: str
    home: str

    @property
    def is_forbidden(self) -> bool:
        """Whether no package of the run time may have this licence."""
        stated = self.licence.upper()
        for word in LESSER:
            stated = stated.replace(word, "")
        return any(word in stated for word in FORBIDDEN)

    @property
    def is_lesser(self) -> bool:
        """Whether the licence is the LGPL."""
        return any(word in self.licence.upper() for word in LESSER)

    @property
    def is_nvidia(self) -> bool:
        """Whether the licence is NVIDIA's own."""
        return NVIDIA in self.licence.upper()


def main() -> int:
    """Writes the list that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m install.licences", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--installed", action="store_true", help="write a NOTICE of the installed packages"
    )
    given = parser.parse_args()
    text = notice(installed_packages()) if given.installed else page(locked_packages())
    given.file.write_text(text, encoding="utf-8")
    return 0


def page(packages: Mapping[str, Licensed]) -> str:
    """Returns docs/licences.md.

    Args:
        packages: Every locked package, by its pin `name==version`.
    """
    tables = []
    for title, words, lock in SECTIONS:
        rows = _table(packages[pin] for pin in lock_of(lock).pins)
        tables.append(f"## {title}\n\n{words}\n\n" + "\n".join(rows) + "\n")
    head = _TITLE.format(
        lesser=_names(package for package in packages.values() if package.is_lesser),
        nvidia=_names(package for package in packages.values() if package.is_nvidia),
    )
    return "\n".join((head, *tables))


def notice(packages: Iterable[Licensed]) -> str:
    """Returns the text of a NOTICE about installed packages."""
    packages = sorted(packages, key=lambda package: package.name.lower())
    lines = [
        "TotalMAP, Apache License 2.0 (LICENSE).",
        "",
        "This image holds the packages below, under the licences that they state. The texts of",
        "the licences lie beside each package, in its folder *.dist-info.",
        "",
        "Proprietary, under NVIDIA's own licence agreements: "
        + _names(package for package in packages if package.is_nvidia).replace("`", "")
        + ". holoscan-cu13 also carries NVIDIA-AI-PRODUCT-EULA.txt.",
        "",
        *(f"{package.name} {package.version}: {package.licence}" for package in packages),
    ]
    return "\n".join(lines) + "\n"


# Labels of addresses that are not about the package.
_SPONSORS = ("Funding", "Tidelift")


def licensed(found: Mapping[str, Any]) -> Licensed:
    """Returns a package with the licence that its metadata states.

    Args:
        found: The metadata as JSON (PEP 566).
    """
    lines = [line.partition(", ") for line in found.get("project_url") or ()]
    addresses = [
        found.get("home_page"),
        *(address for label, _, address in lines if label not in _SPONSORS),
    ]
    return Licensed(
        name=found["name"],
        version=found["version"],
        licence=_stated(found),
        home=next((address for address in addresses if address), ""),
    )


def installed_packages() -> Iterator[Licensed]:
    """Yields the packages of this Python's environment."""
    for distribution in metadata.distributions():
        yield licensed(distribution.metadata.json)


def locked_packages() -> dict[str, Licensed]:
    """Returns every locked package by its pin, with the metadata that PyPI has.

    Raises:
        SystemExit: pip can't get it.
    """
    pins = [pin for _, _, lock in SECTIONS for pin in lock_of(lock).pins]
    with tempfile.TemporaryDirectory() as name:
        wanted, report = Path(name) / "requirements.txt", Path(name) / "report.json"
        wanted.write_text("\n".join(pins), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        # fast-deps reads the metadata out of a wheel without downloading the rest.
        command += ["--no-deps", "--quiet", "--use-feature=fast-deps"]
        command += ["--requirement", str(wanted), "--report", str(report)]
        done = subprocess.run(command, check=False)  # noqa: S603  our own command
        if done.returncode:
            raise SystemExit(done.returncode)
        entries = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = [licensed(entry["metadata"]) for entry in entries]
    by_name = {_normal(package.name): package for package in found}
    return {pin: by_name[_normal(pin.partition("==")[0])] for pin in pins}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _stated(found: Mapping[str, Any]) -> str:
    """Returns the licence in one line: the expression, the classifiers, or the free text."""
    if found.get("license_expression"):
        return str(found["license_expression"])
    classifiers = [line.split(" :: ") for line in found.get("classifier") or ()]
    names = [parts[-1] for parts in classifiers if parts[0] == "License" and len(parts) > 2]
    if names:
        return ", ".join(names)
    lines = [line.strip(" =") for line in (found.get("license") or "").splitlines()]
    return next((line for line in lines if line), "not stated")


def _table(packages: Iterable[Licensed]) -> Iterator[str]:
    yield "| package | version | licence |"
    yield "| --- | --- | --- |"
    for package in packages:
        name = f"[{package.name}]({package.home})" if package.home else package.name
        yield f"| {name} | {package.version} | {package.licence} |"


def _names(packages: Iterable[Licensed]) -> str:
    return ", ".join(f"`{package.name}`" for package in packages) or "none"


if __name__ == "__main__":
    sys.exit(main())

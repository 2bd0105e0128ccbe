"""Gets Orthanc 1.12 from Debian 13, beside the installed one.

The packages are unpacked once into ~/.cache/totalmap-tests, with all libraries that Orthanc loads,
and are not installed. apt checks their signatures.
"""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import pytest

from tests.kept_downloads import kept_folder, last_line
from tests.servers import DICOMWEB, OrthancProgram, require_program

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCE = f"deb [signed-by={KEYS}] http://deb.debian.org/debian trixie main\n"
PACKAGES = ("orthanc", "orthanc-dicomweb")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
APT_SECONDS = 600


def orthanc_of_debian_13() -> OrthancProgram:
    """Returns Orthanc 1.12 as Debian 13 has it, or skips the test that needs it."""
    for name, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
        require_program(name, package)
    root = kept_folder("orthanc-of-debian-13", f"{SOURCE}{PACKAGES}", _unpack)
    if isinstance(root, str):
        pytest.skip(f"Orthanc 1.12 was not tried: {root}")
    libraries = str(root / LIBRARIES)
    loader = f"{libraries}/ld-linux-x86-64.so.2"
    return OrthancProgram(
        command=(loader, "--library-path", libraries, str(root / "usr/sbin/Orthanc")),
        dicomweb=root / DICOMWEB.relative_to("/"),
        knows_label_maps=True,
        environment=MappingProxyType({"DCMDICTPATH": str(root / "usr/share/dcmtk/dicom.dic")}),
    )


def _unpack(root: Path) -> str:
    """Unpacks Debian's packages; returns what apt can't get, or nothing."""
    with TemporaryDirectory() as name:
        apt = Path(name)
        failure = _download(apt)
        if not failure:
            for package in sorted((apt / "cache/archives").glob("*.deb")):
                subprocess.run(["dpkg-deb", "-x", package, root], check=True)
            shutil.rmtree(root / "usr/share/doc")
        return failure


def _download(apt: Path) -> str:
    """Downloads the packages and all that they need; returns what apt can't get, or nothing."""
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "sources.list").write_text(SOURCE)
    (apt / "status").touch()  # no package counts as installed
    options = [
        f"-oDir::Etc::sourcelist={apt / 'sources.list'}",
        "-oDir::Etc::sourceparts=-",
        f"-oDir::State::lists={apt / 'lists'}",
        f"-oDir::State::status={apt / 'status'}",
        f"-oDir::Cache={apt / 'cache'}",
        "-oAPT::Sandbox::User=root",
        "-oAPT::Update::Error-Mode=any",
    ]
    install = ["install", "--no-install-recommends", "--download-only", "--yes", *PACKAGES]
    for command in (["update"], install):
        done = subprocess.run(
            ["apt-get", *options, *command],
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
            check=False,
        )
        if done.returncode:
            return f"apt can't get Debian's packages ({last_line(done.stderr, done.stdout)})"
    return ""

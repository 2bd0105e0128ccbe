"""npm packages that tests run: fetched once from the registry by npm, into build/ohif."""

import base64
import hashlib
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.servers import require_program

BUILD = Path(__file__).parent.parent.parent / "build" / "ohif"
FETCH_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One version of a package that needs no other package.

    Attributes:
        sha512: Of the file that the registry has, in base64: `npm view NAME dist.integrity`.
    """

    name: str
    version: str
    sha512: str

    @property
    def folder(self) -> Path:
        """Where its files are unpacked."""
        return BUILD / f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}"


# It names dependencies, but its folder `dist` holds all that a browser needs.
OHIF = Package(
    name="@ohif/app",
    version="3.13.2",
    sha512="WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
)
PLAYWRIGHT = Package(
    name="playwright-core",
    version="1.65.1",
    sha512="hqPpz7blSMPxWVdoeE1yiBSzXsKiVOd2k+kjCvmUywD2GPO2Dd9HfcWnq9NN0GHbNZDFgZ9JfBFr+X5/BLo0qw==",
)


def require_package(package: Package) -> None:
    """Makes sure that a package is unpacked, or skips the test that needs it."""
    if package.folder.exists():
        return
    npm = require_program("npm", "npm")
    BUILD.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=BUILD) as folder:
        done = subprocess.run(
            [npm, "pack", "--loglevel=error", f"{package.name}@{package.version}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"npm can't get {package.name} {package.version}: {done.stderr[-500:]}")
        (file,) = Path(folder).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
        assert digest == package.sha512, f"{file.name} is not the file that is expected"
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
        (Path(folder) / "package").rename(package.folder)

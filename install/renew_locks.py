"""`make locks`: resolves the requirements files with uv and writes the lock files.

Every package is pinned, with the SHA-256 of each file on PyPI that a supported system may install.
A pinned version stays unless the requirements ask for another one; `--upgrade` drops all pins.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from install.check_system import GLIBC, MACHINE, PYTHONS
from install.read_lock_files import LOCKS, REPOSITORY, UNUSED, lock_of, names_in

INDEX = "https://pypi.org/simple"
TIMEOUT_SECONDS = 60
BYTES_PER_MB = 1_000_000
# A marker that no machine fulfils: uv then leaves the package out.
NEVER = "sys_platform == 'never'"
# The dependencies of PyTorch for CUDA that PyTorch for the CPU does not have.
CUDA_ONLY = (
    "cuda-bindings",
    "cuda-toolkit",
    "nvidia-cublas",
    "nvidia-cudnn-cu13",
    "nvidia-cusparselt-cu13",
    "nvidia-nccl-cu13",
    "nvidia-nvshmem-cu13",
    "triton",
)
# The wheel for Python 3.11.
TORCH_CPU_MB = 192
# No set holds them: an image installs no packages, so it needs no pip.
INSTALLERS = ("pip", "setuptools")
BUILD_REQUIREMENTS = ("hatchling==1.27.*", "editables", "setuptools")


@dataclass(frozen=True)
class Package:
    """A package in the version that was resolved.

    Attributes:
        condition: A marker if only some of the supported Pythons need the package, or "".
    """

    name: str
    version: str
    condition: str = ""

    @property
    def line(self) -> str:
        """The package as a line of a requirements file."""
        return f"{self.name}=={self.version}" + (f" ; {self.condition}" if self.condition else "")


@dataclass(frozen=True)
class File:
    """A file of a package: its SHA-256 and its size in bytes."""

    sha256: str
    size: int


def main() -> int:
    """Writes all lock files."""
    parser = argparse.ArgumentParser(prog="python -m install.renew_locks", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="drop all pins")
    keep = not parser.parse_args().upgrade
    pins = _pins_in_force() if keep else []
    unused = [name for name in names_in(UNUSED) if name not in INSTALLERS]
    run_time = [REPOSITORY / "requirements.txt"]
    service = [*run_time, REPOSITORY / "requirements-gateway.txt"]
    tools = [REPOSITORY / "requirements-dev.txt"]

    run = resolve(run_time, pins, without=[*unused, *CUDA_ONLY])
    cuda = resolve(run_time, pins, without=unused)
    gateway = resolve(service, [*pins, *_lines(run)], without=[*unused, *CUDA_ONLY])
    development = resolve(tools, [*pins, *_lines(gateway)], without=CUDA_ONLY)
    # PyTorch itself asks for the parts of CUDA in one version each.
    packaged = resolve(run_time, [*pins, *_lines(cuda)], without=CUDA_ONLY)
    with tempfile.TemporaryDirectory() as name:
        wanted = Path(name) / "build.txt"
        wanted.write_text("\n".join(BUILD_REQUIREMENTS), encoding="utf-8")
        build = resolve([wanted], [*pins, *_lines(development)], without=[])

    torch = [package for package in run if package.name == "torch"]
    run = [package for package in run if package.name != "torch"]
    write_lock("run", run, "What a run needs, but for PyTorch.")
    write_lock("torch-cuda", _beyond(cuda, run), "PyTorch for CUDA, and what it needs besides run.")
    write_torch_cpu(torch[0])
    write_lock("gateway", _beyond(gateway, [*run, *torch]), "What the gateway needs besides run.")
    write_lock(
        "development",
        _beyond(development, gateway),
        "What tests, checks and `make image` need besides run and gateway.",
    )
    write_lock("build", build, "What builds TotalMAP's own package.")
    write_packaged(packaged)
    return 0


def resolve(files: Iterable[Path], pins: Iterable[str], without: Iterable[str]) -> list[Package]:
    """Returns the packages of requirements files and all their dependencies.

    One version of each package fits every supported Python.

    Args:
        files: Requirements files.
        pins: Constraints, as `name==version`.
        without: The names of dependencies that are left out.

    Raises:
        SystemExit: No versions fit together.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        constraints, overrides = folder / "constraints.txt", folder / "overrides.txt"
        constraints.write_text("\n".join(pins), encoding="utf-8")
        lines = [f"{package}; {NEVER}" for package in without]
        overrides.write_text("\n".join(lines), encoding="utf-8")
        oldest = "{}.{}".format(*PYTHONS[0])
        text = run_uv(
            *("pip", "compile", "--universal", "--python-version", oldest),
            *("--no-header", "--no-annotate", "--constraint", str(constraints)),
            *("--override", str(overrides)),
            *(str(file) for file in files),
        )
    requirements = [Requirement(line) for line in text.splitlines() if line.strip()]
    return [
        Package(
            name=canonicalize_name(found.name),
            version=str(found.specifier).removeprefix("=="),
            condition=condition,
        )
        for found in requirements
        if (condition := _condition(found.marker)) is not None
    ]


def run_uv(*arguments: str) -> str:
    """Runs uv without the configuration of this machine's pip and uv, and returns its output.

    Raises:
        SystemExit: uv failed; the message is that of uv.
    """
    command = [sys.executable, "-m", "uv", *arguments, "--no-config", "--quiet"]
    command += ["--default-index", INDEX]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))
    }
    done = subprocess.run(  # noqa: S603  our own command
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return done.stdout


def write_lock(name: str, packages: Iterable[Package], title: str) -> None:
    """Writes a lock file, with the hashes of PyPI's files."""
    packages = sorted(packages, key=lambda package: package.name)
    with ThreadPoolExecutor() as pool:
        listed = list(pool.map(files_of, packages))
    size = sum(max(file.size for file in files) for files in listed)
    lines = [f"# {title} Written by `make locks`.", f"# Download: {size // BYTES_PER_MB} MB"]
    for package, files in zip(packages, listed, strict=True):
        hashes = [f"    --hash=sha256:{file.sha256}" for file in files]
        lines += [" \\\n".join([package.line, *hashes])]
    _write(name, lines)


def write_torch_cpu(torch: Package) -> None:
    """Writes the lock file of PyTorch for the CPU.

    This file has no hashes: PyPI does not have this build, and PyTorch's own index, which has it,
    is not reachable from every network.
    """
    lines = [
        "# PyTorch for the CPU, from PyTorch's own index. Written by `make locks`.",
        "# Without a hash: PyPI does not have this build.",
        f"# Download: {TORCH_CPU_MB} MB",
        f"{torch.name}=={torch.version}+cpu",
    ]
    _write("torch-cpu", lines)


def write_packaged(packages: Iterable[Package]) -> None:
    """Writes the packages that `monai-deploy package` installs in its image, with dependencies."""
    lines = [
        "# What `monai-deploy package` installs in its image. Written by `make locks`.",
        "# Without hashes: the packager adds packages of its own, which have none.",
        *(package.line for package in packages),
    ]
    _write("packaged", lines)


def files_of(package: Package) -> list[File]:
    """Returns the wheels that a supported system may install, and the source if one is needed.

    Raises:
        SystemExit: PyPI has no file for one of the supported Pythons.
    """
    request = urllib.request.Request(  # noqa: S310  https
        f"{INDEX}/{package.name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  https
        listed = json.load(answer)["files"]
    wheels = {file["filename"]: _tags(file["filename"], package) for file in listed}
    sources = {file["filename"] for file in listed if _is_source(file["filename"], package)}
    wanted: set[str] = set()
    for python in PYTHONS:
        usable = {name for name, tags in wheels.items() if tags & _supported_tags(python)}
        if not usable and not sources:
            version = ".".join(map(str, python))
            raise SystemExit(f"PyPI has no file of {package.line} for Python {version} on Linux")
        wanted |= usable or sources
    found = [
        File(sha256=file["hashes"]["sha256"], size=file["size"])
        for file in listed
        if file["filename"] in wanted
    ]
    return sorted(found, key=lambda file: file.sha256)


def _tags(filename: str, package: Package) -> frozenset[Tag]:
    """Returns the systems that a wheel of the package supports; none if it is another file."""
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return frozenset()
    return tags if (name, str(version)) == (package.name, package.version) else frozenset()


def _is_source(filename: str, package: Package) -> bool:
    try:
        name, version = parse_sdist_filename(filename)
    except InvalidSdistFilename:
        return False
    return (name, str(version)) == (package.name, package.version)


@cache
def _supported_tags(python: tuple[int, int]) -> frozenset[Tag]:
    platforms = [f"manylinux_2_{minor}_{MACHINE}" for minor in range(GLIBC[1], 4, -1)]
    platforms += [f"manylinux{name}_{MACHINE}" for name in ("2014", "2010", "1")]
    platforms += [f"linux_{MACHINE}"]
    return frozenset(
        (
            *cpython_tags(python, platforms=platforms),
            *compatible_tags(python, platforms=platforms),
        )
    )


def _condition(marker: Marker | None) -> str | None:
    """Returns "" if every supported Python fulfils a marker, None if none does.

    Otherwise returns the marker.
    """
    linux = {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": MACHINE,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
    }
    fulfilled = [
        marker is None
        or marker.evaluate(
            {
                **linux,
                "python_version": "{}.{}".format(*python),
                "python_full_version": "{}.{}.0".format(*python),
            }
        )
        for python in PYTHONS
    ]
    if all(fulfilled):
        return ""
    return str(marker) if any(fulfilled) else None


def _beyond(packages: Iterable[Package], others: Iterable[Package]) -> list[Package]:
    known = {package.name for package in others}
    return [package for package in packages if package.name not in known]


def _lines(packages: Iterable[Package]) -> list[str]:
    return [package.line for package in packages]


def _pins_in_force() -> list[str]:
    names = ("run", "torch-cuda", "gateway", "development", "packaged", "build")
    present = [name for name in names if (LOCKS / f"{name}.txt").is_file()]
    return sorted({pin for name in present for pin in lock_of(name).pins})


def _write(name: str, lines: Iterable[str]) -> None:
    (LOCKS / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

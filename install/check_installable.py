"""`make check-install`: checks that every locked set of packages can be installed from PyPI only.

For each supported Python, uv resolves the requirements files with the locked versions and finds a
file of each package; pip does the same for the running Python. PyPI has to list every locked hash.
The configuration of this machine (other indexes, local wheels, constraints) is switched off. Only
metadata is downloaded. A check that can't be made counts as failed.
"""

import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from install.check_system import GLIBC, MACHINE, PYTHONS
from install.read_lock_files import LOCKS, REPOSITORY, UNUSED, Lock, lock_of, names_in
from install.renew_locks import INDEX, INSTALLERS, NEVER

REACH_SECONDS = 10
PAGE_SECONDS = 60
_SHA256 = re.compile(r"sha256=([0-9a-f]{64})")  # in the address of each file (PEP 503)
# {installation of a user: its locks in order}. The container holds the run time. PyPI has no
# PyTorch for the CPU: the sets without PyTorch are installed beside it.
SETS = {
    "run time and container, CUDA": ("run", "torch-cuda"),
    "run time and container, CPU": ("run",),
    "run time and gateway, CUDA": ("run", "torch-cuda", "gateway"),
    "run time and gateway, CPU": ("run", "gateway"),
    "development": ("run", "torch-cuda", "gateway", "development"),
    "build of TotalMAP's package": ("build",),
}
# Variables of pip and uv that say how to reach PyPI, not which packages it has.
KEPT_VARIABLES = ("PIP_CERT", "PIP_PROXY", "PIP_DEFAULT_TIMEOUT", "UV_NATIVE_TLS")
PACKAGED_PYTHONS = (PYTHONS[0], PYTHONS[1])


def main() -> int:
    """Makes all checks, prints a line for each, and returns 1 if a check failed."""
    fault = unreachable(INDEX)
    if fault:
        sys.stderr.write(f"{INDEX} can't be reached: {fault}. Nothing was checked.\n")
        return 1
    failed = 0
    for name, reason in checks():
        failed += bool(reason)
        sys.stdout.write(f"{name}: {'FAILED' if reason else 'good'}\n{reason}")
        sys.stdout.flush()
    sys.stdout.write(f"{failed} checks failed\n")
    return int(failed > 0)


def unreachable(index: str, seconds: float = REACH_SECONDS) -> str:
    """Returns why an index can't be reached; empty if it answers in time.

    Args:
        index: The address of the index.
        seconds: The longest time, with the look-up of its name.
    """
    reasons: Queue[str] = Queue()
    # In a thread, because the look-up of a name can't be interrupted.
    Thread(target=lambda: reasons.put(_reason(index, seconds)), daemon=True).start()
    try:
        return reasons.get(timeout=seconds)
    except Empty:
        return f"no answer within {seconds:g} s"


def _reason(index: str, seconds: float) -> str:
    request = urllib.request.Request(f"{index}/pip/", method="HEAD")  # noqa: S310  https
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    try:
        with urllib.request.urlopen(  # noqa: S310  https
            request, timeout=seconds, context=context
        ):
            return ""
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}"
    except OSError as error:
        return str(getattr(error, "reason", error))


def checks() -> Iterator[tuple[str, str]]:
    """Yields the name of each check with its output; the output is empty for a passed check."""
    for python in PYTHONS:
        version = "{}.{}".format(*python)
        for name, locks in SETS.items():
            paths = [lock_of(lock).path for lock in locks]
            yield f"Python {version}, {name}", installable(paths, version)
        yield f"Python {version}, requirements agree with the locks", consistent(version)
    for name in ("run", "torch-cuda", "gateway", "development", "build"):
        yield f"hashes of {name}", strange_hashes(lock_of(name))
    for python in PACKAGED_PYTHONS:
        version = "{}.{}".format(*python)
        yield f"Python {version}, image by `monai-deploy package`", packaged(version)
    pins = [pin for name in ("build", *SETS["development"]) for pin in lock_of(name).pins]
    name = "pip on Python {}.{}, all locks".format(*sys.version_info[:2])
    yield name, pip_agrees(sorted(set(pins)))


def installable(locks: Sequence[Path], python: str, index: str = INDEX) -> str:
    """Returns why lock files can't be installed for a Python; empty if they can."""
    with tempfile.TemporaryDirectory() as target:
        return _output_of_failure(
            *_uv("pip", "install", index=index),
            *("--dry-run", "--no-deps", "--require-hashes"),
            *(f"--requirement={path}" for path in locks),
            *("--python-version", python, "--target", target),
        )


def strange_hashes(lock: Lock, index: str = INDEX) -> str:
    """Returns the packages with a locked hash that the index does not list; empty if none."""
    names = [pin.partition("==")[0] for pin in lock.pins]
    with ThreadPoolExecutor() as pool:
        listed = list(pool.map(lambda name: _listed_hashes(index, name), names))
    strange = [
        f"{pin}: {index} does not list the hash {sha256}\n"
        for pin, locked, known in zip(lock.pins, lock.hashes, listed, strict=True)
        for sha256 in locked - known
    ]
    return "".join(strange)


def _listed_hashes(index: str, name: str) -> set[str]:
    request = urllib.request.Request(f"{index}/{name}/")  # noqa: S310  https
    with urllib.request.urlopen(request, timeout=PAGE_SECONDS) as answer:  # noqa: S310  https
        return set(_SHA256.findall(answer.read().decode()))


def consistent(python: str) -> str:
    """Returns where the locks contradict the requirements of packages; empty if they agree."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides, constraints = folder / "overrides.txt", folder / "constraints.txt"
        unused = [package for package in names_in(UNUSED) if package not in INSTALLERS]
        lines = [f"{package}; {NEVER}" for package in unused]
        overrides.write_text("\n".join(lines), encoding="utf-8")
        pins = [pin for lock in ("run", "torch-cuda", "gateway") for pin in lock_of(lock).pins]
        constraints.write_text("\n".join(pins), encoding="utf-8")
        return _output_of_failure(
            *_uv("pip", "compile", "--python-version", python, "--override", str(overrides)),
            *("--constraint", str(constraints), "--output-file", os.devnull),
            *(str(REPOSITORY / f"requirements{kind}.txt") for kind in ("", "-gateway")),
        )


def packaged(python: str) -> str:
    """Returns why pip would fail in the packager's image; empty if it would not."""
    return _output_of_failure(
        *_uv("pip", "compile", "--python-version", python, "--output-file", os.devnull),
        str(LOCKS / "packaged.txt"),
    )


def pip_agrees(pins: Sequence[str], index: str = INDEX) -> str:
    """Returns why pip refuses pinned packages for the running Python; empty if it does not."""
    with tempfile.TemporaryDirectory() as name:
        wanted = Path(name) / "requirements.txt"
        # Without hashes, and with fast-deps: otherwise pip downloads every file whole.
        wanted.write_text("\n".join(pins), encoding="utf-8")
        return _output_of_failure(
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"),
            *("--no-deps", "--quiet", "--use-feature=fast-deps"),
            *("--index-url", index, "--requirement", str(wanted)),
        )


def _uv(*arguments: str, index: str = INDEX) -> list[str]:
    platform = f"{MACHINE}-manylinux_" + "{}_{}".format(*GLIBC)
    return [
        *(sys.executable, "-m", "uv", *arguments, "--no-config", "--quiet"),
        *("--default-index", index, "--python-platform", platform),
    ]


def _output_of_failure(*command: str) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or not name.startswith(("PIP_", "UV_"))
    }
    environment["PIP_CONFIG_FILE"] = os.devnull
    done = subprocess.run(  # noqa: S603  our own command
        command, env=environment, capture_output=True, text=True, check=False
    )
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())

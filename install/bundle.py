"""`make bundle`: makes a folder that installs TotalMAP on a machine without a network.

The folder holds all wheels, the tracked files of the repository, weights if wanted, SHA256SUMS of
all files, and install.sh, which checks the sums and installs:

    sh install.sh /opt/totalmap
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from install.packages import TORCH_INDEX, has_gpu
from install.read_lock_files import REPOSITORY, Lock, lock_of

SUMS = "SHA256SUMS"
INSTALLER = Path(__file__).resolve().parent / "install.sh"
HASHED_AT_ONCE = 1 << 20


class BundleError(Exception):
    """A bundle can't be made."""


def main() -> int:
    """Makes the bundle that the arguments describe, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m install.bundle", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder; an older bundle is replaced")
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--torch-index", default=TORCH_INDEX, help="index with PyTorch for the CPU")
    parser.add_argument("--models", type=Path, help="a models folder with its manifest.json")
    given = parser.parse_args()
    torch = given.torch if given.torch != "auto" else ("cuda" if has_gpu() else "cpu")
    try:
        make_bundle(given.folder, torch, given.torch_index, given.models)
    except BundleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def make_bundle(folder: Path, torch: str, torch_index: str, models: Path | None) -> None:
    """Makes a bundle for machines with this machine's Python and processor type.

    Args:
        folder: The folder of the bundle. An older bundle is replaced; a folder with other files is
            refused.
        torch: cpu or cuda.
        torch_index: Address of an index with PyTorch for the CPU.
        models: The weights of the bundle, or None.

    Raises:
        BundleError: The folder holds other files, the models have no manifest.json, or a package
            can't be downloaded.
    """
    if models is not None and not (models / "manifest.json").is_file():
        raise BundleError(f"{models} has no manifest.json: run `totalmap models adopt` on it first")
    if folder.exists() and any(folder.iterdir()) and not (folder / SUMS).is_file():
        raise BundleError(f"{folder} is not empty and is not a bundle: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    for lock in map(lock_of, ("build", f"torch-{torch}", "run", "gateway")):
        _add_wheels(lock, wheels, torch_index)
    _add_repository(folder / "totalmap")
    if models is not None:
        shutil.copytree(
            models, folder / "totalmap" / "models" / models.resolve().name, dirs_exist_ok=True
        )
    version = "{}.{}".format(*sys.version_info[:2])
    (folder / "python-version").write_text(f"{version}\n", encoding="utf-8")
    shutil.copy(INSTALLER, folder / "install.sh")
    _write_requirements(folder)
    _write_sums(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    sys.stdout.write(
        f"{folder}: {size / 1e9:.1f} GB, for Python {version}. There: sh install.sh FOLDER\n"
    )


def _add_wheels(lock: Lock, wheels: Path, torch_index: str) -> None:
    options = ["--no-deps", "--no-build-isolation", "--requirement", str(lock.path)]
    if lock.path.stem == "torch-cpu":
        options += ["--index-url", torch_index, "--retries", "1"]
    else:
        options += ["--require-hashes"]
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels), *options)


def _add_repository(folder: Path) -> None:
    """Copies the tracked files only, so no virtual environment, study or result."""
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    _run("git", "-C", str(REPOSITORY), "archive", "--output", str(archive.resolve()), "HEAD")
    _run("tar", "-xf", str(archive), "-C", str(folder))
    archive.unlink()


def _write_requirements(folder: Path) -> None:
    """Writes the requirements of pip: each wheel by its file name and hash."""
    lines = [
        f"./wheels/{wheel.name} --hash=sha256:{_sha256(wheel)}"
        for wheel in sorted((folder / "wheels").iterdir())
    ]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_sums(folder: Path) -> None:
    """Writes SHA256SUMS in the format of sha256sum."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(folder)}" for path in files]
    (folder / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASHED_AT_ONCE):
            digest.update(chunk)
    return digest.hexdigest()


def _run(*command: str) -> None:
    done = _completed(command)
    if done.returncode:
        raise BundleError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


def _completed(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own command
        command, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())

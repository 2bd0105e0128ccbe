"""Makes the base images from Debian's packages: the tests reach no registry of images.

They stand in for `debian:bookworm-slim`, for NVIDIA's CUDA image, and for the package index: all
wheels are in a folder of the image that installs them. The commands that would install packages of
Ubuntu or NVIDIA do nothing.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from install.read_lock_files import lock_of
from tests.acceptance.docker_engine import BUILD_SECONDS, DockerEngine

PACKAGES = "python3,python3-pip,python3-venv,jq,libgomp1,ca-certificates"
SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
# Bookworm lacks these tools; those of the next suite run on it.
TOOLS_SUITE = "trixie"
TOOLS = ("docker-buildx", "docker-compose", "docker-registry")
# The locks of our own image and of the packager's, with PyTorch for the CPU.
SETS = ("build", "run", "torch-cpu", "packaged")
NOTHING = "#!/bin/sh\n# A stand-in: all packages are installed already.\n"
UNNEEDED = (
    "var/lib/apt/lists",
    "var/cache/apt",
    "usr/share/doc",
    "usr/share/locale",
)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# The names change with the content, so an existing image is up to date.
BASE = f"totalmap-test/debian:{_digest(PACKAGES)}"
WHEELS = _digest("".join(lock_of(name).path.read_text(encoding="utf-8") for name in SETS))
WITH_WHEELS = f"totalmap-test/wheels:{WHEELS}"


def make_base(engine: DockerEngine, folder: Path) -> None:
    """Makes `BASE`: a minimal Debian with Python."""
    if engine.has_image(BASE):
        return
    root = folder / "root"
    if not root.exists():
        new = folder / "new-root"
        shutil.rmtree(new, ignore_errors=True)
        _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(new), MIRROR)
        for name in ("apt-get", "apt", "dpkg", "curl"):
            (new / "usr/local/bin" / name).write_text(NOTHING, encoding="utf-8")
            (new / "usr/local/bin" / name).chmod(0o755)
        for name in UNNEEDED:
            shutil.rmtree(new / name)
        (new / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()
        new.rename(root)
    archive = folder / "root.tar"
    _run("tar", "-C", str(root), "-cf", str(archive), ".")
    engine.docker("import", str(archive), BASE)


def make_base_with_wheels(engine: DockerEngine, folder: Path) -> None:
    """Makes `WITH_WHEELS`: BASE with the wheels of all requirements, the only source of pip."""
    if engine.has_image(WITH_WHEELS):
        return
    context = folder / f"wheels-{WHEELS}"
    wheels = context / "wheels"
    if not wheels.exists():
        new = folder / "new-wheels"
        shutil.rmtree(new, ignore_errors=True)
        for name in SETS:
            _download(name, new)
        # The packager's pip needs wheel to build acvl-utils, which PyPI has as a source only.
        _run(sys.executable, "-m", "pip", "download", "--quiet", f"--dest={new}", "wheel")
        context.mkdir(parents=True, exist_ok=True)
        new.rename(wheels)
    (context / "Dockerfile").write_text(
        f"FROM {BASE}\nCOPY wheels /wheels\nENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels\n",
        encoding="utf-8",
    )
    engine.docker("build", "--quiet", "--tag", WITH_WHEELS, str(context))


def _download(name: str, folder: Path) -> None:
    """Downloads the files of a lock unchanged, because their hashes are in the lock.

    The packages of the packager are downloaded with their dependencies: its pip needs these too.
    """
    options = ["--quiet", "--no-build-isolation", f"--dest={folder}"]
    options += [f"--requirement={lock_of(name).path}"]
    if name != "packaged":
        options += ["--no-deps"]
    _run(sys.executable, "-m", "pip", "download", *options)


def download_tools(folder: Path) -> Path:
    """Returns a folder with Docker's tools that bookworm lacks, unpacked from Debian."""
    unpacked = folder / "tools"
    if unpacked.exists():
        return unpacked
    apt = folder / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    source = f"deb [signed-by={keys}] {MIRROR} {TOOLS_SUITE} main\n"
    (apt / "sources.list").write_text(source, encoding="utf-8")
    options = [
        f"-oDir::Etc::sourcelist={apt / 'sources.list'}",
        "-oDir::Etc::sourceparts=-",
        f"-oDir::State::lists={apt / 'lists'}",
        f"-oDir::Cache={apt / 'cache'}",
        "-oAPT::Sandbox::User=root",
    ]
    _run("apt-get", *options, "update")
    _run("apt-get", *options, "download", *TOOLS, cwd=apt)
    new = folder / "new-tools"
    for package in apt.glob("*.deb"):
        _run("dpkg-deb", "-x", str(package), str(new))
    new.rename(unpacked)
    return unpacked


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

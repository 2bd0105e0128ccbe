"""Makes an image from a stage, with `docker build` or with `monai-deploy package`."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from image.build_context import make_stage
from image.map_manifests import write_manifests
from install.locks import LOCKS
from totalmap.settings import ApplicationSection, load_settings

HERE = Path(__file__).resolve().parent
RELEASE_MANIFEST = HERE / "release.json"
HOLOSCAN = "holoscan-cu13"
SDK = "monai-deploy-app-sdk"
SUFFIXES = {"cpu": "", "cuda": "-cuda"}


class BuildError(Exception):
    """A command that builds an image failed."""


def build_image(
    repository: Path,
    stage: Path,
    *,
    tag: str,
    variant: str,
    models: Path | None,
    base_image: str | None,
    build_image: str | None,
    network: str | None,
    torch: str | None = None,
    torch_index: str | None = None,
) -> str:
    """Builds our own Dockerfile, and returns the name of the image.

    Args:
        repository: The git checkout.
        stage: Where the build's files are put.
        tag: Name of the image; its version is the application's.
        variant: cpu or cuda.
        models: Weights to bake in, or None.
        base_image: What the image is built on, or None for the Dockerfile's own.
        build_image: Where packages are installed, or None for the same.
        network: Docker's network for the steps, or None for Docker's own.
        torch: Which PyTorch is installed, cpu or cuda; None for that of the variant.
        torch_index: Address of the index that has PyTorch for the CPU; None for PyTorch's own.

    Raises:
        StageError: The stage can't be made.
        BuildError: Docker failed.
    """
    make_stage(repository, stage, models)
    (stage / "models").mkdir(exist_ok=True)
    write_manifests(stage, variant, version(SDK))
    _add_packages(repository, stage / "packages")
    shutil.copy(HERE / "tools", stage / "tools")
    application = _application(stage)
    image = f"{tag}:{application.version}{SUFFIXES[variant]}"
    arguments = {
        "TITLE": application.title,
        "VERSION": application.version,
        "SDK_VERSION": version(SDK),
        "HOLOSCAN_VERSION": version(HOLOSCAN),
        "BASE_IMAGE": base_image,
        "BUILD_IMAGE": build_image,
        "TORCH": torch or variant,
        "TORCH_INDEX": torch_index,
    }
    _docker_build(repository / "Dockerfile", stage, image, arguments, network)
    return image


def package_image(
    repository: Path, stage: Path, *, tag: str, models: Path | None, base_image: str | None
) -> str:
    """Has `monai-deploy package` build the image, adds what it lacks, and returns its name.

    Raises:
        StageError: The stage can't be made.
        BuildError: The packager or Docker failed.
    """
    make_stage(repository, stage, models)
    application = _application(stage)
    monai_deploy = str(Path(sys.executable).with_name("monai-deploy"))
    _run([monai_deploy, *packager_arguments(stage, tag, base_image)])
    # The packager adds the platform to the name, and leaves no slash in it.
    name = f"{tag}-packager-x64-workstation-dgpu-linux-amd64".replace("/", "-")
    packaged = f"{name}:{application.version}"
    image = f"{tag}-packaged:{application.version}"
    _add_packages(repository, stage / "packages")
    shutil.copy(HERE / "tools", stage / "tools")
    _docker_build(HERE / "finish.Dockerfile", stage, image, {"PACKAGED": packaged}, None)
    return image


def packager_arguments(stage: Path, tag: str, base_image: str | None) -> list[str]:
    """Returns the arguments of `monai-deploy` that package a stage."""
    arguments = ["package", str(stage / "app"), "--config", str(stage / "app.yaml")]
    arguments += ["--docs", str(stage / "docs"), "--platform", "x86_64"]
    arguments += ["--sdk", "monai-deploy", "--no-cache"]
    arguments += ["--source", str(RELEASE_MANIFEST)]
    arguments += ["--tag", f"{tag}-packager:{_application(stage).version}"]
    if (stage / "models").is_dir():
        arguments += ["--models", str(stage / "models")]
    if base_image is not None:
        arguments += ["--base-image", base_image]
    return arguments


def _add_packages(repository: Path, folder: Path) -> None:
    """Adds the locks, and what installs them in the first stage of the Dockerfile."""
    folder.mkdir()
    shutil.copytree(LOCKS, folder / "locks")
    shutil.copytree(
        repository / "install", folder / "install", ignore=shutil.ignore_patterns("__pycache__")
    )


def _docker_build(
    dockerfile: Path,
    context: Path,
    image: str,
    arguments: dict[str, str | None],
    network: str | None,
) -> None:
    command = ["docker", "build", "--file", str(dockerfile), "--tag", image]
    for name, value in arguments.items():
        if value is not None:
            command += ["--build-arg", f"{name}={value}"]
    if network is not None:
        command += ["--network", network]
    _run([*command, str(context)])


def _application(stage: Path) -> ApplicationSection:
    return load_settings(stage / "app.yaml").application


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise BuildError(f"{Path(command[0]).name} is not installed")
    done = subprocess.run(command, env=os.environ, check=False)  # noqa: S603  ours
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} {command[1]} ended with {done.returncode}")

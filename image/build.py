"""Builds an image from a build context, with `docker build` or with `monai-deploy package`."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from image.build_context import make_build_context, write_manifests
from install.read_lock_files import LOCKS
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
    context: Path,
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
        context: The folder of the build context.
        tag: The name of the image; its version is that of the application.
        variant: cpu or cuda.
        models: The weights to copy into the image, or None.
        base_image: The base image; None: that of the Dockerfile.
        build_image: The image that installs the packages; None: the base image.
        network: Docker's network for the build; None: Docker's default.
        torch: The build of PyTorch, cpu or cuda; None: that of the variant.
        torch_index: Address of an index with PyTorch for the CPU; None: PyTorch's own.

    Raises:
        BuildContextError: The build context can't be made.
        BuildError: Docker failed.
    """
    make_build_context(repository, context, models)
    (context / "models").mkdir(exist_ok=True)
    write_manifests(context, variant, version(SDK))
    _add_packages(repository, context / "packages")
    shutil.copy(HERE / "tools", context / "tools")
    application = _application(context)
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
    _docker_build(repository / "Dockerfile", context, image, arguments, network)
    return image


def package_image(
    repository: Path, context: Path, *, tag: str, models: Path | None, base_image: str | None
) -> str:
    """Builds the image with `monai-deploy package`, completes it, and returns its name.

    Raises:
        BuildContextError: The build context can't be made.
        BuildError: The packager or Docker failed.
    """
    make_build_context(repository, context, models)
    application = _application(context)
    monai_deploy = str(Path(sys.executable).with_name("monai-deploy"))
    _run([monai_deploy, *packager_arguments(context, tag, base_image)])
    # The packager adds the platform to the name, and replaces slashes.
    name = f"{tag}-packager-x64-workstation-dgpu-linux-amd64".replace("/", "-")
    packaged = f"{name}:{application.version}"
    image = f"{tag}-packaged:{application.version}"
    _add_packages(repository, context / "packages")
    shutil.copy(HERE / "tools", context / "tools")
    _docker_build(HERE / "finish.Dockerfile", context, image, {"PACKAGED": packaged}, None)
    return image


def packager_arguments(context: Path, tag: str, base_image: str | None) -> list[str]:
    """Returns the arguments of `monai-deploy` that package a build context."""
    arguments = ["package", str(context / "app"), "--config", str(context / "app.yaml")]
    arguments += ["--docs", str(context / "docs"), "--platform", "x86_64"]
    arguments += ["--sdk", "monai-deploy", "--no-cache"]
    arguments += ["--source", str(RELEASE_MANIFEST)]
    arguments += ["--tag", f"{tag}-packager:{_application(context).version}"]
    if (context / "models").is_dir():
        arguments += ["--models", str(context / "models")]
    if base_image is not None:
        arguments += ["--base-image", base_image]
    return arguments


def _add_packages(repository: Path, folder: Path) -> None:
    """Copies the locks and the installer for the first stage of the Dockerfile."""
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


def _application(context: Path) -> ApplicationSection:
    return load_settings(context / "app.yaml").application


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise BuildError(f"{Path(command[0]).name} is not installed")
    done = subprocess.run(command, env=os.environ, check=False)  # noqa: S603  ours
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} {command[1]} ended with {done.returncode}")

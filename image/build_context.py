"""Makes a build context: a folder with the files from which an image is built.

- app/: the application, as `python3 app` runs it, with its requirements.txt
- docs/: README, licence, documents
- models/: the weights to copy into the image, if any, in a folder for each model
- app.yaml
- map/: for our own Dockerfile, the manifests of the MAP (app.json and pkg.json)
"""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from holoscan_cli.common.constants import DefaultValues
from holoscan_cli.common.enum_types import SdkType
from holoscan_cli.packager.config_reader import ApplicationConfiguration
from holoscan_cli.packager.models import Models
from holoscan_cli.packager.parameters import PackageBuildParameters

from install.read_lock_files import lock_of

# A run needs these packages; tests, benchmarks and training are left out.
PACKAGES = ("app", "cli", "deploy", "operators", "totalmap")
DOCUMENTS = ("docs", "README.md", "LICENSE")
SETTINGS = "app.yaml"
PLATFORM_OF_VARIANT = {"cpu": "cpu", "cuda": "dgpu"}

# The manifest of the MAP runs the folder with `python3 /opt/holoscan/app`.
_MAIN = '''"""Runs the application, the package `app` of this folder, as the command of the MAP."""

import runpy

runpy.run_module("app", run_name="__main__", alter_sys=True)
'''


class BuildContextError(Exception):
    """A build context can't be made."""


def make_build_context(repository: Path, context: Path, models: Path | None) -> None:
    """Copies the tracked files that an image needs into an empty folder.

    Args:
        repository: The git checkout.
        context: The folder of the build context; its old files are removed.
        models: A folder of weights with its manifest.json; None: the weights are mounted later.

    Raises:
        BuildContextError: The repository is not a git checkout, or the models folder has no
            manifest.json.
    """
    if models is not None and not (models / "manifest.json").is_file():
        raise BuildContextError(
            f"{models} has no manifest.json: run `totalmap models adopt {models}`"
        )
    shutil.rmtree(context, ignore_errors=True)
    application = context / "app"
    for name in _tracked(repository, PACKAGES):
        _copy(repository / name, application / name)
    for name in _tracked(repository, DOCUMENTS):
        _copy(repository / name, context / "docs" / name.removeprefix("docs/"))
    _copy(repository / SETTINGS, context / SETTINGS)
    (application / "__main__.py").write_text(_MAIN, encoding="utf-8")
    _write_lines(application / "requirements.txt", lock_of("packaged").pins)
    if models is not None:
        shutil.copytree(models, context / "models" / models.resolve().name)


def write_manifests(context: Path, variant: str, sdk_version: str) -> None:
    """Writes the manifests of the MAP, app.json and pkg.json, into the folder map/.

    They are made with the classes of MONAI's packager, in the same way as
    `holoscan_cli.packager.arguments.PackagingArguments` does.

    Args:
        context: The folder of the build context.
        variant: cpu or cuda.
        sdk_version: The version of the MONAI Deploy App SDK.
    """
    build = PackageBuildParameters()  # type: ignore[no-untyped-call]
    build.app_config_file_path = context / "app.yaml"
    build.application = context / "app"
    build.timeout = DefaultValues.TIMEOUT
    if (context / "models").is_dir():
        build.models = Models().build(context / "models") or {}
    configuration = ApplicationConfiguration()
    configuration.read(context / "app.yaml")
    application = configuration.populate_app_manifest(build)
    application.sdk = SdkType.MonaiDeploy.value
    application.sdk_version = sdk_version
    package = configuration.populate_package_manifest(build)
    package.platform_config = PLATFORM_OF_VARIANT[variant]
    folder = context / "map"
    folder.mkdir()
    for name, manifest in (("app.json", application), ("pkg.json", package)):
        text = json.dumps(manifest.data, indent=2) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


def _tracked(repository: Path, names: tuple[str, ...]) -> list[str]:
    """Returns the tracked files in folders or with names, so no virtual environment and no data."""
    command = ["git", "-C", str(repository), "ls-files", "-z", "--", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  git
    if done.returncode:
        raise BuildContextError(f"git ls-files in {repository} failed: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

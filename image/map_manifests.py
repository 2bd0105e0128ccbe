"""Writes the manifests of a MAP, app.json and pkg.json, with the classes of MONAI's packager."""

import json
from pathlib import Path

from holoscan_cli.common.constants import DefaultValues
from holoscan_cli.common.enum_types import SdkType
from holoscan_cli.packager.config_reader import ApplicationConfiguration
from holoscan_cli.packager.models import Models
from holoscan_cli.packager.parameters import PackageBuildParameters

PLATFORM_OF_VARIANT = {"cpu": "cpu", "cuda": "dgpu"}


def write_manifests(context: Path, variant: str, sdk_version: str) -> None:
    """Writes both manifests of a build context into its folder `map`.

    `holoscan_cli.packager.arguments.PackagingArguments` makes them in the same way.

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

"""app.json and pkg.json, made by the packager's own classes for an image it does not build."""

import json
from pathlib import Path

from holoscan_cli.common.constants import DefaultValues
from holoscan_cli.common.enum_types import SdkType
from holoscan_cli.packager.config_reader import ApplicationConfiguration
from holoscan_cli.packager.models import Models
from holoscan_cli.packager.parameters import PackageBuildParameters

PLATFORM_OF_VARIANT = {"cpu": "cpu", "cuda": "dgpu"}


def write_manifests(stage: Path, variant: str, sdk_version: str) -> None:
    """Writes both manifests of a stage into its folder `map`.

    As `holoscan_cli.packager.arguments.PackagingArguments` puts them together.

    Args:
        stage: See `image.build_context`.
        variant: cpu or cuda.
        sdk_version: Of the MONAI Deploy App SDK.
    """
    build = PackageBuildParameters()  # type: ignore[no-untyped-call]
    build.app_config_file_path = stage / "app.yaml"
    build.application = stage / "app"
    build.timeout = DefaultValues.TIMEOUT
    if (stage / "models").is_dir():
        build.models = Models().build(stage / "models") or {}
    configuration = ApplicationConfiguration()
    configuration.read(stage / "app.yaml")
    application = configuration.populate_app_manifest(build)
    application.sdk = SdkType.MonaiDeploy.value
    application.sdk_version = sdk_version
    package = configuration.populate_package_manifest(build)
    package.platform_config = PLATFORM_OF_VARIANT[variant]
    folder = stage / "map"
    folder.mkdir()
    for name, manifest in (("app.json", application), ("pkg.json", package)):
        text = json.dumps(manifest.data, indent=2) + "\n"
        (folder / name).write_text(text, encoding="utf-8")

"""The packager's own code runs up to the build, which needs Docker, and its files are checked."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from holoscan_cli.packager.arguments import PackagingArguments
from holoscan_cli.packager.container_builder import PythonAppBuilder
from holoscan_cli.packager.package_command import create_package_parser
from holoscan_cli.packager.packager import _create_app_manifest, _create_package_manifest

from image.build import RELEASE_MANIFEST, packager_arguments
from image.build_context import make_build_context
from tests.conftest import DEMO_MODELS, REPOSITORY
from totalmap import __version__


class Prepared(PythonAppBuilder):  # type: ignore[no-untyped-call]
    """Stops before Docker would start."""

    def _build_internal(self, _dockerfile: str, platform_parameters: Any) -> Any:
        return platform_parameters


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `monai-deploy package` gives to Docker."""
    folder = tmp_path_factory.mktemp("package")
    stage, made = folder / "stage", folder / "context"
    made.mkdir()
    make_build_context(REPOSITORY, stage, DEMO_MODELS)
    arguments = PackagingArguments(parsed(packager_arguments(stage, "totalmap", None)), str(made))
    _create_app_manifest(arguments.application_manifest, str(made))
    _create_package_manifest(arguments.package_manifest, str(made))
    builder = Prepared(arguments.build_parameters, str(made))
    (platform,) = arguments.platforms
    builder.build(platform)
    assert platform.tag == f"totalmap-packager-x64-workstation-dgpu-linux-amd64:{__version__}"
    return made


def parsed(arguments: list[str]) -> Namespace:
    from argparse import ArgumentParser

    parser = ArgumentParser()
    create_package_parser(parser.add_subparsers(), "package", [])
    return parser.parse_args(arguments)


def test_the_packaged_image_holds_the_application_and_one_copy_of_the_weights(
    context: Path,
) -> None:
    assert (context / "app" / "__main__.py").is_file()
    assert (context / "app" / "totalmap" / "errors.py").is_file()
    assert [path.name for path in (context / "models").iterdir()] == ["demo"]
    assert len(list(context.rglob("checkpoint_final.pth"))) == 1
    assert (context / "docs" / "LICENSE").is_file()
    assert not list(context.rglob(".git"))


def test_the_packaged_requirements_pin_one_package_a_line(context: Path) -> None:
    lines = (context / "pip" / "requirements.txt").read_text().splitlines()
    assert "torch==2.13.0" in lines
    assert "monai-deploy-app-sdk==4.0.0" in lines


def test_the_packaged_manifests_name_the_resources_of_a_run(context: Path) -> None:
    package = json.loads((context / "map" / "pkg.json").read_text())
    assert package["resources"] == {
        "cpu": 2,
        "memory": "8Gi",
        "gpu": 0,
        "sharedMemory": "64Mi",
    }
    application = json.loads((context / "map" / "app.json").read_text())
    assert application["version"] == __version__
    assert application["input"]["formats"] == ["file"]


def test_the_packagers_dockerfile_has_our_base_image_and_labels(context: Path) -> None:
    text = (context / "Dockerfile").read_text()
    release = json.loads(RELEASE_MANIFEST.read_text())
    base = release["4.2.0"]["holoscan"]["base-images"]["dgpu"]
    assert f"FROM {base} AS base" in text
    assert f'LABEL org.opencontainers.image.version="{__version__}"' in text
    assert "ENTRYPOINT" in text

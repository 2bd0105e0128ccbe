import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from image.build_context import BuildContextError, make_build_context, write_manifests
from tests.conftest import DEMO_MODELS, REPOSITORY


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage") / "stage"
    make_build_context(REPOSITORY, folder, DEMO_MODELS)
    return folder


def test_build_context_holds_the_application_and_nothing_else(stage: Path) -> None:
    assert {path.name for path in stage.iterdir()} == {"app", "app.yaml", "docs", "models"}
    assert {path.name for path in (stage / "app").iterdir()} == {
        "__main__.py",
        "app",
        "cli",
        "deploy",
        "operators",
        "requirements.txt",
        "totalmap",
    }
    assert (stage / "docs" / "LICENSE").is_file()


def test_build_context_pins_every_package_for_the_packager(stage: Path) -> None:
    lines = (stage / "app" / "requirements.txt").read_text().splitlines()
    assert "torch==2.13.0" in lines
    assert all("==" in line for line in lines)


def test_build_context_leaves_out_untracked_files(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    files = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files"], capture_output=True, text=True, check=True
    )
    for name in files.stdout.splitlines():
        if not name.startswith(("tests/", "models/", "benchmarks/")):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, checkout / name)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", checkout, *command], check=True)
    (checkout / "totalmap" / "patient.dcm").write_bytes(b"secret")
    make_build_context(checkout, tmp_path / "stage", None)
    assert not list((tmp_path / "stage").rglob("*.dcm"))
    assert not (tmp_path / "stage" / "models").exists()
    assert not list((tmp_path / "stage").rglob(".git*"))


def test_the_app_folder_of_the_image_runs_as_the_manifest_says(stage: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            stage / "app",
            "-c",
            stage / "app.yaml",
            "-i",
            tmp_path / "none",
            "-o",
            tmp_path / "out",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 65, done.stderr
    assert (tmp_path / "out" / "status.json").is_file()


def test_map_manifests_equal_those_of_the_packager(stage: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(stage, tmp_path / "stage"))
    write_manifests(copy, "cuda", "4.0.0")
    application = json.loads((copy / "map" / "app.json").read_text())
    package = json.loads((copy / "map" / "pkg.json").read_text())
    assert json.loads(application["command"]) == ["python3", "/opt/holoscan/app"]
    assert application["input"]["formats"] == application["output"]["formats"] == ["file"]
    assert application["sdk"], application["sdkVersion"] == ("monai-deploy", "4.0.0")
    assert package["platformConfig"] == "dgpu"
    assert package["models"] == {"demo": "/opt/holoscan/models/demo"}


def test_build_context_refuses_weights_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(BuildContextError, match=r"no manifest\.json"):
        make_build_context(REPOSITORY, tmp_path / "stage", tmp_path)


def test_build_context_refuses_a_folder_that_is_not_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(BuildContextError, match="git ls-files"):
        make_build_context(tmp_path, tmp_path / "stage", None)

"""A bundle is made with a network; it installs and runs without a network."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.results import result_in

# A network namespace of its own: not even loopback is up in it.
OFFLINE = ("unshare", "--net")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    run("make", "--no-print-directory", "bundle", f"BUNDLE={folder}", "WEIGHTS=models/demo")
    return folder


def run(*command: str | Path, status: int = 0, cwd: Path = REPOSITORY) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def test_a_bundle_installs_totalmap_without_a_network(
    bundle: Path, phantom_copy: Path, tmp_path: Path
) -> None:
    target = tmp_path / "totalmap"
    text = run(*OFFLINE, "sh", bundle / "install.sh", target, cwd=tmp_path)
    assert "Installed." in text
    command = target / ".venv" / "bin" / "totalmap"
    models = target / "models" / "demo"
    output = tmp_path / "output"
    run(*OFFLINE, command, "run", phantom_copy, output, "--models", models, cwd=tmp_path)
    assert result_in(output, "seg.dcm").is_file()


def test_a_damaged_bundle_installs_nothing(bundle: Path, tmp_path: Path) -> None:
    wheel = next((bundle / "wheels").glob("pydicom-*.whl"))
    content = wheel.read_bytes()
    wheel.write_bytes(content[:-1] + b"x")
    try:
        text = run("sh", bundle / "install.sh", tmp_path / "totalmap", status=1)
    finally:
        wheel.write_bytes(content)
    assert wheel.name in text
    assert "The bundle is damaged" in text
    assert not (tmp_path / "totalmap").exists()


def test_a_bundle_refuses_another_version_of_python(bundle: Path, tmp_path: Path) -> None:
    version = bundle / "python-version"
    text = version.read_text()
    version.write_text("3.99\n")
    try:
        said = run("sh", bundle / "install.sh", tmp_path / "totalmap", status=1)
    finally:
        version.write_text(text)
    assert "python3.99 is not installed" in said


def test_a_bundle_does_not_change_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "study.dcm").write_bytes(b"a study")
    run("make", "bundle", f"BUNDLE={tmp_path}", status=2)
    assert [path.name for path in tmp_path.iterdir()] == ["study.dcm"]

"""Every command in the README is run by a test."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.documents import commands
from tests.results import result_in
from tests.servers import require_program

README = (REPOSITORY / "README.md").read_text()
DOCKER_RUN = (
    "docker run --rm --network=none --read-only --tmpfs /tmp --cap-drop ALL "
    "--security-opt no-new-privileges -v /a/folder:/var/holoscan/input:ro "
    "-v /another/folder:/var/holoscan/output totalmap:0.1.0"
)

# Each command of the README, and the test that runs it.
TESTED = {
    "make demo": "test_demo_on_the_phantom",
    "make test": ".ci/run",
    ".venv/bin/totalmap models install total --variant fast": "tests/unit/engine/test_download.py",
    "make demo INPUT=/a/folder MODELS=models/totalsegmentator OUTPUT=/another/folder": (
        "test_demo_on_a_study"
    ),
    ".venv/bin/totalmap models adopt models/totalsegmentator --bf16-on /a/folder": (
        "tests/unit/cli/test_models.py"
    ),
    ".venv/bin/totalmap trace build/demo/results/seg.dcm": "tests/integration/test_verify.py",
    (
        ".venv/bin/totalmap verify build/demo/results/seg.dcm --source build/phantom -m models/demo"
    ): "tests/integration/test_verify.py",
    ".venv/bin/totalmap check build/demo/results --source build/phantom": (
        "tests/unit/cli/test_check.py"
    ),
    "make image WEIGHTS=models/totalsegmentator": "tests/acceptance/test_documents.py",
    DOCKER_RUN: "tests/acceptance/test_documents.py",
    "make demo-gateway": "test_demo_of_the_gateway",
    ".venv/bin/totalmap serve gateway.yaml": "tests/integration/test_gateway.py",
    ".venv/bin/totalmap inspect /a/folder": "tests/unit/cli/test_inspect.py",
    ".venv/bin/python -m app -i /a/folder -o /another/folder -m models/totalsegmentator": (
        "tests/integration/test_application.py"
    ),
}


def test_every_command_has_a_test() -> None:
    assert sorted(commands(REPOSITORY / "README.md")) == sorted(TESTED)
    assert sorted(commands(REPOSITORY / "docs" / "gateway.md")) == sorted(GATEWAY_TESTED)


# The same for docs/gateway.md.
GATEWAY_TESTED = {
    "make demo-gateway": "test_demo_of_the_gateway",
    ".venv/bin/totalmap models install total --variant fast": "tests/unit/engine/test_download.py",
    ".venv/bin/totalmap gateway check gateway.yaml": "tests/unit/gateway/test_check.py",
    ".venv/bin/totalmap serve gateway.yaml": "tests/integration/test_gateway.py",
    ".venv/bin/totalmap serve --only-work gateway.yaml": "tests/integration/test_postgres.py",
    ".venv/bin/totalmap status gateway.yaml": "tests/unit/cli/test_gateway.py",
    **{
        f".venv/bin/totalmap gateway {command} JOB --config gateway.yaml": (
            "tests/unit/cli/test_gateway.py"
        )
        for command in ("retry", "cancel", "urgent")
    },
    **{
        f".venv/bin/totalmap gateway {command} gateway.yaml": "tests/unit/cli/test_gateway.py"
        for command in ("pause", "resume", "drain", "password")
    },
}


def make(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    environment["COLUMNS"] = "200"  # or long lines are folded
    done = subprocess.run(
        ["make", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not (REPOSITORY / ".venv").is_dir(), reason="make would install everything")
def test_demo_on_the_phantom(tmp_path: Path) -> None:
    text = make("demo", f"OUTPUT={tmp_path}")
    assert "chosen: 160 slices every 3 mm, soft kernel; best of 3 suitable series" in text
    for structure in ("liver", "spleen", "kidney_left", "vertebrae_L3"):
        assert structure in text
    assert "Warning: " in text
    assert "Verdict: ok" in text
    assert str(tmp_path / "results" / "seg.dcm") in text
    check = [".venv/bin/totalmap", "check", str(tmp_path / "results"), "--source", "build/phantom"]
    checked = subprocess.run(check, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "Verdict: ok" in checked.stdout


@pytest.mark.skipif(not (REPOSITORY / ".venv").is_dir(), reason="make would install everything")
def test_demo_on_a_study(real_ct: Path, tmp_path: Path) -> None:
    text = make("demo", f"INPUT={real_ct}", f"MODELS={DEMO_MODELS}", f"OUTPUT={tmp_path}")
    assert "chosen: 20 slices every 2 mm" in text
    assert result_in(tmp_path, "seg.dcm").is_file()
    assert "Verdict: " in text


@pytest.mark.skipif(not (REPOSITORY / ".venv").is_dir(), reason="make would install everything")
def test_demo_of_the_gateway() -> None:
    require_program("Orthanc", "orthanc")
    text = make("demo-gateway")
    for modality in ("SEG", "SR", "RTSTRUCT", "OT"):
        assert f"\n  {modality} " in text


def test_exit_statuses_are_documented() -> None:
    from totalmap import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    statuses = {kind.exit_status for kind in kinds if issubclass(kind, errors.TotalMapError)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == (
        statuses | {0}
    )

"""The make commands of the README run, and its table of exit statuses is right."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.results import result_in
from tests.servers import require_program
from tests.waiting import WAIT_SECONDS

README = (REPOSITORY / "README.md").read_text()


def make(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    environment["COLUMNS"] = "200"  # or long lines are folded
    done = subprocess.run(
        ["make", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not (REPOSITORY / ".venv").is_dir(), reason="make would install everything")
def test_make_demo_segments_the_phantom(tmp_path: Path) -> None:
    text = make("demo", f"OUTPUT={tmp_path}")
    assert "chosen: 160 slices every 3 mm, soft kernel; best of 3 suitable series" in text
    for structure in ("Liver", "Spleen", "Left kidney", "Vertebra L3"):
        assert structure in text
    assert "Warning: " in text
    assert "Verdict: ok" in text
    assert str(tmp_path / "results" / "seg.dcm") in text
    check = [".venv/bin/totalmap", "check", str(tmp_path / "results"), "--source", "build/phantom"]
    checked = subprocess.run(check, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "Verdict: ok" in checked.stdout


@pytest.mark.skipif(not (REPOSITORY / ".venv").is_dir(), reason="make would install everything")
def test_make_demo_segments_a_given_study(real_ct: Path, tmp_path: Path) -> None:
    text = make("demo", f"INPUT={real_ct}", f"MODELS={DEMO_MODELS}", f"OUTPUT={tmp_path}")
    assert "chosen: 20 slices every 2 mm" in text
    assert result_in(tmp_path, "seg.dcm").is_file()
    assert "Verdict: " in text


@pytest.mark.skipif(not (REPOSITORY / ".venv").is_dir(), reason="make would install everything")
def test_make_demo_gateway_returns_results_to_orthanc() -> None:
    require_program("Orthanc", "orthanc")
    text = make("demo-gateway")
    for modality in ("SEG", "SR", "RTSTRUCT", "OT"):
        assert f"\n  {modality} " in text


def test_the_readme_documents_all_exit_statuses() -> None:
    from totalmap import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    statuses = {kind.exit_status for kind in kinds if issubclass(kind, errors.TotalMapError)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == (
        statuses | {0}
    )

import json
import subprocess
import sys
from pathlib import Path

import pytest

from image.build import image_requirements
from image.requirements import names, pinned
from tests.conftest import REPOSITORY

REQUIREMENTS = REPOSITORY / "requirements.txt"
CONSTRAINTS = REPOSITORY / "constraints.txt"
UNUSED = REPOSITORY / "image" / "unused.txt"


def test_what_is_required_needs_more() -> None:
    lines = pinned(REQUIREMENTS, CONSTRAINTS)
    assert "torch==2.13.0" in lines
    assert any(line.startswith("simpleitk==") for line in lines)  # nnunetv2 needs it
    assert not any(line.startswith(("pytest", "hypothesis", "rt-utils")) for line in lines)


def test_every_package_has_its_version_but_pips_own() -> None:
    loose = {line for line in pinned(REQUIREMENTS, CONSTRAINTS) if "==" not in line}
    assert {line.partition(">")[0] for line in loose} <= {"argparse", "pip", "setuptools"} | {
        "nvidia-cuda-runtime==13.*"
    }


def test_what_is_left_out_is_not_there_and_brings_nothing(tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("TotalSegmentator  # a comment\n")
    assert not [
        line
        for line in pinned(wanted, CONSTRAINTS, without=["TotalSegmentator"])
        if line.startswith("vtk")
    ]


def test_nothing_is_said_to_be_unused_that_nobody_asks_for() -> None:
    asked = {line.partition("==")[0].lower() for line in pinned(REQUIREMENTS, CONSTRAINTS)}
    asked = {one.partition(">")[0] for one in asked}
    assert [name for name in names(UNUSED) if name.lower() not in asked] == []


def test_the_packages_of_the_image_as_cyclonedx(tmp_path: Path) -> None:
    """What `make audit` writes."""
    program = Path(sys.executable).with_name("cyclonedx-py")
    if not program.exists():
        pytest.skip("cyclonedx-bom is not installed (requirements-dev.txt)")
    listed = tmp_path / "requirements.txt"
    listed.write_text("\n".join(image_requirements(REPOSITORY)) + "\n")
    sbom = tmp_path / "sbom.json"
    subprocess.run([program, "requirements", listed, "--output-file", sbom], check=True)
    found = json.loads(sbom.read_text())
    assert found["bomFormat"] == "CycloneDX"
    versions = {one["name"]: one.get("version") for one in found["components"]}
    assert versions["torch"] == "2.13.0"
    assert "vtk" not in versions

"""Runs validators of DICOM objects by others; skips the test if one is not installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

PIXELMED = Path("/usr/share/java/pixelmed.jar")


def findings_of_dciodvfy(path: Path, iod: str = "Segmentation") -> list[str]:
    """Returns the errors and warnings of dicom3tools, which has to recognise the IOD."""
    _require("dciodvfy", "dicom3tools")
    done = subprocess.run(["dciodvfy", path], capture_output=True, check=False)
    # dciodvfy quotes values in their own encoding.
    findings = done.stderr.decode(errors="replace").splitlines()
    assert iod in findings, "dciodvfy did not recognise the object"
    return [line for line in findings if line.startswith(("Error", "Warning"))]


def rendered_by_dcmtk(path: Path, folder: Path, remark: str = "") -> str:
    """Returns a report as HTML; dcmtk may not fail, and may print nothing but the remark."""
    _require("dsr2html", "dcmtk")
    html = folder / "report.html"
    done = subprocess.run(
        ["dsr2html", path, html], capture_output=True, text=True, errors="replace", check=False
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (0, "", remark)
    return html.read_text(errors="replace")


def errors_of_pixelmed(path: Path) -> list[str]:
    """Returns the errors of PixelMed's SR validator, which has to know the root template.

    The limits of XPath in Java 17 are too low for its rules, so they are switched off. It runs for
    some seconds only, so full compilation would take longer than it saves.
    """
    if not PIXELMED.exists():
        pytest.skip("PixelMed's tools are not installed (Debian: libpixelmed-java)")
    _require("java", "default-jre-headless")
    limits = [f"-Djdk.xml.xpath{name}Limit=0" for name in ("TotalOp", "ExprOp", "ExprGrp")]
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *limits, "-cp", str(PIXELMED)]
    done = subprocess.run(
        ["java", *options, "com.pixelmed.validate.DicomSRValidator", path],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert "Root Template Validation Complete" in lines
    return [line for line in lines if "Error" in line]


def _require(command: str, package: str) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed (Debian: {package})")

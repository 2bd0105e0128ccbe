"""Tests that docs/viewers.md names the versions that the tests run, and tests that run them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from install.read_lock_files import lock_of
from tests.conftest import REPOSITORY
from tests.javascript_readers.packages import MANIFEST
from tests.ohif.packages import OHIF
from tests.python_readers.environment import LOCK

PAGE = REPOSITORY / "docs" / "viewers.md"
# Packages of Debian: the machine decides their versions.
OF_DEBIAN = {"orthanc", "plastimatch", "dcmtk", "dciodvfy"}
PACKAGES = {"gdcm": "python-gdcm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the page.

    Attributes:
        program: In lower case, without remarks.
        tests: The files and folders that it names.
    """

    program: str
    version: str
    tests: tuple[Path, ...]


def rows() -> Iterator[Row]:
    """Yields the rows of both tables."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "program" and "---" not in cells[0]:
            tests = re.findall(r"`([^`]+)`", cells[-1])
            yield Row(
                program=cells[0].partition(",")[0].lower(),
                version=cells[1],
                tests=tuple(REPOSITORY / test for test in tests),
            )


def pinned_versions() -> dict[str, str]:
    """Returns the version of each package that the tests install."""
    pins = [pin for name in ("run", "gateway", "development") for pin in lock_of(name).pins]
    pins += re.findall(r"^[\w.-]+==\S+", LOCK.read_text(), re.MULTILINE)
    versions = dict(pin.split("==") for pin in reversed(pins))
    packages: dict[str, str] = json.loads(MANIFEST.read_text())["dependencies"]
    return versions | packages | {"ohif": OHIF.version}


ROWS = tuple(rows())


def name_of(row: Row) -> str:
    return f"{row.program} {row.version}"


@pytest.mark.parametrize("row", [row for row in ROWS if row.program not in OF_DEBIAN], ids=name_of)
def test_the_page_on_viewers_names_the_version_that_the_tests_run(row: Row) -> None:
    assert pinned_versions()[PACKAGES.get(row.program, row.program)] == row.version


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_every_viewer_of_the_page_on_viewers_has_a_test_that_names_it(row: Row) -> None:
    files = [
        file for test in row.tests for file in (test.rglob("*.py") if test.is_dir() else [test])
    ]
    name = row.program.rpartition("@")[2].partition("js/")[0]
    texts = " ".join(file.read_text(encoding="utf-8").lower() for file in files)
    assert name.replace("-", "_") in texts.replace("-", "_")

from importlib import metadata

import pytest

from install.licences import SECTIONS, Licensed, installed_packages, licensed, notice
from install.read_lock_files import lock_of
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "licences.md").read_text(encoding="utf-8")
PINS = [pin for _, _, lock in SECTIONS for pin in lock_of(lock).pins]


def package(licence: str) -> Licensed:
    return Licensed(name="alpha", version="1.0", licence=licence, home="")


def rows() -> dict[str, str]:
    """The licence on the page for each package, by its pin."""
    found = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[1] not in ("version", "---"):
            name = cells[0].partition("]")[0].lstrip("[").lower()
            name = name.replace("_", "-").replace(".", "-")
            found[f"{name}=={cells[1]}"] = cells[2]
    return found


def test_the_licences_page_lists_every_locked_package() -> None:
    assert sorted(rows()) == sorted(PINS)


def test_the_licences_page_agrees_with_the_installed_packages() -> None:
    for pin, licence in rows().items():
        name, _, version = pin.partition("==")
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of CUDA, on a machine without a GPU
            continue
        if found.version == version:
            assert licensed(found.metadata.json).licence == licence, pin


def test_no_package_of_a_run_is_under_the_gpl_or_agpl() -> None:
    assert [pin for pin, licence in rows().items() if package(licence).is_forbidden] == []


def test_the_licences_page_names_packages_under_the_lgpl() -> None:
    lesser = {
        pin.partition("==")[0] for pin, licence in rows().items() if package(licence).is_lesser
    }
    assert lesser == {"connected-components-3d", "psycopg", "psycopg-binary"}
    head = PAGE.partition("## ")[0]
    assert all(f"`{name}`" in head for name in lesser)


def test_the_licences_page_names_the_proprietary_packages_of_nvidia() -> None:
    head = PAGE.partition("## ")[0]
    assert "`nvidia-cuda-runtime`" in head
    assert "`nvidia-cudnn-cu13`" in head
    assert "proprietary" in head


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0", True),
        ("GNU General Public License v2 (GPLv2)", True),
        ("CC-BY-NC-4.0 (non-commercial)", True),
        ("LGPL-3.0-only", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("Apache-2.0", False),
    ],
)
def test_the_licence_rule_forbids_the_gpl_and_allows_the_lgpl(
    licence: str, forbidden: bool
) -> None:
    assert package(licence).is_forbidden is forbidden


def test_the_licence_of_a_package_is_read_from_expression_classifier_or_text() -> None:
    names = {"name": "alpha", "version": "1.0"}
    assert licensed({**names, "license_expression": "MIT", "license": "x"}).licence == "MIT"
    classifier = ["License :: OSI Approved :: BSD License"]
    assert licensed({**names, "classifier": classifier}).licence == "BSD License"
    assert (
        licensed({**names, "license": "\n  Apache License \n Version"}).licence == "Apache License"
    )
    assert licensed(names).licence == "not stated"


def test_the_licence_notice_lists_the_installed_packages() -> None:
    text = notice(installed_packages())
    assert "highdicom 0.28.2: MIT" in text
    assert "Proprietary, under NVIDIA's own licence agreements: nvidia-cuda-runtime" in text

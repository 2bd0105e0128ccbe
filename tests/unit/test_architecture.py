"""docs/architecture.md names every room of the code, and shows the layers that are checked."""

import re
import tomllib

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
CONFIGURATION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
LAYERS = [
    contract["layers"]
    for contract in CONFIGURATION["tool"]["importlinter"]["contracts"]
    if contract["type"] == "layers"
]
ROOMS = sorted(
    path.parent.relative_to(REPOSITORY).as_posix()
    for top in CONFIGURATION["tool"]["mypy"]["files"]
    if top != "tests"
    for path in (REPOSITORY / top).rglob("__init__.py")
)


def named_folders() -> set[str]:
    """The folders that the page names, as `totalmap/dicom/`."""
    return {name.rstrip("/") for name in re.findall(r"`([\w./-]+/)`", PAGE)}


def shown_layers() -> list[list[str]]:
    """The layers of each ```text block whose lines are layers, from the top down."""
    blocks = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    return [[line.strip() for line in block.strip().splitlines()] for block in blocks]


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_names_every_package(room: str) -> None:
    assert room in named_folders()


def test_every_folder_that_the_page_names_exists() -> None:
    missing = [name for name in named_folders() if not (REPOSITORY / name).is_dir()]
    assert missing == []


def test_the_page_shows_the_layers_that_import_linter_checks() -> None:
    assert shown_layers() == LAYERS

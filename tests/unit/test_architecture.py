"""docs/architecture.md agrees with the folders, the names in the code and the import contracts."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
CONFIGURATION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = CONFIGURATION["tool"]["importlinter"]["contracts"]
PACKAGES = sorted(
    path.parent.relative_to(REPOSITORY).as_posix()
    for top in CONFIGURATION["tool"]["mypy"]["files"]
    if top != "tests"
    for path in (REPOSITORY / top).rglob("__init__.py")
)
# What a page of GitHub shows in about five screens.
MOST_LINES = 220
NEW_THINGS = {"writer of a result", "rule about labels", "task", "page of the gateway", "setting"}


def named_paths() -> set[str]:
    """The files and folders of the repository that the page names, as `totalmap/dicom/`."""
    tops = "|".join(path.name for path in REPOSITORY.iterdir() if path.is_dir())
    return set(re.findall(rf"`((?:{tops})/[\w./-]*)`", PAGE))


def paragraphs() -> list[str]:
    """The rows of tables, and the paragraphs, each with what it names."""
    text = re.sub(r"```text\n.*?```", "", PAGE, flags=re.DOTALL)
    return [part for block in text.split("\n\n") for part in block.split("\n|")]


def defined_names(path: Path) -> Iterator[str]:
    """The classes, functions, methods, attributes and constants of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield node.name
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    yield f"{node.name}.{part.name}"
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    yield f"{node.name}.{part.target.id}"
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def names_and_files() -> list[tuple[str, frozenset[str]]]:
    """The names of code on the page, each with the modules that stand beside it."""
    return [
        (name, frozenset(re.findall(r"`([\w/]+\.py)`", part)))
        for part in paragraphs()
        for name in re.findall(r"`([A-Z]\w*[a-z]\w*(?:\.\w+)?|[a-z]\w*_\w+|[A-Z_]{6,})`", part)
    ]


def shown_layers() -> dict[str, list[str]]:
    """The layers of each block, from the top down, by the sentence above it."""
    blocks = re.findall(r"^([^\n]+):\n\n```text\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    return {name: block.strip().splitlines() for name, block in blocks}


def test_the_architecture_page_has_at_most_220_lines() -> None:
    assert len(PAGE.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("package", PACKAGES)
def test_the_architecture_page_names_every_package(package: str) -> None:
    assert f"{package}/" in named_paths()


def test_every_file_and_folder_that_the_architecture_page_names_exists() -> None:
    paths = named_paths()
    assert len(paths) > len(PACKAGES)
    wrong = [path for path in paths if not (REPOSITORY / path).exists()]
    wrong += [path for path in paths if (REPOSITORY / path).is_dir() != path.endswith("/")]
    assert wrong == []


@pytest.mark.parametrize(("name", "files"), names_and_files())
def test_a_file_beside_each_name_of_the_architecture_page_defines_it(
    name: str, files: frozenset[str]
) -> None:
    defined = {each for file in files for each in defined_names(REPOSITORY / file)}
    assert name in defined


def test_the_architecture_page_shows_the_layers_that_import_linter_checks() -> None:
    layers = {
        contract["name"]: contract["layers"] for contract in CONTRACTS if "layers" in contract
    }
    assert shown_layers() == layers


def test_the_architecture_page_lists_the_imports_that_import_linter_forbids() -> None:
    forbidden = [contract["name"] for contract in CONTRACTS if contract["type"] == "forbidden"]
    assert re.findall(r"^- (.+)\.$", PAGE, re.MULTILINE) == forbidden


def test_the_architecture_page_says_where_something_new_goes() -> None:
    _, _, section = PAGE.partition("## Where something new goes")
    assert set(re.findall(r"^\| ([^|]+?) \|", section, re.MULTILINE)) >= NEW_THINGS

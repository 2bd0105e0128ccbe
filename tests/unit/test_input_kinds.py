"""Tests the table of files in docs/input.md, and that the tests which it names exist."""

import ast
import re

import pytest

from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "input.md").read_text(encoding="utf-8")
HEADER = "| topic | kind of file | what happens | test |"
TABLE = DOCUMENT.partition(HEADER)[2].partition("\n\n")[0]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]
TESTS = sorted({row[-1] for row in ROWS})


def test_each_row_of_the_documented_table_of_files_has_four_cells() -> None:
    assert len(ROWS) > 30
    assert {len(row) for row in ROWS} == {4}
    assert all(cell for row in ROWS for cell in row)


def test_rows_of_the_table_of_input_files_in_the_docs_are_sorted_and_unique() -> None:
    keys = [(topic.lower(), kind.lower()) for topic, kind, _, _ in ROWS]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize("named", TESTS)
def test_every_test_that_the_documented_table_of_files_names_exists(named: str) -> None:
    match = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", named)
    assert match is not None
    tree = ast.parse((REPOSITORY / match[1]).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert match[2] in functions

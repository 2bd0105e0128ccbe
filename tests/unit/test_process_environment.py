"""Tests that only `totalmap/process_environment.py` reads the environment of the process."""

import ast
from pathlib import Path

from tests.conftest import REPOSITORY
from totalmap.process_environment import child_environment, process_environment

PACKAGES = ("app", "cli", "operators", "totalmap")
READERS = {"environ", "getenv", "environb", "putenv"}
ALLOWED = {REPOSITORY / "totalmap" / "process_environment.py"}


def reads_environment(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        for name in node.names
    }
    return bool(READERS & (attributes | imported))


def test_only_the_environment_module_reads_environment_variables() -> None:
    files = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    assert {path for path in files if reads_environment(path)} == ALLOWED


def test_the_environment_of_a_child_is_that_of_this_process_with_changes() -> None:
    changed = child_environment({"TMPDIR": "/elsewhere"})
    assert changed == {**process_environment(), "TMPDIR": "/elsewhere"}

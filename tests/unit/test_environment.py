"""Proves that one module alone reads the environment of the process."""

import ast
from pathlib import Path

from tests.conftest import REPOSITORY
from totalmap.environment import child_environment, process_environment

PACKAGES = ("app", "cli", "operators", "totalmap")
READERS = {"environ", "getenv", "environb", "putenv"}
ALLOWED = {REPOSITORY / "totalmap" / "environment.py"}


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


def test_only_environment_module_reads_the_environment() -> None:
    files = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    assert {path for path in files if reads_environment(path)} == ALLOWED


def test_child_environment_adds_changes_to_that_of_this_process() -> None:
    changed = child_environment({"TMPDIR": "/elsewhere"})
    assert changed == {**process_environment(), "TMPDIR": "/elsewhere"}

"""Tests the environment of the process, which `totalmap/environment_variables.py` alone reads."""

import ast
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from totalmap.environment_variables import (
    child_environment,
    chosen_threads,
    prepare_threads,
    process_environment,
    processor_threads,
)
from totalmap.machine_limits import has_processor_quota, usable_processors

PACKAGES = ("app", "cli", "operators", "totalmap")
READERS = {"environ", "getenv", "environb", "putenv"}
ALLOWED = {REPOSITORY / "totalmap" / "environment_variables.py"}


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


@pytest.mark.parametrize(
    ("text", "threads"),
    [("3", 3), (" 5 ", 5), ("2,4", 2), ("0", None), ("-1", None), ("many", None), ("", None)],
)
def test_the_variable_for_threads_is_read_as_openmp_does(
    monkeypatch: pytest.MonkeyPatch, text: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert chosen_threads() == threads
    assert processor_threads() == (threads or usable_processors())


def test_a_number_of_threads_is_handed_to_pytorch_and_none_keeps_the_present_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    prepare_threads()
    assert process_environment()["OMP_NUM_THREADS"] == "7"
    prepare_threads(3)
    assert process_environment()["OMP_NUM_THREADS"] == "3"


def test_without_a_processor_quota_pytorch_chooses_the_number_of_threads_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    prepare_threads()
    expected = str(usable_processors()) if has_processor_quota() else None
    assert process_environment().get("OMP_NUM_THREADS") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "3000"),
        ({"GOMP_SPINCOUNT": "70"}, "70"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_threads_without_work_soon_sleep_unless_the_environment_says_how_they_wait(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that the value of before comes back
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    prepare_threads()
    assert process_environment().get("GOMP_SPINCOUNT") == expected

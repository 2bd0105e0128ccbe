import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from totalmap.engine.arithmetic.shortcut_conditions import (
    Conditions,
    current_conditions,
    digest,
    processor_name,
)
from totalmap.engine.arithmetic.shortcut_memory import ShortcutMemory
from totalmap.private_cache import FOLDER_NAME, PrivateCache

HERE: Conditions = {"processor": "model name: a processor", "threads": "2", "system": "x86_64"}
ELSEWHERE = HERE | {"threads": "4"}


def memory(folder: Path, conditions: Conditions = HERE) -> ShortcutMemory:
    """Returns the memory of a new process."""
    return ShortcutMemory(PrivateCache(folder), conditions)


def file_of(folder: Path, conditions: Conditions = HERE) -> Path:
    return folder / FOLDER_NAME / f"shortcuts-{digest(conditions)}.json"


def reason_to_ignore(folder: Path) -> str:
    with capture_logs() as events:
        assert memory(folder).read() == {}
    (event,) = events
    assert event["event"] == "cache_ignored"
    return str(event["reason"])


def test_a_later_process_reads_which_shortcuts_were_proven_until_they_are_forgotten(
    tmp_path: Path,
) -> None:
    assert memory(tmp_path).read() == {}
    memory(tmp_path).add({"a": True})
    memory(tmp_path).add({"b": False})
    assert memory(tmp_path).read() == {"a": True, "b": False}
    memory(tmp_path).forget()
    assert memory(tmp_path).read() == {}


def test_an_arithmetic_shortcut_that_differed_once_is_never_remembered_as_exact(
    tmp_path: Path,
) -> None:
    memory(tmp_path).add({"a": False, "b": True})
    memory(tmp_path).add({"a": True, "b": False})
    assert memory(tmp_path).read() == {"a": False, "b": False}


def test_arithmetic_shortcuts_under_other_conditions_have_a_memory_of_their_own(
    tmp_path: Path,
) -> None:
    memory(tmp_path).add({"a": True})
    assert memory(tmp_path, ELSEWHERE).read() == {}


def test_a_shortcut_file_of_another_machine_under_the_name_of_this_one_is_ignored(
    tmp_path: Path,
) -> None:
    memory(tmp_path, ELSEWHERE).add({"a": True})
    file_of(tmp_path, ELSEWHERE).rename(file_of(tmp_path))
    assert reason_to_ignore(tmp_path).endswith("was made under other conditions")


@pytest.mark.parametrize("changed", ['"a": true', '"threads": "2"'])
def test_a_shortcut_file_that_was_edited_is_ignored(tmp_path: Path, changed: str) -> None:
    memory(tmp_path).add({"a": True})
    path = file_of(tmp_path)
    text = path.read_text()
    assert changed in text
    path.write_text(text.replace(changed, changed.replace("a", "b").replace("2", "3")))
    assert reason_to_ignore(tmp_path).endswith("is damaged")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null", b'{"facts": {}}'])
def test_a_damaged_shortcut_file_is_ignored_and_replaced(tmp_path: Path, content: bytes) -> None:
    memory(tmp_path).add({"a": True})
    file_of(tmp_path).write_bytes(content)
    assert reason_to_ignore(tmp_path).endswith("is damaged")
    memory(tmp_path).add({"b": True})
    assert memory(tmp_path).read() == {"b": True}


def test_the_conditions_of_shortcuts_name_what_decides_the_order_of_sums_in_this_process() -> None:
    conditions = current_conditions()
    assert conditions is not None
    assert conditions == current_conditions()
    assert "flags" in conditions["processor"] or "Features" in conditions["processor"]
    assert "cpu MHz" not in conditions["processor"]
    assert processor_name(conditions)
    assert json.loads(json.dumps(conditions)) == conditions


def test_the_conditions_of_shortcuts_differ_with_threads_and_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    before, threads = current_conditions(), torch.get_num_threads()
    assert before is not None
    torch.set_num_threads(threads + 1)
    try:
        assert digest(current_conditions() or {}) != digest(before)
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    changed = current_conditions() or {}
    assert {name for name in before if changed[name] != before[name]} == {"environment"}

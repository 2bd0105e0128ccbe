"""Modules are compiled even where Python itself must not write what it compiles."""

from pathlib import Path

import pytest

from install.compile_modules import SWITCHED_OFF_BY, compile_all, compile_imported


@pytest.fixture(autouse=True)
def _switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCHED_OFF_BY, "1")


def compiled(folder: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in folder.rglob("*.pyc"))


def test_only_imported_modules_are_compiled(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text("import second\n")
    (tmp_path / "second.py").write_text("")
    (tmp_path / "third.py").write_text("")
    compile_imported(["first"], tmp_path)
    assert compiled(tmp_path) == ["first", "second"]


def test_a_module_with_a_syntax_error_does_not_stop_the_compilation_of_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "old.py").write_text("print 'a program of Python 2'\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "new.py").write_text("")
    compile_all(tmp_path)
    assert compiled(tmp_path) == ["new"]

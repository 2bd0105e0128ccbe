"""Unneeded files are removed, and modules are compiled even if Python may not write them."""

from pathlib import Path

import pytest

from install.trim_and_compile import SWITCHED_OFF_BY, compile_all, compile_imported, trim


@pytest.fixture(autouse=True)
def _switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCHED_OFF_BY, "1")


def compiled(folder: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in folder.rglob("*.pyc"))


def test_the_installation_compiles_only_imported_modules(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text("import second\n")
    (tmp_path / "second.py").write_text("")
    (tmp_path / "third.py").write_text("")
    compile_imported(["first"], tmp_path)
    assert compiled(tmp_path) == ["first", "second"]


def test_the_installation_compiles_other_modules_beside_one_with_a_syntax_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "old.py").write_text("print 'a program of Python 2'\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "new.py").write_text("")
    compile_all(tmp_path)
    assert compiled(tmp_path) == ["new"]


def test_trimming_the_installation_removes_tests_and_headers_and_keeps_imported_modules(
    tmp_path: Path,
) -> None:
    gone = [
        "scipy/linalg/tests/test_a.py",
        "torch/test/a",
        "torch/include/a.h",
        "torch/bin/protoc",
        "openvino/libs/libopenvino_intel_gpu_plugin.so",
        "reportlab/fonts/DarkGardenMK.pfb",
    ]
    kept = [
        "scipy/linalg/a.py",
        "torch/testing/test/a.py",
        "torch/bin/torch_shm_manager",
        "openvino/libs/libopenvino_intel_cpu_plugin.so",
        "reportlab/fonts/Vera.ttf",
    ]
    for name in (*gone, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    trim(tmp_path)
    assert [name for name in gone if (tmp_path / name).exists()] == []
    assert [name for name in kept if not (tmp_path / name).exists()] == []


def test_trimming_the_installation_accepts_a_folder_without_torch(tmp_path: Path) -> None:
    trim(tmp_path)

from pathlib import Path

from install.trim import trim


def test_trim_removes_tests_and_headers_and_keeps_imported_modules(tmp_path: Path) -> None:
    gone = [
        "scipy/linalg/tests/test_a.py",
        "torch/test/a",
        "torch/include/a.h",
        "torch/bin/protoc",
        "openvino/libs/libopenvino_intel_gpu_plugin.so",
    ]
    kept = [
        "scipy/linalg/a.py",
        "torch/testing/test/a.py",
        "torch/bin/torch_shm_manager",
        "openvino/libs/libopenvino_intel_cpu_plugin.so",
    ]
    for name in (*gone, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    trim(tmp_path)
    assert [name for name in gone if (tmp_path / name).exists()] == []
    assert [name for name in kept if not (tmp_path / name).exists()] == []


def test_trim_works_without_torch(tmp_path: Path) -> None:
    trim(tmp_path)

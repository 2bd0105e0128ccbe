"""The benchmark of a GPU, on the CPU; its seconds are not checked."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.speed import __main__ as speed
from totalmap.errors import ConfigError

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def test_the_gpu_benchmark_runs_whole_on_a_cpu_and_writes_no_results_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "speed-cuda.md"
    assert gpu.main(["--device", "cpu", "--narrow", "--output", str(report)]) == 0
    table = capsys.readouterr().out
    for title in ("fast, 3 mm", "full, 1.5 mm"):
        lines = [line for line in table.splitlines() if line.startswith(title)]
        names = [line.removeprefix(f"{title}: ").partition(",")[0] for line in lines]
        for name in ("cold", "warm", "nnU-Net", "networks", "sums", "one upload of the image"):
            assert any(found.startswith(name) for found in names), (name, lines)
        (repeated,) = [line for line in lines if "when repeated" in line]
        assert " 0 of " in repeated
    assert "left out" not in table
    assert not report.exists()


def test_the_gpu_benchmark_names_the_parts_for_which_the_time_was_short(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.main(["--device", "cpu", "--narrow", "--minutes", "0"]) == 0
    left_out = [line for line in capsys.readouterr().out.splitlines() if "left out: time" in line]
    assert [line.split()[0] for line in left_out] == ["fast", "full"]


@without_gpu
@pytest.mark.parametrize("main", [gpu.main, speed.main])
def test_a_benchmark_of_a_missing_gpu_ends_with_a_sentence_and_the_status_of_wrong_settings(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--device", "cuda"]) == ConfigError.exit_status
    assert capsys.readouterr().err == (
        "--device cuda: PyTorch finds no NVIDIA GPU here; choose --device cpu\n"
    )

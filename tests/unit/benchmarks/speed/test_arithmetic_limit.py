from pathlib import Path

import pytest
import torch

from benchmarks.speed.arithmetic_limit import flop, flop_of_tile, gemm_flop_per_second
from totalmap.engine.tasks import load_task
from totalmap.settings import Variant


def test_the_speed_benchmark_counts_the_flop_of_a_convolution_as_by_hand() -> None:
    """Per voxel and feature of the output: 27 neighbours of 4 features, times 2."""
    network = torch.nn.Conv3d(4, 8, kernel_size=3, padding=1)
    assert flop(network, (1, 4, 10, 12, 14)) == 10 * 12 * 14 * 8 * 27 * 4 * 2


def test_the_speed_benchmark_counts_the_flop_of_a_transposed_convolution_as_by_hand() -> None:
    """Each voxel of the input goes to 2 x 2 x 2 of the output."""
    network = torch.nn.ConvTranspose3d(4, 8, kernel_size=2, stride=2)
    assert flop(network, (1, 4, 5, 6, 7)) == 5 * 6 * 7 * 4 * 8 * 8 * 2


def test_the_flop_of_a_tile_in_the_speed_benchmark_is_the_mean_of_the_networks(
    full_models: Path,
) -> None:
    """They differ only in the last convolution: 4 features to 25, 27, 19, 24 and 27 labels."""
    task = load_task("total", Variant.FULL)
    heads = [len(model.label_table) for model in task.models]
    last = 64**3 * 4 * 2 * sum(heads) / len(heads)
    assert last < flop_of_tile(task, full_models) < 100 * last


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_speed_benchmark_measures_a_positive_rate_of_a_matrix_product(
    dtype: torch.dtype,
) -> None:
    assert gemm_flop_per_second(dtype, "cpu", size=256) > 1e8

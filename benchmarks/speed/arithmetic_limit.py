"""Measures the limit of the machine: the operations of the tiles at the rate of torch.mm."""

import statistics
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from totalmap.engine.network_loader import load_network
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.tasks import Task

GEMM_SIZE = 4096
GEMM_RUNS = 3


def flop_of_tile(task: Task, models_folder: Path) -> float:
    """Returns the floating-point operations of one tile, the mean over the task's networks."""
    return statistics.mean(
        _flop_of_model(
            models_folder / model.checkpoint, models_folder / model.dataset / model.trainer_folder
        )
        for model in task.models
    )


def _flop_of_model(checkpoint: Path, trainer_folder: Path) -> int:
    plans = read_plans(trainer_folder)
    return flop(load_network(plans, checkpoint), (1, 1, *plans.patch_size))


def flop(network: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """Returns the operations of the convolutions of a network; a multiply-add counts as two.

    The network moves to torch's device `meta`: nothing is calculated.
    """
    network.to("meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops())


def gemm_flop_per_second(dtype: torch.dtype, device: str, size: int = GEMM_SIZE) -> float:
    """Returns the rate of torch.mm on square matrices, the median of several runs."""
    left, right = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
    seconds = [_seconds(left, right) for _ in range(1 + GEMM_RUNS)][1:]
    return float(2 * size**3 / statistics.median(seconds))


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.mm(left, right)
    if left.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start

"""The boundary to a device is faked: what it says when its memory is full."""

import pytest
import torch
from structlog.testing import capture_logs

from tests.unit.engine.arithmetic.small_networks import plain
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.network_fallbacks import Ladder, Rung
from totalmap.engine.arithmetic.tile_network import TileNetwork
from totalmap.errors import ResourceError

CPU = torch.device("cpu")
GPU_IS_FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
CPU_IS_FULL = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
)


class Device:
    """Builds networks, and fails as often as it is told to."""

    def __init__(self, name: str, *failures: Exception) -> None:
        self.rung = Rung(name=name, arithmetic=name, build=self._build, sums_device=CPU)
        self.built = 0
        self._failures = list(failures)

    def _build(self) -> TileNetwork:
        self.built += 1
        return ExactNetwork(plain())

    def work(self) -> None:
        if self._failures:
            raise self._failures.pop(0)


def climb(ladder: Ladder, devices: list[Device]) -> str:
    def work(network: TileNetwork, sums_device: torch.device) -> str:
        del network, sums_device
        current = next(d for d in reversed(devices) if d.built)
        current.work()
        return current.rung.name

    return ladder.run(work)


def test_the_first_rung_is_built_once() -> None:
    gpu, cpu = Device("GPU"), Device("CPU")
    ladder = Ladder([gpu.rung, cpu.rung])
    ladder.load()
    assert [climb(ladder, [gpu, cpu]) for _ in range(3)] == ["GPU"] * 3
    assert (gpu.built, cpu.built) == (1, 0)


@pytest.mark.parametrize("failure", [GPU_IS_FULL, MemoryError(), CPU_IS_FULL])
def test_out_of_memory_steps_down_with_a_warning(failure: Exception) -> None:
    gpu, cpu = Device("GPU", failure), Device("CPU")
    ladder = Ladder([gpu.rung, cpu.rung])
    with capture_logs() as events:
        assert climb(ladder, [gpu, cpu]) == "CPU"
    assert ladder.arithmetic == "CPU"
    (event,) = events
    assert event["log_level"] == "warning"
    assert (event["on"], event["going_on_with"]) == ("GPU", "CPU")


def test_the_last_rung_ends_in_an_error_worth_another_try() -> None:
    gpu, cpu = Device("GPU", GPU_IS_FULL), Device("CPU", CPU_IS_FULL)
    with pytest.raises(ResourceError, match="out of memory on the CPU"):
        climb(Ladder([gpu.rung, cpu.rung]), [gpu, cpu])


def test_other_errors_are_not_taken_for_it() -> None:
    gpu, cpu = Device("GPU", RuntimeError("CUDA error: an illegal memory access")), Device("CPU")
    with pytest.raises(RuntimeError, match="illegal"):
        climb(Ladder([gpu.rung, cpu.rung]), [gpu, cpu])
    assert cpu.built == 0


def test_an_unloaded_network_is_loaded_again() -> None:
    cpu = Device("CPU")
    ladder = Ladder([cpu.rung])
    ladder.load()
    ladder.unload()
    assert climb(ladder, [cpu]) == "CPU"
    assert cpu.built == 2

"""Fallbacks with fake devices, which raise the exceptions of a full memory."""

import pytest
import torch
from structlog.testing import capture_logs

from tests.processor import require_bf16
from tests.unit.engine.arithmetic.small_networks import plain
from totalmap.engine.arithmetic.device_fallbacks import (
    NetworkFallbacks,
    NetworkOption,
    choose_device,
    network_fallbacks,
)
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.network_interface import TileNetwork
from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork
from totalmap.engine.nnunet_plans import Architecture, CtNormalization, Plans
from totalmap.errors import ConfigError, ResourceError
from totalmap.settings import Arithmetic, Device

CPU = torch.device("cpu")
GPU_IS_FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
CPU_IS_FULL = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
)

LIBRARY_IS_FULL = [
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
]


class FakeDevice:
    """Builds networks, and raises the given exceptions one after the other."""

    def __init__(self, name: str, *failures: Exception) -> None:
        self.option = NetworkOption(name=name, arithmetic=name, build=self._build, sums_device=CPU)
        self.built = 0
        self._failures = list(failures)

    def _build(self) -> TileNetwork:
        self.built += 1
        return ExactNetwork(plain())

    def work(self) -> None:
        if self._failures:
            raise self._failures.pop(0)


def run_on(fallbacks: NetworkFallbacks, devices: list[FakeDevice]) -> str:
    def work(network: TileNetwork, sums_device: torch.device) -> str:
        del network, sums_device
        current = next(d for d in reversed(devices) if d.built)
        current.work()
        return current.option.name

    return fallbacks.run(work)


def test_the_first_device_option_of_a_network_is_built_once() -> None:
    gpu, cpu = FakeDevice("GPU"), FakeDevice("CPU")
    fallbacks = NetworkFallbacks([gpu.option, cpu.option])
    fallbacks.load()
    assert [run_on(fallbacks, [gpu, cpu]) for _ in range(3)] == ["GPU"] * 3
    assert (gpu.built, cpu.built) == (1, 0)


@pytest.mark.parametrize("failure", [GPU_IS_FULL, MemoryError(), CPU_IS_FULL, *LIBRARY_IS_FULL])
def test_out_of_memory_changes_a_network_to_the_next_device_option_with_a_warning(
    failure: Exception,
) -> None:
    gpu, cpu = FakeDevice("GPU", failure), FakeDevice("CPU")
    fallbacks = NetworkFallbacks([gpu.option, cpu.option])
    with capture_logs() as events:
        assert run_on(fallbacks, [gpu, cpu]) == "CPU"
    assert fallbacks.arithmetic == "CPU"
    (event,) = events
    assert event["log_level"] == "warning"
    assert (event["on"], event["going_on_with"]) == ("GPU", "CPU")


def test_out_of_memory_on_the_last_device_option_is_a_retryable_error() -> None:
    gpu, cpu = FakeDevice("GPU", GPU_IS_FULL), FakeDevice("CPU", CPU_IS_FULL)
    with pytest.raises(ResourceError, match="out of memory on the CPU"):
        run_on(NetworkFallbacks([gpu.option, cpu.option]), [gpu, cpu])


def test_other_errors_of_a_device_are_not_taken_for_out_of_memory() -> None:
    gpu, cpu = (
        FakeDevice("GPU", RuntimeError("CUDA error: an illegal memory access")),
        FakeDevice("CPU"),
    )
    with pytest.raises(RuntimeError, match="illegal"):
        run_on(NetworkFallbacks([gpu.option, cpu.option]), [gpu, cpu])
    assert cpu.built == 0


def test_an_unloaded_network_is_loaded_again() -> None:
    cpu = FakeDevice("CPU")
    fallbacks = NetworkFallbacks([cpu.option])
    fallbacks.load()
    fallbacks.unload()
    assert run_on(fallbacks, [cpu]) == "CPU"
    assert cpu.built == 2


PLANS = Plans(
    patch_size=(32, 48, 32),
    spacing_mm=(1.5, 1.5, 1.5),
    normalization=CtNormalization(lower=0.0, upper=1.0, mean=0.0, std=1.0),
    architecture=Architecture(network_class="", arguments={}, arguments_to_import=()),
    heads=7,
)


@pytest.mark.parametrize(
    ("arithmetic", "kind"),
    [
        (Arithmetic.EXACT, ExactNetwork),
        (Arithmetic.COMPILED, OpenVinoNetwork),
        (Arithmetic.BF16, OpenVinoNetwork),
    ],
)
def test_each_arithmetic_setting_builds_its_kind_of_network(
    arithmetic: Arithmetic, kind: type[TileNetwork]
) -> None:
    if arithmetic is Arithmetic.BF16:
        require_bf16()
    chosen = network_fallbacks(plain, PLANS, arithmetic, CPU)
    assert chosen.run(lambda network, _sums_device: type(network)) is kind
    assert chosen.arithmetic == arithmetic


def test_a_gpu_computes_in_float16_and_falls_back_to_the_cpu() -> None:
    """A meta device stands for the GPU; it runs out of memory twice."""
    seen: list[str] = []

    def work(network: TileNetwork, _sums_device: torch.device) -> None:
        seen.append(type(network).__name__)
        if len(seen) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    passes_for_a_gpu = torch.device("meta")
    chosen = network_fallbacks(plain, PLANS, Arithmetic.EXACT, passes_for_a_gpu)
    assert chosen.arithmetic == "float16"
    chosen.run(work)
    assert seen == ["AutocastNetwork", "AutocastNetwork", "ExactNetwork"]
    assert chosen.arithmetic == "exact"


def test_without_a_gpu_the_device_auto_uses_the_cpu_and_cuda_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert choose_device(Device.AUTO) == choose_device(Device.CPU) == CPU
    with pytest.raises(ConfigError, match="no NVIDIA GPU"):
        choose_device(Device.CUDA)

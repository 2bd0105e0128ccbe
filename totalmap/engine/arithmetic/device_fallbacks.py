"""Chooses the device and arithmetic of a network, and slower ones for when memory runs out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

import torch

from totalmap.engine.arithmetic.autocast_network import AutocastNetwork
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.network_interface import TileNetwork
from totalmap.engine.nnunet_plans import Plans
from totalmap.errors import ConfigError, ResourceError
from totalmap.log import get_logger
from totalmap.settings import Arithmetic, Device

log = get_logger()

Result = TypeVar("Result")
Work = Callable[[TileNetwork, torch.device], Result]

# PyTorch has no exception type for these: a CPU, CUDA outside PyTorch's memory, its libraries, and
# cuDNN without room for any of its algorithms.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "unable to find an engine to execute this computation",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOption:
    """A device and an arithmetic to run a network with.

    Attributes:
        name: For warnings and errors.
        arithmetic: Stated in the provenance of results.
        build: Loads the network; called once, when it is needed.
        sums_device: Holds the sums of logits.
    """

    name: str
    arithmetic: str
    build: Callable[[], TileNetwork]
    sums_device: torch.device


class NetworkFallbacks:
    """The options of one network, the fastest first."""

    def __init__(self, options: Sequence[NetworkOption]) -> None:
        self._options = options
        self._built: tuple[NetworkOption, TileNetwork] | None = None

    def load(self) -> None:
        """Loads the network with the fastest option whose memory holds its weights."""
        self.run(lambda _network, _sums_device: None)

    @property
    def arithmetic(self) -> str:
        """The arithmetic of the option in use, or of the first one before any was used."""
        return (self._built[0] if self._built else self._options[0]).arithmetic

    @property
    def is_loaded(self) -> bool:
        """Whether the network is in memory."""
        return self._built is not None

    def unload(self) -> None:
        """Frees the network; the next `run` loads it again."""
        self._built = None

    def run(self, work: Work[Result]) -> Result:
        """Runs `work` with the fastest option that has enough memory, and returns its result.

        Raises:
            ResourceError: The last option ran out of memory, too.
        """
        for option, slower in zip(self._options, [*self._options[1:], None], strict=True):
            try:
                return work(self._network(option), option.sums_device)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if slower is None:
                    raise ResourceError(f"out of memory on the {option.name}") from error
            # The exception is gone here, and with it the tensors of the failed attempt.
            self.unload()
            torch.cuda.empty_cache()
            log.warning("out_of_memory", on=option.name, going_on_with=slower.name)
        raise AssertionError("there is at least one option")

    def _network(self, option: NetworkOption) -> TileNetwork:
        if self._built is None or self._built[0] is not option:
            self._built = (option, option.build())
        return self._built[1]


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether a CPU or GPU raises this error if its memory is full."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error).lower() for words in _OUT_OF_MEMORY
    )


Load = Callable[[], torch.nn.Module]

# nnU-Net's automatic mixed precision.
ON_GPU = "float16"

_CPU = torch.device("cpu")


def choose_device(device: Device) -> torch.device:
    """Returns the GPU if one is available, unless the CPU is asked for.

    Raises:
        ConfigError: A GPU is asked for and none is available.
    """
    has_gpu = torch.cuda.is_available()
    if device is Device.CUDA and not has_gpu:
        raise ConfigError("segmentation.device is cuda, but PyTorch finds no NVIDIA GPU")
    return torch.device("cuda") if has_gpu and device is not Device.CPU else _CPU


def network_fallbacks(
    load: Load, plans: Plans, arithmetic: Arithmetic, device: torch.device
) -> NetworkFallbacks:
    """Returns the options of a network.

    Args:
        load: Returns the network; an option replaces its layers.
        plans: Those of the network.
        arithmetic: Used on a CPU. A GPU always computes as nnU-Net does there.
        device: That of the first option.

    Raises:
        ConfigError: The arithmetic needs OpenVINO, which is not installed.
    """
    on_cpu = NetworkOption(
        name="CPU",
        arithmetic=arithmetic,
        build=_on_cpu(load, plans, arithmetic),
        sums_device=_CPU,
    )
    if device.type == "cpu":
        return NetworkFallbacks([on_cpu])
    return NetworkFallbacks([*gpu_options(load, plans, device), on_cpu])


def gpu_options(
    load: Load, plans: Plans, device: torch.device, dtype: torch.dtype = torch.float16
) -> list[NetworkOption]:
    """Returns the options of a network on a GPU.

    Args:
        load: As in `network_fallbacks`.
        plans: Those of the network.
        device: The GPU; a CPU to rehearse what runs on a GPU.
        dtype: Of features and logits; a CPU may be faster with bfloat16.
    """

    def build() -> TileNetwork:
        return AutocastNetwork(load(), device, plans.patch_size[0], dtype)

    return [
        NetworkOption(name="GPU", arithmetic=ON_GPU, build=build, sums_device=device),
        NetworkOption(
            name="GPU, sums in main memory", arithmetic=ON_GPU, build=build, sums_device=_CPU
        ),
    ]


def _on_cpu(load: Load, plans: Plans, arithmetic: Arithmetic) -> Callable[[], TileNetwork]:
    if arithmetic is Arithmetic.EXACT:
        return lambda: ExactNetwork(load())
    if find_spec("openvino") is None:
        raise ConfigError(
            f"segmentation.arithmetic {arithmetic} needs OpenVINO: pip install openvino"
        )
    # Imported here because OpenVINO is optional.
    from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork

    bfloat16 = arithmetic is Arithmetic.BF16
    return lambda: OpenVinoNetwork(load(), plans.patch_size, bfloat16=bfloat16)

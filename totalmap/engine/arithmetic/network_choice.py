"""Which arithmetic a network runs with, on which device."""

from collections.abc import Callable
from importlib.util import find_spec

import torch

from totalmap.engine.arithmetic.autocast_network import AutocastNetwork
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.network_fallbacks import Ladder, Rung
from totalmap.engine.arithmetic.tile_network import TileNetwork
from totalmap.engine.nnunet_plans import Plans
from totalmap.errors import ConfigError
from totalmap.settings import Arithmetic, Device

Load = Callable[[], torch.nn.Module]

# nnU-Net's automatic mixed precision.
ON_GPU = "float16"

_CPU = torch.device("cpu")


def choose_device(device: Device) -> torch.device:
    """Returns the GPU if there is one or it is asked for.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if device is Device.CUDA and not has_gpu:
        raise ConfigError("segmentation.device is cuda, but PyTorch finds no NVIDIA GPU")
    return torch.device("cuda") if has_gpu and device is not Device.CPU else _CPU


def ladder(load: Load, plans: Plans, arithmetic: Arithmetic, device: torch.device) -> Ladder:
    """Returns the ways to run a network.

    Args:
        load: Reads the network's weights; a way to run it takes the network over.
        plans: Of the network.
        arithmetic: On a CPU. A GPU computes as nnU-Net does there, whatever is asked for.
        device: Where to begin.

    Raises:
        ConfigError: What the arithmetic needs is not installed.
    """
    on_cpu = Rung(
        name="CPU",
        arithmetic=arithmetic,
        build=_on_cpu(load, plans, arithmetic),
        sums_device=_CPU,
    )
    if device.type == "cpu":
        return Ladder([on_cpu])

    def on_gpu() -> TileNetwork:
        return AutocastNetwork(load(), device, planes_at_once=plans.patch_size[0])

    return Ladder(
        [
            Rung(name="GPU", arithmetic=ON_GPU, build=on_gpu, sums_device=device),
            Rung(
                name="GPU, sums in main memory",
                arithmetic=ON_GPU,
                build=on_gpu,
                sums_device=_CPU,
            ),
            on_cpu,
        ]
    )


def _on_cpu(load: Load, plans: Plans, arithmetic: Arithmetic) -> Callable[[], TileNetwork]:
    if arithmetic is Arithmetic.EXACT:
        return lambda: ExactNetwork(load())
    if find_spec("openvino") is None:
        raise ConfigError(
            f"segmentation.arithmetic {arithmetic} needs OpenVINO: pip install openvino"
        )
    # Here and not above: only who asks for it needs it.
    from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork

    bfloat16 = arithmetic is Arithmetic.BF16
    return lambda: OpenVinoNetwork(load(), plans.patch_size, bfloat16=bfloat16)

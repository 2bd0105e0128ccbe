import pytest
import torch

from tests.processor import require_bf16
from tests.unit.engine.arithmetic.small_networks import plain
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.network_choice import choose_device, ladder
from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork
from totalmap.engine.arithmetic.tile_network import TileNetwork
from totalmap.engine.nnunet_plans import Architecture, CtNormalization, Plans
from totalmap.errors import ConfigError
from totalmap.settings import Arithmetic, Device

CPU = torch.device("cpu")
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
def test_each_arithmetic_has_its_network(arithmetic: Arithmetic, kind: type[TileNetwork]) -> None:
    if arithmetic is Arithmetic.BF16:
        require_bf16()
    chosen = ladder(plain, PLANS, arithmetic, CPU)
    assert chosen.run(lambda network, _sums_device: type(network)) is kind
    assert chosen.arithmetic == arithmetic


def test_a_gpu_computes_in_its_own_way_and_ends_on_the_cpu() -> None:
    """The device is a CPU that passes for a GPU, and is full each time but the last."""
    seen: list[str] = []

    def work(network: TileNetwork, _sums_device: torch.device) -> None:
        seen.append(type(network).__name__)
        if len(seen) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    passes_for_a_gpu = torch.device("meta")
    chosen = ladder(plain, PLANS, Arithmetic.EXACT, passes_for_a_gpu)
    assert chosen.arithmetic == "float16"
    chosen.run(work)
    assert seen == ["AutocastNetwork", "AutocastNetwork", "ExactNetwork"]
    assert chosen.arithmetic == "exact"


def test_without_a_gpu_auto_is_the_cpu_and_cuda_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert choose_device(Device.AUTO) == choose_device(Device.CPU) == CPU
    with pytest.raises(ConfigError, match="no NVIDIA GPU"):
        choose_device(Device.CUDA)

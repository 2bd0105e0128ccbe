"""The network of a GPU, on the CPU: PyTorch's automatic mixed precision runs there as well."""

import pytest
import torch
from torch.nn import functional

from tests.unit.engine.arithmetic.small_networks import HEADS, PATCH, plain, tile
from totalmap.engine.arithmetic.autocast_network import (
    AutocastNetwork,
    _InstanceNorm,
    _keep_layout,
)
from totalmap.engine.arithmetic.split_off_last_layer import FeatureNetwork

CPU = torch.device("cpu")


@torch.inference_mode()
def test_the_arithmetic_of_a_network_on_a_gpu_is_as_exact_as_pytorch_with_autocast() -> None:
    """No GPU is needed: PyTorch's automatic mixed precision runs on a CPU as well."""
    image = tile()
    exact = plain()(image[None, None])[0]
    with torch.autocast("cpu", dtype=torch.float16):
        expected = plain()(image[None, None])[0]
    network = AutocastNetwork(plain(), torch.device("cpu"), planes_at_once=PATCH[0])
    assert network.heads == HEADS
    found = network.logits(network.features(image), slice(0, PATCH[0]))
    assert found.dtype == expected.dtype == torch.float16
    error = (found.float() - exact).abs().max()
    assert error < 2 * (expected.float() - exact).abs().max()
    assert torch.equal(network.logits(network.features(image), slice(3, 5)), found[:, 3:5])


def normalized(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the image (1, 8, z, y, x) normalized by PyTorch and by us, under autocast."""
    layer = torch.nn.InstanceNorm3d(8, affine=True)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = functional.instance_norm(image, weight=layer.weight, bias=layer.bias)
        return theirs, _InstanceNorm(layer)(image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_normalization_in_a_gpu_network_equals_that_of_pytorch_and_keeps_type_and_layout(
    dtype: torch.dtype,
) -> None:
    image = (3 * tile((8, 640, 6))).reshape(1, 8, 8, 10, 48).to(dtype) + 1
    theirs, ours = normalized(image)
    assert ours.dtype == theirs.dtype == dtype
    assert torch.equal(ours, theirs)
    side_by_side = image.contiguous(memory_format=torch.channels_last_3d)
    _, ours = normalized(side_by_side)
    assert ours.is_contiguous(memory_format=torch.channels_last_3d)
    theirs, ours = normalized(side_by_side)
    assert ours.dtype == dtype
    # Another order of summation moves a value by at most one place of its type.
    torch.testing.assert_close(ours, theirs, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)


@torch.inference_mode()
def test_all_layers_of_a_plain_unet_keep_the_channels_side_by_side() -> None:
    network = AutocastNetwork(plain(), CPU, PATCH[0], torch.bfloat16)
    wrong: list[str] = []

    def look(layer: torch.nn.Module, _given: object, result: object) -> None:
        if isinstance(result, torch.Tensor) and not result.is_contiguous(
            memory_format=torch.channels_last_3d
        ):
            wrong.append(type(layer).__name__)

    for layer in network._unet.modules():
        layer.register_forward_hook(look)
    features = network.features(tile())
    logits = network.logits(features, slice(0, PATCH[0]))
    assert wrong == []
    for result in (features, logits):
        assert result[None].is_contiguous(memory_format=torch.channels_last_3d)


@torch.inference_mode()
def test_network_weights_rounded_once_give_the_bits_of_weights_rounded_for_each_tile() -> None:
    network = AutocastNetwork(plain(), CPU, PATCH[0], torch.bfloat16)
    found = network.features(tile())
    unrounded = FeatureNetwork(plain())
    _keep_layout(unrounded)
    network._unet = unrounded.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    assert torch.equal(network.features(tile()), found)


@torch.inference_mode()
def test_cudnn_measures_its_algorithms_only_while_a_network_runs() -> None:
    network = AutocastNetwork(plain(), CPU, PATCH[0], torch.bfloat16)
    seen: list[bool] = []
    network._unet.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.benchmark))
    before = torch.backends.cudnn.benchmark
    network.features(tile())
    assert (seen, before, torch.backends.cudnn.benchmark) == ([True], False, False)

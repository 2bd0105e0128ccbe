from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.unit.engine.arithmetic.small_networks import PATCH, plain, residual, tile
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.split_off_last_layer import FeatureNetwork
from totalmap.errors import ModelError


@pytest.mark.parametrize("build", [plain, residual])
@pytest.mark.parametrize(("features", "heads"), [(4, 3), (8, 118), (32, 25)])
@torch.inference_mode()
def test_exact_logits_equal_those_of_pytorch_bit_for_bit(
    build: Callable[..., torch.nn.Module], features: int, heads: int
) -> None:
    image = tile()
    expected = build(features, heads)(image[None, None])[0]
    network = ExactNetwork(build(features, heads))
    assert network.heads == heads
    for _ in range(2):  # the first tile proves the shortcuts, the second one takes them
        found = network.features(image)
        planes = [network.logits(found, slice(z, z + 1)).clone() for z in range(PATCH[0])]
        assert torch.equal(torch.cat(planes, 1), expected)


@torch.inference_mode()
def test_exact_logits_of_several_planes_equal_those_of_single_planes() -> None:
    network, image = ExactNetwork(plain()), tile()
    features = network.features(image)
    one_by_one = [network.logits(features, slice(z, z + 1)).clone() for z in range(4, 9)]
    assert torch.equal(network.logits(features, slice(4, 9)), torch.cat(one_by_one, 1))


def test_exact_arithmetic_refuses_a_network_that_is_no_unet() -> None:
    with pytest.raises(ModelError, match="no U-Net"):
        FeatureNetwork(torch.nn.Conv3d(1, 2, 1))


def test_exact_arithmetic_refuses_a_last_layer_with_a_larger_kernel() -> None:
    network: Any = plain()
    network.decoder.seg_layers[-1] = torch.nn.Conv3d(8, 3, 3)
    with pytest.raises(ModelError, match="1 x 1 x 1"):
        FeatureNetwork(network)

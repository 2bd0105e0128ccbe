"""No GPU is needed: PyTorch's automatic mixed precision runs on a CPU as well."""

import torch

from tests.unit.engine.arithmetic.small_networks import HEADS, PATCH, plain, tile
from totalmap.engine.arithmetic.autocast_network import AutocastNetwork


@torch.inference_mode()
def test_it_is_the_network_under_autocast() -> None:
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

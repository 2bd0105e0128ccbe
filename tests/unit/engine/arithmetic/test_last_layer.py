import pytest
import torch

from totalmap.engine.arithmetic.last_layer import LastLayer


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(8, 6, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("has_bias", [True, False])
@torch.inference_mode()
def test_the_last_layer_of_a_network_gives_the_logits_of_its_convolution(
    features: torch.Tensor, has_bias: bool
) -> None:
    torch.manual_seed(1)
    convolution = torch.nn.Conv3d(8, 5, 1, bias=has_bias)
    layer = LastLayer(convolution)
    expected = convolution(features[None])[0]
    torch.testing.assert_close(layer.logits(features, slice(0, 6)), expected)
    layer.prove(features)
    assert torch.equal(layer.logits(features, slice(2, 4)), expected[:, 2:4])


@torch.inference_mode()
def test_the_last_layer_uses_its_convolution_if_the_matrix_product_differs(
    features: torch.Tensor,
) -> None:
    """As on a processor whose libraries add up in another order."""
    convolution = torch.nn.Conv3d(8, 5, 1)
    layer = LastLayer(convolution)
    layer._matrix = layer._matrix + 1e-6
    for _ in range(2):
        layer.prove(features)
        assert torch.equal(layer.logits(features, slice(0, 6)), convolution(features[None])[0])

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from totalmap.engine.arithmetic import proven_shortcuts
from totalmap.engine.arithmetic.slab_convolution import SlabConvolution
from totalmap.engine.arithmetic.tensor_pool import TensorPool


def convolution(**changes: Any) -> torch.nn.Conv3d:
    torch.manual_seed(0)
    arguments = {"in_channels": 16, "out_channels": 16, "kernel_size": 3, "padding": 1}
    return torch.nn.Conv3d(**(arguments | changes))


@given(
    depth=st.integers(1, 24),
    kernel=st.sampled_from([1, 3, 5]),
    slab_bytes=st.sampled_from([4096, 20_000, 100_000]),
    stride=st.integers(1, 3),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
    parts=st.integers(1, 3),
)
@settings(deadline=None, max_examples=60)
@torch.inference_mode()
def test_a_convolution_in_slabs_equals_the_whole_one(
    depth: int, kernel: int, slab_bytes: int, stride: int, groups: int, bias: bool, parts: int
) -> None:
    layer = convolution(
        kernel_size=kernel, padding=kernel // 2, stride=stride, groups=groups, bias=bias
    )
    image = torch.randn(1, 16, depth, 9, 11)
    quick = SlabConvolution(layer, TensorPool(), slab_bytes)
    proven_shortcuts.forget()
    for _ in range(2):  # the first call proves, the second one relies on it
        assert torch.equal(quick(list(image.tensor_split(parts, 1))), layer(image))


@torch.inference_mode()
def test_convolution_slabs_that_are_not_exact_are_not_used() -> None:
    layer, image = convolution(), torch.randn(1, 16, 12, 8, 8)
    quick = SlabConvolution(layer, TensorPool(), 4096)
    layer.register_forward_hook(lambda *_: torch.zeros(1, 16, 12, 8, 8))
    for _ in range(2):
        assert not quick(image).any()


@pytest.mark.parametrize(
    "changes",
    [{"dilation": 2}, {"padding": "same"}, {"padding_mode": "reflect"}],
)
def test_unsupported_convolutions_are_not_replaced_by_slabs(changes: dict[str, Any]) -> None:
    assert SlabConvolution.fits(convolution())
    assert not SlabConvolution.fits(convolution(**changes))

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from hypothesis import given
from hypothesis import strategies as st

from totalmap.engine.normalize import Scaling
from totalmap.engine.tile_source import TileSource
from totalmap.engine.tiling import tiles

PATCH = (16, 24, 32)
SCALING = Scaling(limits=(-900.0, 900.0), mean=3.0, std=7.0)
sizes = st.tuples(*[st.integers(1, 70)] * 3)


@given(sizes, st.integers(0, 9))
def test_tiles_are_those_of_nnunets_padded_image(size: tuple[int, int, int], seed: int) -> None:
    image = np.random.default_rng(seed).integers(-1000, 1000, size, dtype=np.int16)
    expected, slicer = pad_nd_image(SCALING(image), PATCH, "constant", {"constant_values": 0}, True)
    source = TileSource(image, SCALING, PATCH)
    assert source.shape == expected.shape
    assert source.inside == slicer
    for tile in tiles(source.shape, PATCH, 0.8):
        assert torch.equal(source(tile), torch.from_numpy(expected[tile].copy()))

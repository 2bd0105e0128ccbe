import numpy as np
import pytest
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from hypothesis import given
from hypothesis import strategies as st

from totalmap.engine.cut_tiles import CpuTileSource, DeviceTileSource, UploadedImage
from totalmap.engine.normalize_intensity import Scaling
from totalmap.engine.tile_layout import tiles

CPU = torch.device("cpu")
TILE = (16, 24, 32)
CT = Scaling(limits=(-900.0, 900.0), mean=-50.38, std=503.39)
Z_SCORE = Scaling(limits=None, mean=np.float32(7.1), std=np.float32(0.3))
image_sizes = st.tuples(*[st.integers(1, 70)] * 3)


@given(image_sizes, st.sampled_from([CT, Z_SCORE]), st.integers(0, 9))
def test_tiles_equal_those_of_the_image_that_nnunet_pads_bit_by_bit(
    size: tuple[int, int, int], scaling: Scaling, seed: int
) -> None:
    """Also tiles that are cut and scaled on a device; here, the device is the CPU."""
    image = np.random.default_rng(seed).integers(-1000, 1000, size, dtype=np.int16)
    expected, slicer = pad_nd_image(scaling(image), TILE, "constant", {"constant_values": 0}, True)
    source = CpuTileSource(image, scaling, TILE)
    on_device = DeviceTileSource(torch.from_numpy(image), scaling, TILE)
    assert source.shape == on_device.shape == expected.shape
    assert source.inside == on_device.inside == slicer
    for tile in tiles(source.shape, TILE, 0.8):
        assert torch.equal(source(tile), torch.from_numpy(expected[tile].copy()))
        assert torch.equal(on_device(tile), source(tile))


def test_an_image_is_uploaded_to_the_gpu_once_and_stays_unchanged() -> None:
    image = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    uploaded = UploadedImage(image)
    there = uploaded.on(CPU)
    assert uploaded.on(CPU) is there
    whole = slice(0, 3), slice(0, 4), slice(0, 5)
    DeviceTileSource(there, CT, image.shape)(whole)
    assert np.array_equal(there.numpy(), np.arange(60).reshape(3, 4, 5))
    uploaded.free()
    assert uploaded.on(CPU) is not there


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<i4", "<f4"])
def test_an_image_is_uploaded_to_the_gpu_in_its_own_type_in_the_order_of_this_machine(
    dtype: str,
) -> None:
    values = np.arange(-4, 8, dtype=dtype).reshape(2, 2, 3)[:, ::-1]
    there = UploadedImage(values).on(CPU)
    assert there.numpy().dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(there.numpy(), values)

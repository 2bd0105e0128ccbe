"""Resamples images on a GPU, with the same result as `totalmap.engine.resample`, bit by bit.

Each step is one float64 operation of PyTorch in the order of the CPU: a conversion, a product or a
sum. A GPU rounds these as IEEE 754 says, as a CPU does (CUDA C++ Programming Guide, "Mathematical
Functions": 0 ulp). Operations that join a product and a sum are not used: they round once only.
"""

from functools import partial
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.arithmetic.device_fallbacks import is_out_of_memory
from totalmap.engine.cut_tiles import UploadedImage
from totalmap.engine.resample import (
    LinearAxis,
    Resample,
    linear_axes,
    resample_image,
    resampled_type,
)
from totalmap.log import get_logger

log = get_logger()

# Their values take some hundred megabytes.
VOXELS_AT_ONCE = 2**24

Lines = list[tuple[torch.Tensor, torch.Tensor]]
"""For the voxels before and after each new voxel along an axis: their indices and weights."""


def resampling_on(device: torch.device) -> Resample:
    """Returns `resample_image`; for a GPU, a function that runs there if its memory is enough."""
    return resample_image if device.type == "cpu" else partial(_on_device_or_cpu, device)


def _on_device_or_cpu(
    device: torch.device,
    image: NDArray[np.generic],
    zooms_mm: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
) -> NDArray[np.generic]:
    try:
        return resample_image_on(device, image, zooms_mm, spacing_mm)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    torch.cuda.empty_cache()
    log.warning("out_of_memory", on="GPU, resampling", going_on_with="CPU")
    return resample_image(image, zooms_mm, spacing_mm)


@torch.inference_mode()
def resample_image_on(
    device: torch.device,
    image: NDArray[np.generic],
    zooms_mm: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    voxels_at_once: int = VOXELS_AT_ONCE,
) -> NDArray[np.generic]:
    """Returns what `resample_image` returns for the same arguments.

    Args:
        device: Interpolates; a CPU to test it.
        image: (x, y, z), HU, int16 or float32.
        zooms_mm: (3,) spacing of `image`, float32 as in a NIfTI header.
        spacing_mm: (3,) the network's spacing, (x, y, z).
        voxels_at_once: New voxels that are interpolated at a time.
    """
    if np.array_equal(zooms_mm, np.asarray(spacing_mm, dtype=np.float64)):
        return image
    axes = linear_axes(image.shape, zooms_mm, spacing_mm)
    x, y, z = (_uploaded(axis, device) for axis in axes)
    source = UploadedImage(image.transpose(2, 1, 0)).on(device)
    dtype = torch.int16 if resampled_type(image.dtype) is np.int16 else torch.int32
    result = torch.empty([axis.size for axis in axes[::-1]], dtype=dtype, device=device)
    at_once = max(voxels_at_once // result[0].numel(), 1)
    for first in range(0, len(result), at_once):
        planes = slice(first, first + at_once)
        some = [(index[planes], weight[planes]) for index, weight in z]
        result[planes] = _interpolated(source, some, y, x)  # truncates towards zero
    return result.cpu().numpy().transpose(2, 1, 0)


def _uploaded(axis: LinearAxis, device: torch.device) -> Lines:
    return [
        (torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device))
        for index, weight in zip(axis.index, axis.weight, strict=True)
    ]


def _interpolated(source: torch.Tensor, z: Lines, y: Lines, x: Lines) -> torch.Tensor:
    """Returns the sum of the eight weighted neighbours, (z, y, x) float64, in scipy's order."""
    shape = [len(lines[0][0]) for lines in (z, y, x)]
    total = torch.zeros(shape, dtype=torch.float64, device=source.device)
    for (x_index, x_weight), (y_index, y_weight), (z_index, z_weight) in product(x, y, z):
        planes = source.index_select(0, z_index).index_select(1, y_index)
        corner = planes.index_select(2, x_index).to(torch.float64)
        corner.mul_(x_weight).mul_(y_weight[:, None]).mul_(z_weight[:, None, None])
        total.add_(corner)
    return total

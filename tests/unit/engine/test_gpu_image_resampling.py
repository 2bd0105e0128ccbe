"""Resampling on a device, which is the CPU here, and a GPU where there is one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from torch.utils._python_dispatch import TorchDispatchMode

from totalmap.engine.gpu_image_resampling import resample_image_on, resampling_on
from totalmap.engine.resample import resample_image

CPU = torch.device("cpu")
PASSES_FOR_A_GPU = torch.device("meta")
SPACING, TARGET_MM = np.array([0.72, 0.6, 1.5], dtype=np.float32), (1.5, 1.5, 1.5)

devices = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
        ),
    ],
)


@devices
@settings(max_examples=200, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 30)] * 3),
    spacing_mm=st.tuples(*[st.floats(0.5, 6.0, width=32)] * 3),
    target_mm=st.sampled_from([1.5, 3.0]),
    constant=st.none() | st.integers(-1024, 3071),
    dtype=st.sampled_from(["<i2", ">i2", "<f4"]),
    voxels_at_once=st.integers(1, 5000),
    seed=st.integers(0, 9),
)
@example((30, 30, 30), (0.72, 0.6, 1.5), 3.0, -821, "<i2", 1000, 0)
def test_an_image_resampled_on_a_device_equals_that_of_the_cpu_bit_by_bit(
    device: str,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    target_mm: float,
    constant: int | None,
    dtype: str,
    voxels_at_once: int,
    seed: int,
) -> None:
    """Also with a constant region, which truncation changes if a sum is rounded otherwise."""
    spacing = np.asarray(spacing_mm, dtype=np.float32)
    if min(round(n * mm / target_mm) for n, mm in zip(shape, spacing, strict=True)) < 1:
        return
    values = np.random.default_rng(seed).normal(0, 800, shape[::-1]).astype(dtype)
    if constant is not None:
        values[tuple(slice(n // 2, None) for n in values.shape)] = constant
    image = values.transpose(2, 1, 0)[::-1, ::-1]  # as an image in canonical orientation lies
    targets = (target_mm,) * 3
    expected = resample_image(image, spacing, targets)
    found = resample_image_on(torch.device(device), image, spacing, targets, voxels_at_once)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_an_image_with_the_spacing_of_the_network_is_not_resampled_on_a_device() -> None:
    image = np.zeros((3, 3, 3), dtype=np.int16)
    spacing = np.full(3, 1.5, dtype=np.float32)
    assert resample_image_on(CPU, image, spacing, TARGET_MM) is image
    assert resampling_on(CPU) is resample_image


class FullDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises an error for each interpolation."""

    def __init__(self, error: Exception) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._error = error

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if "index_select" in str(func):
            raise self._error
        return func(*args, **(kwargs or {}))


def test_an_image_is_resampled_on_the_cpu_with_a_warning_if_the_gpu_is_full() -> None:
    image = np.random.default_rng(0).integers(-1024, 3071, (9, 8, 7), dtype=np.int16)
    resample = resampling_on(PASSES_FOR_A_GPU)
    with capture_logs() as events, FullDevice(torch.OutOfMemoryError("CUDA out of memory")):
        found = resample(image, SPACING, TARGET_MM)
    np.testing.assert_array_equal(found, resample_image(image, SPACING, TARGET_MM))
    (event,) = events
    assert event["log_level"] == "warning"
    assert (event["on"], event["going_on_with"]) == ("GPU, resampling", "CPU")


def test_another_error_of_a_gpu_while_it_resamples_is_not_taken_for_a_full_memory() -> None:
    image = np.zeros((9, 8, 7), dtype=np.int16)
    resample = resampling_on(PASSES_FOR_A_GPU)
    broken = FullDevice(RuntimeError("CUDA error: an illegal memory access"))
    with broken, pytest.raises(RuntimeError, match="illegal"):
        resample(image, SPACING, TARGET_MM)

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from structlog.testing import capture_logs

from tests.memory_holder import ALL_GIGABYTES, memory_held
from tests.unit.test_run_log import Recorder
from totalmap.engine.arithmetic.autocast_network import AutocastNetwork
from totalmap.engine.arithmetic.device_fallbacks import (
    Load,
    NetworkFallbacks,
    NetworkOption,
    gpu_options,
)
from totalmap.engine.nnunet_plans import Plans
from totalmap.engine.predict import Networks, nonzero_box, overwrite_labels
from totalmap.engine.sum_confidence_margins import TaskMargins
from totalmap.engine.tasks import load_task
from totalmap.errors import MemoryInUse, ResourceError
from totalmap.settings import Arithmetic, MemoryShort, Variant

TASK = load_task("total", Variant.FAST)
FULL = load_task("total", Variant.FULL)
PLENTY = 10**12


@pytest.fixture(scope="module")
def networks(fast_models: Path) -> Networks:
    return Networks(TASK, fast_models)


@pytest.fixture(scope="module")
def image() -> NDArray[np.int32]:
    return np.random.default_rng(0).integers(-1000, 1000, (40, 80, 70), dtype=np.int32)


def test_networks_give_an_image_the_same_labels_each_time(
    networks: Networks, image: NDArray[np.int32]
) -> None:
    first, second = Recorder(), Recorder()
    one = networks.predict(image, first.progress)
    other = networks.predict(image, second.progress)
    np.testing.assert_array_equal(one, other)
    assert one.shape == image.shape
    assert one.dtype == np.uint8
    total = first.tiles[0][1]
    assert total > 1
    assert first.tiles == second.tiles == [(done, total) for done in range(1, total + 1)]


def test_an_image_of_zeros_is_segmented(networks: Networks, image: NDArray[np.int32]) -> None:
    assert networks.predict(np.zeros_like(image), Recorder().progress).shape == image.shape


def test_an_image_of_floats_gets_the_labels_of_the_same_integers(
    networks: Networks, image: NDArray[np.int32]
) -> None:
    whole = networks.predict(image, Recorder().progress)
    as_float = networks.predict(image.astype(np.float32), Recorder().progress)
    np.testing.assert_array_equal(as_float, whole)


def memory_of(*free_bytes: int) -> Callable[[], int]:
    """Returns one number after the other, then always the last one."""
    numbers = iter(free_bytes)
    return lambda: next(numbers, free_bytes[-1])


def test_networks_run_one_at_a_time_if_memory_is_short(
    full_models: Path, image: NDArray[np.int32]
) -> None:
    two_tiles = image[:, :, :60]
    expected = Networks(FULL, full_models).predict(two_tiles, Recorder().progress)
    short = Networks(FULL, full_models, free_bytes=memory_of(0, 0, PLENTY))
    with capture_logs() as events:
        found = short.predict(two_tiles, Recorder().progress)
    np.testing.assert_array_equal(found, expected)
    assert "memory_short" in {event["event"] for event in events}


@pytest.mark.parametrize("policy", list(MemoryShort))
def test_an_image_that_exceeds_the_memory_is_refused_with_needed_and_free_memory(
    full_models: Path, image: NDArray[np.int32], policy: MemoryShort
) -> None:
    networks = Networks(FULL, full_models, memory_short=policy, free_bytes=memory_of(1_500_000))
    with pytest.raises(ResourceError, match=r"40 x 80 x 70 voxels .* \d+\.\d GB .* 0\.0 GB"):
        networks.predict(image, Recorder().progress)


def test_the_policy_refuse_ends_a_prediction_that_would_run_slower(
    full_models: Path, image: NDArray[np.int32]
) -> None:
    networks = Networks(
        FULL,
        full_models,
        memory_short=MemoryShort.REFUSE,
        free_bytes=memory_of(0, 0, PLENTY),
    )
    with pytest.raises(ResourceError, match="task total, variant full"):
        networks.predict(image, Recorder().progress)


CPU = torch.device("cpu")


def rehearsed_gpu(
    load: Load, plans: Plans, _arithmetic: Arithmetic, _device: torch.device
) -> NetworkFallbacks:
    """The options of a GPU, computed on the CPU."""
    return NetworkFallbacks(gpu_options(load, plans, CPU, torch.bfloat16))


class FullGpu(AutocastNetwork):
    """Runs out of memory in one step of its work."""

    def __init__(self, network: torch.nn.Module, plans: Plans, full_in: str) -> None:
        super().__init__(network, CPU, plans.patch_size[0], torch.bfloat16)
        self._full_in = full_in

    def __getattribute__(self, name: str) -> object:
        if name in ("_full_in", "__dict__", "__class__"):
            return super().__getattribute__(name)
        if name == self.__dict__.get("_full_in"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().__getattribute__(name)


def margins_of(networks: Networks, image: NDArray[np.int32]) -> tuple[NDArray[np.uint8], list[int]]:
    margins = TaskMargins()
    labels = networks.predict(image, Recorder().progress, margins)
    return labels, [margin.voxels for margin in margins.of(networks.task.structures)]


@pytest.fixture(scope="module")
def on_rehearsed_gpu(
    fast_models: Path, image: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], list[int]]:
    """Labels and numbers of voxels of a part of the image."""
    return margins_of(Networks(TASK, fast_models, fallbacks=rehearsed_gpu), image[:, :70])


@pytest.mark.parametrize("full_in", ["device", "heads", "features", "logits"])
def test_a_gpu_that_is_full_in_any_step_begins_the_image_anew_with_less_memory(
    fast_models: Path,
    image: NDArray[np.int32],
    full_in: str,
    on_rehearsed_gpu: tuple[NDArray[np.uint8], list[int]],
) -> None:
    """The image is uploaded when the device is first asked for; heads, when sums are allocated."""

    def fallbacks(
        load: Load, plans: Plans, _arithmetic: Arithmetic, _device: torch.device
    ) -> NetworkFallbacks:
        full = NetworkOption(
            name="full GPU",
            arithmetic="float16",
            build=lambda: FullGpu(load(), plans, full_in),
            sums_device=CPU,
        )
        return NetworkFallbacks([full, *gpu_options(load, plans, CPU, torch.bfloat16)])

    networks = Networks(TASK, fast_models, fallbacks=fallbacks)
    with capture_logs() as events:
        labels, voxels = margins_of(networks, image[:, :70])
    assert [event["on"] for event in events if event["event"] == "out_of_memory"] == ["full GPU"]
    expected, expected_voxels = on_rehearsed_gpu
    np.testing.assert_array_equal(labels, expected)
    assert voxels == expected_voxels
    assert sum(voxels) == np.count_nonzero(labels)


def test_an_image_that_fits_only_without_other_runs_is_refused_with_the_memory_they_need(
    fast_models: Path,
    image: NDArray[np.int32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    networks = Networks(TASK, fast_models)
    expected = networks.predict(image, Recorder().progress)
    with memory_held(ALL_GIGABYTES, tmp_path):
        with pytest.raises(MemoryInUse, match=r"0\.\d GB are free beside other runs .* \d+\.\d GB"):
            networks.predict(image, Recorder().progress)
        assert MemoryInUse.exit_status == 75
    np.testing.assert_array_equal(networks.predict(image, Recorder().progress), expected)


def test_a_run_reserves_its_memory_while_its_networks_work(
    networks: Networks,
    image: NDArray[np.int32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files: list[int] = []

    def count_files(_done: int, _total: int) -> None:
        files.append(len(list(tmp_path.glob("*/*.reserved"))))

    networks.predict(image, count_files)
    assert set(files) == {1}
    assert not list(tmp_path.glob("*/*.reserved"))


def test_the_segmented_box_of_an_image_excludes_its_border_of_zeros() -> None:
    image = np.zeros((9, 8, 7), dtype=np.int16)
    image[2:5, 1, 6] = 3
    assert nonzero_box(image) == (slice(2, 5), slice(1, 2), slice(6, 7))
    assert nonzero_box(np.zeros_like(image)) == (slice(0, 9), slice(0, 8), slice(0, 7))


def test_labels_of_a_later_network_replace_earlier_ones_except_its_background() -> None:
    combined = np.array([0, 7, 7], dtype=np.uint8)
    overwrite_labels(combined, np.array([1, 2, 0], dtype=np.uint8), (0, 50, 60))
    assert combined.tolist() == [50, 60, 7]

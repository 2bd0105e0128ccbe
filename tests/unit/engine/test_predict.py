from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.test_journal import Recorder
from totalmap.engine.predict import Networks
from totalmap.engine.tasks import load_task
from totalmap.settings import Variant

TASK = load_task("total", Variant.FAST)


@pytest.fixture(scope="module")
def networks(fast_models: Path) -> Networks:
    return Networks(TASK, fast_models)


@pytest.fixture(scope="module")
def image() -> NDArray[np.int32]:
    return np.random.default_rng(0).integers(-1000, 1000, (40, 80, 70), dtype=np.int32)


def test_networks_serve_several_images_alike(networks: Networks, image: NDArray[np.int32]) -> None:
    first, second = Recorder(), Recorder()
    one = networks.predict(image, first.progress)
    other = networks.predict(image, second.progress)
    np.testing.assert_array_equal(one, other)
    assert one.shape == image.shape
    assert one.dtype == np.uint8
    total = first.tiles[0][1]
    assert total > 1
    assert first.tiles == second.tiles == [(done, total) for done in range(1, total + 1)]


def test_an_image_of_zeros_is_no_error(networks: Networks, image: NDArray[np.int32]) -> None:
    assert networks.predict(np.zeros_like(image), Recorder().progress).shape == image.shape


def test_fractional_values_are_segmented_too(networks: Networks, image: NDArray[np.int32]) -> None:
    whole = networks.predict(image, Recorder().progress)
    as_float = networks.predict(image.astype(np.float32), Recorder().progress)
    np.testing.assert_array_equal(as_float, whole)

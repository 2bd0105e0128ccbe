from pathlib import Path

import pytest

from totalmap.engine.memory_need import bytes_needed
from totalmap.engine.nnunet_plans import Plans, read_plans
from totalmap.settings import Arithmetic

EXACT = Arithmetic.EXACT


@pytest.fixture
def plans(fast_models: Path) -> Plans:
    return read_plans(next(fast_models.glob("Dataset*/*")))


def test_the_estimated_memory_of_a_segmentation_grows_by_three_bytes_a_voxel(plans: Plans) -> None:
    """118 channels of float16 would need 236 bytes a voxel."""
    one, ten = (bytes_needed((n * 100, 200, 200), (plans,), EXACT) for n in (1, 10))
    assert ten - one == 900 * 200 * 200 * 3


def test_several_networks_need_the_memory_of_the_largest_one(plans: Plans) -> None:
    shape = (100, 100, 100)
    assert bytes_needed(shape, (plans,) * 5, EXACT) == bytes_needed(shape, (plans,), EXACT)


def test_a_small_image_needs_the_memory_of_a_whole_tile(plans: Plans) -> None:
    assert bytes_needed((1, 1, 1), (plans,), EXACT) > 64**3 * plans.features * 4

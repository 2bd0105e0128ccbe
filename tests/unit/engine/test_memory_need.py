from pathlib import Path

import pytest

from totalmap.engine.memory_need import available_bytes, bytes_needed
from totalmap.engine.nnunet_plans import Plans, read_plans
from totalmap.settings import Arithmetic

EXACT = Arithmetic.EXACT


@pytest.fixture
def plans(fast_models: Path) -> Plans:
    return read_plans(next(fast_models.glob("Dataset*/*")))


def test_memory_grows_with_the_image_and_not_with_its_logits(plans: Plans) -> None:
    """A plane more costs its voxels, three bytes each; 118 channels of float16 would be 236."""
    one, ten = (bytes_needed((n * 100, 200, 200), (plans,), EXACT) for n in (1, 10))
    assert ten - one == 900 * 200 * 200 * 3


def test_the_largest_of_several_networks_counts(plans: Plans) -> None:
    shape = (100, 100, 100)
    assert bytes_needed(shape, (plans,) * 5, EXACT) == bytes_needed(shape, (plans,), EXACT)


def test_a_small_image_is_padded_to_a_tile(plans: Plans) -> None:
    assert bytes_needed((1, 1, 1), (plans,), EXACT) > 64**3 * plans.features * 4


def test_some_memory_is_free() -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < available_bytes() <= total

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from totalmap.engine.top_two import top_two
from totalmap.errors import OutputError

LOWEST = torch.finfo(torch.half).min


@given(
    st.tuples(st.integers(1, 3), st.integers(2, 256), st.integers(1, 6), st.integers(1, 6)),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=100)
def test_winners_and_margins_are_those_of_a_sort(
    shape: tuple[int, ...], is_tied: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sums = 5 * torch.randn(shape, generator=generator)
    if is_tied:  # few values, among them 0 and -0, which are equal
        sums = (sums / 5).round() * torch.tensor([1.0, -1.0])[
            torch.arange(shape[1]) % 2, None, None
        ]
    sums = sums.half()
    weights = torch.rand((shape[0], 1, *shape[2:]), generator=generator).half() + 0.5
    kept = sums.clone()
    found = top_two(sums, weights)
    means = sums / weights
    best, second = means.float().topk(2, 1).values.unbind(1)
    torch.testing.assert_close(found.labels, means.argmax(1).to(torch.uint8), rtol=0, atol=0)
    torch.testing.assert_close(found.margins, best - second, rtol=0, atol=0)
    assert torch.equal(sums, kept)


def one_voxel(*values: float) -> tuple[torch.Tensor, torch.Tensor]:
    sums = torch.tensor(values, dtype=torch.half)[None, :, None, None]
    return sums, torch.ones((1, 1, 1, 1), dtype=torch.half)


def test_what_can_not_win_is_not_looked_at() -> None:
    """An absent structure's logit may overflow; the margin stays a number all the same."""
    found = top_two(*one_voxel(-np.inf, 3.0, -np.inf))
    assert int(found.labels) == 1
    assert float(found.margins) == 3.0 - LOWEST


@pytest.mark.parametrize("worst", [np.inf, np.nan])
@pytest.mark.parametrize("place", range(3))
def test_a_winner_that_is_not_finite_is_an_error(worst: float, place: int) -> None:
    values = [1.0, 2.0, 3.0]
    values[place] = worst
    with pytest.raises(OutputError, match="not finite"):
        top_two(*one_voxel(*values))

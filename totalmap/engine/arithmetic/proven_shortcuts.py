"""Replaces operations by faster ones after a comparison has proven that all bits are the same.

The order of summation in a library depends on the processor and on shapes, not on values. Therefore
each faster operation is compared once in a process for each shape, on real data, and the result is
valid for all networks.
"""

from collections.abc import Callable, Hashable

import torch

from totalmap.allocator import give_back_freed_memory
from totalmap.log import get_logger

log = get_logger()

_found: dict[Hashable, bool] = {}


def proven(*way: Hashable) -> bool | None:
    """Returns whether an operation with given shapes is exact; None if it was not compared."""
    return _found.get(way)


def record(*way: Hashable, is_exact: bool) -> None:
    """Stores the result of a comparison."""
    _found[way] = is_exact
    if not is_exact:
        log.info("shortcut_not_exact_here", operation=str(way[0]))


Operation = Callable[[torch.Tensor], torch.Tensor]


class Shortcut:
    """Replaces an operation by a faster one with the same results, bit for bit.

    The first call runs both operations. If a single bit differs, the usual operation stays.
    """

    def __init__(self, name: str, *, usual: Operation, fast: Operation) -> None:
        self._name = name
        self._usual = usual
        self._fast = fast

    def __call__(self, operand: torch.Tensor) -> torch.Tensor:
        """Returns the result of the usual operation."""
        exact = proven(self._name, operand.shape)
        if exact is None:
            return self._prove(operand)
        return self._fast(operand) if exact else self._usual(operand)

    def _prove(self, operand: torch.Tensor) -> torch.Tensor:
        give_back_freed_memory()  # the comparison needs the most memory
        expected = self._usual(operand)
        give_back_freed_memory()
        record(self._name, operand.shape, is_exact=torch.equal(self._fast(operand), expected))
        return expected

"""Which quicker ways of computing were proven to have the bits of the usual one.

Which order of summation a library chooses depends on the processor and on shapes, not on values.
So every quicker way is compared once in a process for each shape, on real data, and what was found
holds for all networks.
"""

from collections.abc import Callable, Hashable

import torch

from totalmap.allocator import give_back_freed_memory
from totalmap.log import get_logger

log = get_logger()

_found: dict[Hashable, bool] = {}


def proven(*way: Hashable) -> bool | None:
    """Returns whether a way, named by its operation and its shapes, is exact; None: not known."""
    return _found.get(way)


def record(*way: Hashable, is_exact: bool) -> None:
    """Remembers what a comparison showed."""
    _found[way] = is_exact
    if not is_exact:
        log.info("shortcut_not_exact_here", operation=str(way[0]))


Operation = Callable[[torch.Tensor], torch.Tensor]


class Shortcut:
    """Stands for an operation and gives its results, bit for bit.

    The first call does both, the usual operation and the quick one; where a single bit differs,
    the usual one stays.
    """

    def __init__(self, name: str, *, usual: Operation, quick: Operation) -> None:
        self._name = name
        self._usual = usual
        self._quick = quick

    def __call__(self, operand: torch.Tensor) -> torch.Tensor:
        """Returns what the usual operation would."""
        exact = proven(self._name, operand.shape)
        if exact is None:
            return self._prove(operand)
        return self._quick(operand) if exact else self._usual(operand)

    def _prove(self, operand: torch.Tensor) -> torch.Tensor:
        give_back_freed_memory()  # a proof takes more of it than all else
        expected = self._usual(operand)
        give_back_freed_memory()
        record(self._name, operand.shape, is_exact=torch.equal(self._quick(operand), expected))
        return expected

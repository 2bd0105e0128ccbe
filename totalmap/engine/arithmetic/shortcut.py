"""A quicker way to the same numbers, proven on the data before it is trusted."""

from collections.abc import Callable

import torch

from totalmap.allocator import give_back_freed_memory
from totalmap.engine.arithmetic.proofs import proven, record

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

"""A quicker way to the same numbers, proven on the data before it is trusted."""

from collections.abc import Callable

import torch

from totalmap.log import get_logger

log = get_logger()

Operation = Callable[[torch.Tensor], torch.Tensor]


class Shortcut:
    """Stands for an operation and gives its results, bit for bit.

    Which order of summation a library chooses depends on the processor. So the first call does
    both, the usual operation and the quick one; where a single bit differs, the usual one stays.
    """

    def __init__(self, name: str, *, usual: Operation, quick: Operation) -> None:
        self._name = name
        self._usual = usual
        self._quick = quick
        self._proven: bool | None = None

    def __call__(self, operand: torch.Tensor) -> torch.Tensor:
        """Returns what the usual operation would."""
        if self._proven is None:
            return self._prove(operand)
        return self._quick(operand) if self._proven else self._usual(operand)

    def _prove(self, operand: torch.Tensor) -> torch.Tensor:
        expected = self._usual(operand)
        self._proven = torch.equal(self._quick(operand), expected)
        if not self._proven:
            log.info("shortcut_not_exact_here", operation=self._name)
        return expected

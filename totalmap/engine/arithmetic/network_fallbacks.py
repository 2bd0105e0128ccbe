"""Where a network runs, and what to step down to when the memory there does not suffice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from totalmap.engine.arithmetic.tile_network import TileNetwork
from totalmap.errors import ResourceError
from totalmap.log import get_logger

log = get_logger()

Result = TypeVar("Result")
Work = Callable[[TileNetwork, torch.device], Result]

# What torch says on a CPU, where it has no error of its own for this.
_CPU_OUT_OF_MEMORY = "can't allocate memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to run a network.

    Attributes:
        name: What to call it in a warning.
        arithmetic: What its numbers are, for the provenance of results.
        build: Loads the network; called once, when it is needed.
        sums_device: Where the sums of logits are kept.
    """

    name: str
    arithmetic: str
    build: Callable[[], TileNetwork]
    sums_device: torch.device


class Ladder:
    """Ways to run one network, the fastest first."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = rungs
        self._built: tuple[Rung, TileNetwork] | None = None

    def load(self) -> None:
        """Loads the fastest way that has room for the network's weights."""
        self.run(lambda _network, _sums_device: None)

    @property
    def arithmetic(self) -> str:
        """That of the rung in use, or of the first one."""
        return (self._built[0] if self._built else self._rungs[0]).arithmetic

    def unload(self) -> None:
        """Forgets the network until it is needed again."""
        self._built = None

    def run(self, work: Work[Result]) -> Result:
        """Returns what `work` makes of the network, on the first rung that has the memory.

        Raises:
            ResourceError: Not even the last one has.
        """
        for rung, below in zip(self._rungs, [*self._rungs[1:], None], strict=True):
            try:
                return work(self._network(rung), rung.sums_device)
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                if below is None:
                    raise ResourceError(f"out of memory on the {rung.name}") from error
            self.unload()
            log.warning("out_of_memory", on=rung.name, going_on_with=below.name)
        raise AssertionError("a ladder has rungs")

    def _network(self, rung: Rung) -> TileNetwork:
        if self._built is None or self._built[0] is not rung:
            self._built = (rung, rung.build())
        return self._built[1]


def _is_out_of_memory(error: Exception) -> bool:
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or _CPU_OUT_OF_MEMORY in str(error).lower()
    )

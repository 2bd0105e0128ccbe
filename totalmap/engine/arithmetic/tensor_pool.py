"""Reuses the memory of the largest tensors of a tile for the next tiles."""

import mmap
import weakref
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

# Smaller tensors use the heap.
BLOCK_BYTES = 16 * 2**20


class TensorPool:
    """Lends float32 tensors; a block is free again when the last tensor on it is deleted.

    In the heap, which keeps freed memory (totalmap/keep_freed_memory.py), the largest tensors would
    lie between smaller ones and leave fragments of up to 1.5 GB.
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []

    def empty(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Returns a tensor with arbitrary values."""
        voxels = prod(shape)
        if voxels * torch.float32.itemsize <= BLOCK_BYTES:
            return torch.empty(shape)
        block = next((block for block in self._blocks if block.suits(voxels)), None)
        if block is None:
            block = _Block.of(voxels)
            self._blocks.append(block)
        return block.lend().view(shape)

    def give_back(self) -> None:
        """Returns all blocks to the operating system, each when it is not lent any more."""
        self._blocks.clear()


@dataclass(slots=True)
class _Block:
    memory: NDArray[np.float32]
    lent: weakref.ref[NDArray[np.float32]] | None = None

    @classmethod
    def of(cls, voxels: int) -> "_Block":
        mapping = mmap.mmap(-1, voxels * torch.float32.itemsize)
        return cls(np.frombuffer(mapping, dtype=np.float32))

    def suits(self, voxels: int) -> bool:
        free = self.lent is None or self.lent() is None
        return free and self.memory.size == voxels

    def lend(self) -> torch.Tensor:
        view = self.memory[:]
        self.lent = weakref.ref(view)
        return torch.from_numpy(view)  # which keeps the view alive

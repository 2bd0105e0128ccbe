import gc

import torch

from totalmap.engine.arithmetic.tensor_pool import BLOCK_BYTES, Blocks

LARGE = (2, BLOCK_BYTES // 4)


def test_a_block_is_lent_again_when_it_is_forgotten() -> None:
    blocks = Blocks()
    first = blocks.empty(LARGE)
    second = blocks.empty(LARGE)
    view = first[1, :10].fill_(7)
    address = first.data_ptr()
    assert second.data_ptr() != address
    del first
    assert blocks.empty(LARGE).data_ptr() not in (address, second.data_ptr())
    del view
    gc.collect()
    assert blocks.empty(LARGE).data_ptr() == address


def test_what_is_lent_outlives_the_pool() -> None:
    blocks = Blocks()
    lent = blocks.empty(LARGE).fill_(3)
    blocks.give_back()
    del blocks
    gc.collect()
    assert torch.all(lent[0, :1000] == 3)


def test_a_small_tensor_is_the_heaps() -> None:
    blocks = Blocks()
    assert blocks.empty((3, 4)).shape == (3, 4)
    assert not blocks._blocks

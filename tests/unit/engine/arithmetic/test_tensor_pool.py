import gc

import torch

from totalmap.engine.arithmetic.tensor_pool import BLOCK_BYTES, TensorPool

LARGE = (2, BLOCK_BYTES // 4)


def test_a_memory_block_of_the_tensor_pool_is_reused_when_its_last_tensor_is_deleted() -> None:
    pool = TensorPool()
    first = pool.empty(LARGE)
    second = pool.empty(LARGE)
    view = first[1, :10].fill_(7)
    address = first.data_ptr()
    assert second.data_ptr() != address
    del first
    assert pool.empty(LARGE).data_ptr() not in (address, second.data_ptr())
    del view
    gc.collect()
    assert pool.empty(LARGE).data_ptr() == address


def test_a_tensor_stays_valid_after_its_tensor_pool_is_deleted() -> None:
    pool = TensorPool()
    lent = pool.empty(LARGE).fill_(3)
    pool.give_back()
    del pool
    gc.collect()
    assert torch.all(lent[0, :1000] == 3)


def test_a_small_tensor_takes_no_block_of_the_tensor_pool() -> None:
    pool = TensorPool()
    assert pool.empty((3, 4)).shape == (3, 4)
    assert not pool._blocks

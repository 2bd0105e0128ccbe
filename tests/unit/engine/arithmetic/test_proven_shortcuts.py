import torch

from totalmap.engine.arithmetic.proven_shortcuts import Shortcut


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def nearly_double(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + torch.finfo(torch.float32).eps


def counted(calls: list[int]) -> Shortcut:
    def fast(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return x + x

    return Shortcut("double", usual=double, fast=fast)


def test_a_faster_operation_with_equal_bits_is_used() -> None:
    calls: list[int] = []
    shortcut = counted(calls)
    operand = torch.ones(3)
    assert [shortcut(operand).tolist() for _ in range(3)] == [[2.0, 2.0, 2.0]] * 3
    assert len(calls) == 3


def test_a_faster_operation_that_differs_in_a_bit_is_not_used() -> None:
    shortcut = Shortcut("double", usual=double, fast=nearly_double)
    operand = torch.full((3,), 0.25)
    assert not torch.equal(nearly_double(operand), double(operand))
    for _ in range(3):
        assert torch.equal(shortcut(operand), double(operand))

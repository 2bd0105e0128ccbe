from pathlib import Path

import torch

from totalmap.engine.arithmetic import proven_shortcuts
from totalmap.engine.arithmetic.proven_shortcuts import (
    Operation,
    Shortcut,
    keep_new_facts,
    known_facts,
    layer_text,
    operand_text,
    remember_in,
)
from totalmap.private_cache import PrivateCache


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def nearly_double(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + torch.finfo(torch.float32).eps


def counted(calls: list[int]) -> Shortcut:
    def fast(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return x + x

    return Shortcut("double", "a layer", usual=double, fast=fast)


def test_the_engine_uses_a_faster_operation_with_equal_bits() -> None:
    calls: list[int] = []
    shortcut = counted(calls)
    operand = torch.ones(3)
    assert [shortcut(operand).tolist() for _ in range(3)] == [[2.0, 2.0, 2.0]] * 3
    assert len(calls) == 3


def test_the_engine_does_not_use_a_faster_operation_that_differs_in_a_bit() -> None:
    shortcut = Shortcut("double", "a layer", usual=double, fast=nearly_double)
    operand = torch.full((3,), 0.25)
    assert not torch.equal(nearly_double(operand), double(operand))
    for _ in range(3):
        assert torch.equal(shortcut(operand), double(operand))


def start_a_process(folder: Path) -> None:
    """Has the next operations run as in a new process that remembers in a folder."""
    proven_shortcuts._knowledge = proven_shortcuts._Knowledge()
    remember_in(PrivateCache(folder))


def test_an_arithmetic_shortcut_that_is_remembered_is_not_compared_again(tmp_path: Path) -> None:
    calls: list[int] = []
    operand = torch.rand(64)
    start_a_process(tmp_path)
    expected = counted(calls)(operand)
    keep_new_facts()
    start_a_process(tmp_path)

    def refuse(_operand: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the usual operation was run")

    shortcut = Shortcut("double", "a layer", usual=refuse, fast=lambda x: x + x)
    assert torch.equal(shortcut(operand), expected)


def test_an_arithmetic_shortcut_that_is_remembered_as_inexact_is_not_tried_again(
    tmp_path: Path,
) -> None:
    operand = torch.full((3,), 0.25)
    start_a_process(tmp_path)
    Shortcut("double", "a layer", usual=double, fast=nearly_double)(operand)
    keep_new_facts()
    start_a_process(tmp_path)
    calls: list[int] = []
    assert torch.equal(counted(calls)(operand), double(operand))
    assert calls == []


def test_a_remembered_shortcut_holds_for_the_same_operation_layer_shape_and_threads_only(
    tmp_path: Path,
) -> None:
    start_a_process(tmp_path)
    operand = torch.rand(2, 3, 4)
    counted([])(operand)
    keep_new_facts()
    others = {
        "name": (Shortcut("twice", "a layer", usual=double, fast=nearly_double), operand),
        "layer": (Shortcut("double", "another", usual=double, fast=nearly_double), operand),
        "shape": (Shortcut("double", "a layer", usual=double, fast=nearly_double), operand[:1]),
        "type": (
            Shortcut("double", "a layer", usual=double, fast=nearly_double),
            operand.double(),
        ),
        "strides": (Shortcut("double", "a layer", usual=double, fast=nearly_double), operand.mT),
    }
    for what, (shortcut, seen) in others.items():
        start_a_process(tmp_path)
        assert torch.equal(shortcut(seen), double(seen)), what
        assert sorted(known_facts().values()) == [False, True], what
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert known_facts() == {}
    finally:
        torch.set_num_threads(threads)


def test_equal_results_of_a_constant_image_do_not_prove_an_arithmetic_shortcut() -> None:
    """As those of air: its sums are the same in any order."""
    shortcut = Shortcut("double", "a layer", usual=double, fast=double)
    shortcut(torch.ones(1000))
    assert known_facts() == {}
    shortcut(torch.rand(1000))
    assert list(known_facts().values()) == [True]


def test_the_text_of_a_remembered_operation_names_all_numbers_of_the_layer() -> None:
    layer = torch.nn.Conv3d(4, 8, (1, 3, 3), stride=2, padding=1, groups=2, bias=False)
    text = layer_text(layer)
    assert text == ("float32 8x2x1x3x3, stride 2x2x2, padding 1x1x1, dilation 1x1x1, groups 2")
    transposed = torch.nn.ConvTranspose3d(4, 8, 2, stride=2, output_padding=1)
    assert "output padding 1x1x1, groups 1, bias" in layer_text(transposed)
    operation = Operation("double", text, operand_text(torch.ones(2, 3).mT))
    assert operation.operand == "float32 3x2 with strides 1x3"
    assert Operation.parse(str(operation)) == operation

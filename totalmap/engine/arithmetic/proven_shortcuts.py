"""Replaces operations by faster ones after a comparison has proven that all bits are the same.

The order of summation in a library depends on the processor, on the library and on shapes, not on
values. Therefore each faster operation is compared once for each layer and shape, on real data, and
the result is valid for all networks. It is valid for later processes, too, under the same
conditions: `remember_in` names the folder in which they find it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from totalmap.engine.arithmetic.shortcut_conditions import current_conditions
from totalmap.engine.arithmetic.shortcut_memory import Facts, ShortcutMemory
from totalmap.keep_freed_memory import give_back_freed_memory
from totalmap.log import get_logger
from totalmap.private_cache import PrivateCache

log = get_logger()

# Constant regions have the same sums in any order. A comparison without a difference counts if this
# share of the results that are looked at has different values.
_VALUES_LOOKED_AT = 2**14
_DIFFERENT_VALUES = 1 / 16
_SEPARATOR = "; "


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation for which there is a faster one.

    Attributes:
        name: That of the faster one.
        layer: The numbers of the layer that decide how it is computed, as text.
        operand: Type and shape of the operand, as text.
    """

    name: str
    layer: str
    operand: str

    def __str__(self) -> str:
        """Returns the text that identifies it in a file."""
        return _SEPARATOR.join((self.name, self.layer, self.operand))

    @classmethod
    def parse(cls, text: str) -> "Operation":
        """Returns the operation that a text identifies."""
        return cls(*text.split(_SEPARATOR))


def operand_text(operand: torch.Tensor) -> str:
    """Returns the type and shape of a tensor, and its strides if it is not contiguous."""
    kind = str(operand.dtype).removeprefix("torch.")
    strides = "" if operand.is_contiguous() else f" with strides {_sizes(operand.stride())}"
    return f"{kind} {_sizes(operand.shape)}{strides}"


def layer_text(layer: torch.nn.Conv3d | torch.nn.ConvTranspose3d) -> str:
    """Returns all numbers of a convolution but its weights."""
    text = f"{operand_text(layer.weight)}, stride {_sizes(layer.stride)}"
    text += f", padding {_sizes(layer.padding)}, dilation {_sizes(layer.dilation)}"
    if any(layer.output_padding):
        text += f", output padding {_sizes(layer.output_padding)}"
    return f"{text}, groups {layer.groups}{'' if layer.bias is None else ', bias'}"


def _sizes(numbers: object) -> str:
    return "x".join(map(str, numbers)) if isinstance(numbers, tuple) else str(numbers)


@dataclass(slots=True, eq=False)
class _Known:
    """What is known with a number of threads, and where it is remembered."""

    memory: ShortcutMemory | None
    facts: Facts = field(default_factory=dict)
    new: Facts = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Knowledge:
    """What this process knows, by the number of threads."""

    cache: PrivateCache | None = None
    compared: list[Operation] = field(default_factory=list)
    by_threads: dict[int, _Known] = field(default_factory=dict)

    def now(self) -> _Known:
        threads = torch.get_num_threads()
        known = self.by_threads.get(threads)
        if known is None:
            conditions = current_conditions() if self.cache else None
            memory = ShortcutMemory(self.cache, conditions) if self.cache and conditions else None
            known = _Known(memory=memory, facts=memory.read() if memory else {})
            self.by_threads[threads] = known
        return known


_knowledge = _Knowledge()


def remember_in(cache: PrivateCache | None) -> None:
    """Has this process read what others have proven, and keep what it proves itself.

    Args:
        cache: Where it is kept; None: each process proves everything itself.
    """
    if (cache and cache.path) == (_knowledge.cache and _knowledge.cache.path):
        return
    _knowledge.cache = cache
    _knowledge.by_threads.clear()


def forget() -> None:
    """Forgets all that was proven under the present conditions, also in the folder."""
    known = _knowledge.now()
    if known.memory is not None:
        known.memory.forget()
    known.facts.clear()
    known.new.clear()


def compared() -> tuple[Operation, ...]:
    """Returns the operations that this process compared itself."""
    return tuple(_knowledge.compared)


def known_facts() -> Facts:
    """Returns all that is known under the present conditions."""
    return dict(_knowledge.now().facts)


def proven(operation: Operation) -> bool | None:
    """Returns whether the faster operation is exact; None if it was not compared."""
    return _knowledge.now().facts.get(str(operation))


def record(operation: Operation, *, is_exact: bool) -> None:
    """Stores the result of a comparison."""
    known = _knowledge.now()
    _knowledge.compared.append(operation)
    known.facts[str(operation)] = known.new[str(operation)] = is_exact
    if not is_exact:
        log.info("shortcut_not_exact_here", operation=operation.name, layer=operation.layer)


def keep_new_facts() -> None:
    """Writes the results of new comparisons to the folder; cheap if there are none."""
    known = _knowledge.now()
    if not known.new:
        return
    if known.memory is not None:
        known.memory.add(known.new)
    known.new.clear()


def is_telling(result: torch.Tensor) -> bool:
    """Returns whether a result has enough different values to show another order of summation."""
    values = result.reshape(-1)
    looked_at = values[:: max(1, values.numel() // _VALUES_LOOKED_AT)]
    different: int = looked_at.unique().numel()  # type: ignore[no-untyped-call]
    return different >= int(looked_at.numel() * _DIFFERENT_VALUES)


class Shortcut:
    """Replaces an operation by a faster one with the same results, bit for bit.

    The first call runs both operations, unless their comparison is remembered. If a single bit
    differs, the usual operation stays.
    """

    def __init__(
        self,
        name: str,
        layer: str,
        *,
        usual: Callable[[torch.Tensor], torch.Tensor],
        fast: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        """Takes both operations, and the words that name them in an Operation."""
        self._name = name
        self._layer = layer
        self._usual = usual
        self._fast = fast

    def __call__(self, operand: torch.Tensor) -> torch.Tensor:
        """Returns the result of the usual operation."""
        operation = Operation(self._name, self._layer, operand_text(operand))
        exact = proven(operation)
        if exact is None:
            return self._prove(operation, operand)
        return self._fast(operand) if exact else self._usual(operand)

    def _prove(self, operation: Operation, operand: torch.Tensor) -> torch.Tensor:
        give_back_freed_memory()  # the comparison needs the most memory
        expected = self._usual(operand)
        give_back_freed_memory()
        is_exact = torch.equal(self._fast(operand), expected)
        if not is_exact or is_telling(expected):
            record(operation, is_exact=is_exact)
        return expected

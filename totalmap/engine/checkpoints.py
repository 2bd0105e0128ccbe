"""Reads checkpoints without running code that they may contain.

A checkpoint is a pickle, which can call any function that it names. Only tensors, plain values and
a few numpy classes, with which nnU-Net's trainer logs its progress, are read.
"""

import pickle
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from totalmap.errors import ModelError

if TYPE_CHECKING:
    import torch

_DTYPES = tuple(
    f"numpy.dtypes.{name}DType"
    for name in (
        "Float16",
        "Float32",
        "Float64",
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "Bool",
    )
)
# Names that a checkpoint may contain in addition to PyTorch's, and their location in this numpy.
ALLOWED_GLOBALS: Mapping[str, str] = {
    "numpy.core.multiarray.scalar": "numpy._core.multiarray.scalar",
    "numpy._core.multiarray.scalar": "numpy._core.multiarray.scalar",
    "numpy.dtype": "numpy.dtype",
    **{name: name for name in _DTYPES},
}
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


def read_weights(checkpoint: Path) -> "dict[str, torch.Tensor]":
    """Returns the weights of a checkpoint of nnU-Net, on the CPU.

    Raises:
        ModelError: The checkpoint names code, or is no checkpoint of nnU-Net.
    """
    import torch  # imported here: torch takes seconds
    from torch.serialization import safe_globals

    allowed: list[Any] = [(_imported(place), name) for name, place in ALLOWED_GLOBALS.items()]
    try:
        with safe_globals(allowed):
            document = torch.load(checkpoint, map_location="cpu", weights_only=True)
        weights: dict[str, torch.Tensor] = dict(document["network_weights"])
    except pickle.UnpicklingError as error:
        named = _REFUSED.search(str(error))
        # Without `from error`: its text advises to disable the protection.
        raise _names_code(checkpoint, named[1] if named else "something else") from None
    except (EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{checkpoint} does not fit its plans.json: {error}") from error
    return weights


def require_no_code(checkpoint: Path) -> None:
    """Makes sure that a checkpoint names no code; does not read its weights.

    Raises:
        ModelError: The checkpoint names code, or is no checkpoint of PyTorch.
    """
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        named = get_unsafe_globals_in_checkpoint(str(checkpoint))
    except (EOFError, OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(f"{checkpoint} is not a checkpoint of PyTorch: {error}") from error
    refused = sorted(set(named) - set(ALLOWED_GLOBALS))
    if refused:
        raise _names_code(checkpoint, refused[0])


def _names_code(checkpoint: Path, name: str) -> ModelError:
    return ModelError(
        f"{checkpoint} names {name}, which could run code: a checkpoint may hold tensors, plain "
        "values and numbers of numpy. Ask its maker for one with weights alone"
    )


def _imported(place: str) -> Any:
    module, _, name = place.rpartition(".")
    return getattr(import_module(module), name)

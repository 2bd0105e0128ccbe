"""Finds out which shortcuts of exact arithmetic hold on this machine, for the networks of a task.

Every network computes one tile of noise, so that all its shortcuts are compared with PyTorch's own
operations, and the results are kept for later runs.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from totalmap.engine.arithmetic import proven_shortcuts
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.shortcut_conditions import current_conditions, processor_name
from totalmap.engine.arithmetic.shortcut_memory import Facts
from totalmap.engine.network_loader import load_network
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.tasks import Task
from totalmap.engine.weights import verify_models
from totalmap.private_cache import PrivateCache

_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutFact:
    """A shortcut, its layer and operand as text, and whether it has the bits of PyTorch's own."""

    name: str
    layer: str
    operand: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutReport:
    """What is known on this machine.

    Attributes:
        processor: Its name.
        threads: The number of threads of PyTorch.
        instructions: The instructions that PyTorch uses, as AVX512.
        torch_version: The version of PyTorch.
        facts: All shortcuts that were compared under these conditions.
        folder: Where they are kept; None: nowhere.
    """

    processor: str
    threads: int
    instructions: str
    torch_version: str
    facts: tuple[ShortcutFact, ...]
    folder: Path | None


@torch.inference_mode()
def compare_shortcuts(
    task: Task, models_folder: Path, cache: PrivateCache, *, anew: bool = False
) -> ShortcutReport:
    """Compares the shortcuts of all networks of a task, and of the rough tasks that it needs.

    Args:
        task: The task.
        models_folder: Holds the networks and their record.
        cache: Where the results are kept.
        anew: Whether what was proven before is forgotten.

    Raises:
        ModelError: Weights are missing, not on record or changed.
    """
    proven_shortcuts.remember_in(cache)
    if anew:
        proven_shortcuts.forget()
    for part in task.chain:
        for model in verify_models(models_folder, part):
            plans = read_plans(model.trainer_folder)
            noise = torch.randn(plans.patch_size, generator=torch.Generator().manual_seed(_SEED))
            ExactNetwork(load_network(plans, model.checkpoint)).features(noise)
    conditions = current_conditions()
    return ShortcutReport(
        processor=processor_name(conditions) if conditions else "unknown",
        threads=torch.get_num_threads(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        torch_version=str(torch.__version__),
        facts=tuple(_facts(proven_shortcuts.known_facts())),
        folder=cache.path if conditions and cache.is_usable() else None,
    )


def _facts(known: Facts) -> list[ShortcutFact]:
    facts = []
    for text, holds in sorted(known.items()):
        operation = proven_shortcuts.Operation.parse(text)
        facts.append(
            ShortcutFact(
                name=operation.name, layer=operation.layer, operand=operation.operand, holds=holds
            )
        )
    return facts

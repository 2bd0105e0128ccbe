"""Reads which structures a network has learnt, so that only these are looked for.

nnU-Net's dataset.json lists the labels of a network. A network that was trained on a few structures
in the layout of a larger task has labels that it has not learnt. Its dataset.json names the learnt
ones in a list `learnt` beside `labels`; nnU-Net and TotalSegmentator ignore this list.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from totalmap.engine.nnunet_plans import IGNORE_LABEL
from totalmap.engine.tasks import Task
from totalmap.errors import ConfigError, ModelError
from totalmap.structures import Structure
from totalmap.texts.catalogue import Joined, Message

LEARNT_KEY = "learnt"
_BACKGROUND = 0
# A sentence lists up to so many names.
_FEW = 5


def learnt_labels(trainer_folder: Path, label_table: Sequence[int]) -> frozenset[int]:
    """Returns the labels of a task that a network can find.

    Args:
        trainer_folder: Holds dataset.json.
        label_table: Place n holds the task's label for the network's label n.

    Returns:
        All labels of the table where dataset.json gives regions instead of labels.

    Raises:
        ModelError: dataset.json is not nnU-Net's, or its list `learnt` names an unknown label.
    """
    path = trainer_folder / "dataset.json"
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
        labels = dict(dataset["labels"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} is not nnU-Net's: {error!r}") from error
    if not all(isinstance(number, int) for number in labels.values()):
        return frozenset(label_table) - {_BACKGROUND}
    labels.pop(IGNORE_LABEL, None)
    names = _declared(path, dataset, labels)
    numbers = (labels[name] for name in names)
    found = (label_table[number] for number in numbers if number < len(label_table))
    return frozenset(found) - {_BACKGROUND}


def narrowed(task: Task, learnt: Iterable[frozenset[int]]) -> Task:
    """Returns the task with only the structures that its networks have learnt.

    Args:
        task: The task with all wanted structures.
        learnt: Labels of the task that each of its networks can find.

    Raises:
        ConfigError: The networks have learnt none of the structures.
    """
    known = frozenset().union(*learnt)
    kept = tuple(structure for structure in task.structures if structure.label in known)
    unlearnt = tuple(structure for structure in task.structures if structure.label not in known)
    if not kept:
        raise ConfigError(
            f"the weights of task {task.name}, variant {task.variant}, have not learnt "
            f"{_names(unlearnt)}: choose other segmentation.structures, or other weights"
        )
    return replace(task, structures=kept, unlearnt=unlearnt)


def why_fewer(task: Task) -> str:
    """Returns a sentence about the structures that are not looked for; empty if there are none."""
    if not task.unlearnt:
        return ""
    if len(task.unlearnt) <= _FEW:
        names = Joined(tuple(structure.name for structure in task.unlearnt))
        return Message("warning.unlearnt", names=names)
    of = len(task.structures) + len(task.unlearnt)
    return Message("warning.unlearnt_many", count=len(task.unlearnt), of=of, task=task.name)


def _declared(path: Path, dataset: Mapping[str, Any], labels: Mapping[str, int]) -> list[str]:
    names = dataset.get(LEARNT_KEY, list(labels))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{path}: {LEARNT_KEY!r} has to be a list of names of labels")
    if unknown := [name for name in names if name not in labels]:
        raise ModelError(f"{path}: {LEARNT_KEY!r} names {unknown[0]!r}, which is no label there")
    return names


def _names(structures: Sequence[Structure]) -> str:
    if len(structures) > _FEW:
        return f"{len(structures)} structures"
    return ", ".join(structure.name for structure in structures)

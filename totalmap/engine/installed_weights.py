"""Lists TotalSegmentator's tasks and the weights that a models folder holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from totalmap.engine.tasks import SUPPORTED_TASKS, SubModel, Task, load_task, variants
from totalmap.engine.weight_licences import BY_NUMBER, NOT_STATED, licence_of
from totalmap.engine.weights import find_home, model_files, verify_model
from totalmap.engine.weights_manifest import ModelRecord, read_manifest
from totalmap.errors import ModelError

# Shown to people instead of the identifier.
_WORDS = {BY_NUMBER: "by licence number", NOT_STATED: "not stated"}


class Record(StrEnum):
    """State of weights, from least to most reliable."""

    CHANGED = "changed"
    MISSING = "not on record"
    PRESENT = "on record"
    VERIFIED = "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWeights:
    """The weights of one variant of a task, with those of the tasks that it needs.

    Attributes:
        needed: Number of networks that the task needs.
        installed: Number of these networks in the folder.
        record: Least reliable state of the installed networks; None if none is installed.
        licence: Licence of the task's own networks.
        size_bytes: Size of the installed files.
    """

    task: Task
    needed: int
    installed: int
    record: Record | None
    licence: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    record: Record
    entry: ModelRecord | None
    size_bytes: int


def list_weights(models_folder: Path, *, is_verifying: bool = False) -> Iterator[TaskWeights]:
    """Yields all tasks in all their variants, in TotalSegmentator's order.

    Args:
        models_folder: The folder; it may be missing.
        is_verifying: Whether the SHA-256 of every file is compared with the record.
    """
    inspected: dict[SubModel, _Network | None] = {}  # many tasks need the same rough network
    for name in SUPPORTED_TASKS:
        for variant in variants(name):
            task = load_task(name, variant)
            needed = {model: part for part in task.chain for model in part.models}
            for model, part in needed.items():
                if model not in inspected:
                    inspected[model] = _inspect(models_folder, part, model, is_verifying)
            found = [network for model in needed if (network := inspected[model]) is not None]
            own = [network for model in task.models if (network := inspected[model]) is not None]
            yield TaskWeights(
                task=task,
                needed=len(needed),
                installed=len(found),
                record=min(
                    (network.record for network in found), key=list(Record).index, default=None
                ),
                licence=licence_text(
                    task, [network.entry for network in own if network.entry is not None]
                ),
                size_bytes=sum(network.size_bytes for network in found),
            )


def licence_text(task: Task, records: list[ModelRecord]) -> str:
    """Returns the licence of a task's weights: that on record, else that of TotalSegmentator."""
    recorded = dict.fromkeys(record.licence for record in records)
    known = [licence_of(model.dataset) for model in task.models]
    stated = dict.fromkeys(found.licence if found else NOT_STATED for found in known)
    return ", ".join(_WORDS.get(licence, licence) for licence in recorded or stated)


def _inspect(
    models_folder: Path, task: Task, model: SubModel, is_verifying: bool
) -> _Network | None:
    try:
        home = find_home(models_folder, task, model)
    except ModelError:  # missing, or found twice
        return None
    files = [path for path in model_files(home, model) if path.is_file()]
    entry = _entry(home, model)
    on_record = {file.path for file in entry.files} if entry else set()
    record = Record.PRESENT
    if any(path.relative_to(home).as_posix() not in on_record for path in files):
        record = Record.MISSING
    elif is_verifying:
        record = _verified(models_folder, task, model)
    return _Network(
        record=record, entry=entry, size_bytes=sum(path.stat().st_size for path in files)
    )


def _verified(models_folder: Path, task: Task, model: SubModel) -> Record:
    try:
        tuple(verify_model(models_folder, task, model))
    except ModelError:
        return Record.CHANGED
    return Record.VERIFIED


def _entry(home: Path, model: SubModel) -> ModelRecord | None:
    try:
        records = read_manifest(home).models
    except ModelError:  # missing or damaged
        return None
    return next((record for record in records if record.dataset == model.dataset), None)

"""Finds the weights of tasks in a models folder, and verifies them against the manifest.

A models folder has TotalSegmentator's own layout, `Dataset297_.../<trainer>/fold_0/...`. A folder
that holds several such folders (as /opt/holoscan/models does in a MAP) is searched one level down.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from totalmap.default_locations import DEFAULT_MODELS
from totalmap.engine.learnt_structures import learnt_labels
from totalmap.engine.tasks import CHECKPOINT_NAME, SubModel, Task, load_task
from totalmap.engine.weights_manifest import (
    BF16_MIN_DICE,
    BOXES_MIN_DICE,
    Agreement,
    ModelRecord,
    read_manifest,
    sha256_of,
)
from totalmap.errors import ModelError
from totalmap.log import get_logger
from totalmap.segmentation import ModelIdentity
from totalmap.texts.catalogue import TranslatedSentence

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedModel:
    """A network whose files equal the record.

    Attributes:
        label_table: Place n holds the task's label for the network's label n.
        learnt: Labels of the task that the network can find.
    """

    trainer_folder: Path
    checkpoint: Path
    label_table: tuple[int, ...]
    identity: ModelIdentity
    bf16: Agreement | None
    learnt: frozenset[int]


def require_good_bf16(models: Iterable[VerifiedModel]) -> None:
    """Makes sure that the agreement of all networks in bf16 was measured and is good.

    Raises:
        ModelError: A network was not measured, or agrees too little.
    """
    for model in models:
        name, measured = model.identity.dataset, model.bf16
        if measured is None:
            raise ModelError(
                f"segmentation.arithmetic bf16 was not measured with the weights of {name}: "
                "`totalmap models adopt FOLDER --bf16-on CT_FOLDER` does that; or choose exact "
                "or compiled"
            )
        if not measured.is_good:
            raise ModelError(
                f"segmentation.arithmetic bf16 is refused for {name}: the Dice of "
                f"{measured.structure} against exact arithmetic is {measured.min_dice:.4f}, at "
                f"least {BF16_MIN_DICE} is required; choose exact or compiled"
            )


def require_good_boxes(models_folder: Path, task: Task) -> None:
    """Makes sure that each network of `Task.boxes` was measured in its box and agrees.

    A measurement holds for the rough network that found the box, too.

    Raises:
        ModelError: A network was not measured with this rough network, or agrees too little; or
            weights are missing.
    """
    for part in task.boxes:
        if part.crop is None:  # it searches the whole volume
            continue
        (rough,), (model,) = part.crop.task.models, part.models
        rough_record = find_record(models_folder, part.crop.task, rough, task)
        record = find_record(models_folder, part, model, task)
        measured = record.boxes if record else None
        rough_sha256 = rough_record.checkpoint_sha256(rough.checkpoint) if rough_record else ""
        if measured is None or measured.rough_sha256 != rough_sha256:
            raise ModelError(
                f"segmentation.search boxes was not measured with the weights of {model.dataset} "
                f"and {rough.dataset}: `totalmap models adopt FOLDER --boxes-on CT_FOLDER` does "
                "that; or choose whole"
            )
        if not measured.is_good:
            raise ModelError(
                f"segmentation.search boxes is refused for {model.dataset}: the Dice of "
                f"{measured.worst} against search whole is {measured.min_dice:.4f}, at least "
                f"{BOXES_MIN_DICE} is required; choose whole"
            )


def verify_chain(models_folder: Path, task: Task) -> tuple[VerifiedModel, ...]:
    """Finds and verifies the networks of a task and of all tasks that it needs.

    Raises:
        ModelError: As in `verify_models`.
    """
    return tuple(
        model for part in task.chain for model in verify_models(models_folder, part, wanted=task)
    )


def verify_models(
    models_folder: Path, task: Task, wanted: Task | None = None
) -> tuple[VerifiedModel, ...]:
    """Finds the networks of a task and compares every file with the record.

    Args:
        models_folder: Holds the networks.
        task: The task; networks of the tasks that it needs are left out.
        wanted: The task to run, for messages; None is `task`.

    Returns:
        One model for each checkpoint; a network whose folds are averaged has several.

    Raises:
        ModelError: The folder or a network is missing, is found twice, is not on record, or a
            file differs from its record.
    """
    return tuple(
        verified
        for model in task.models
        for verified in verify_model(models_folder, task, model, wanted)
    )


def find_home(models_folder: Path, task: Task, model: SubModel, wanted: Task | None = None) -> Path:
    """Returns the folder of TotalSegmentator's layout that holds a network.

    Args:
        models_folder: Searched together with the folders in it.
        task: The task of the network.
        model: The network.
        wanted: The task to run, for messages; None is `task`.

    Raises:
        ModelError: The folder or the network is missing, or is found twice.
    """
    if not models_folder.is_dir():
        raise ModelError(
            f"models folder {models_folder} does not exist: name another one with -m. "
            f"{_how_to_get_all(task, wanted or task, models_folder)}"
        )
    homes = [
        home
        for home in (models_folder, *sorted(models_folder.iterdir()))
        if any(path.is_file() for path in _checkpoints(home, model))
    ]
    if not homes:
        raise ModelError(
            f"weights of task {task.name}, variant {task.variant}, are missing in {models_folder}: "
            f"{model.checkpoint}. {_how_to_get_all(task, wanted or task, models_folder)}; "
            "or name another folder with -m"
        )
    if len(homes) > 1:
        raise ModelError(
            f"{model.dataset} is in {homes[0]} and in {homes[1]}: name the one to use with -m"
        )
    return homes[0]


def _how_to_get_all(task: Task, wanted: Task, models_folder: Path) -> str:
    """Returns a sentence on how to get the weights of a task and of the wanted task."""
    # `models install` fetches nothing of a licensed task, and no rough network that only a
    # restriction to some structures needs.
    installed = () if wanted.needs_licence else load_task(wanted.name, wanted.variant).chain
    comes_along = (task.name, task.variant) in ((part.name, part.variant) for part in installed)
    return how_to_get(wanted if comes_along else task, models_folder)


def how_to_get(task: Task, models_folder: Path = DEFAULT_MODELS) -> str:
    """Returns a sentence without full stop on how to get the weights of a task."""
    if task.needs_licence:
        return (
            "only TotalSegmentator's licence server has them: fetch them with its command "
            f"`totalseg_download_weights -t {task.name}` and record them with "
            "`totalmap models adopt FOLDER`"
        )
    folder = "" if models_folder == DEFAULT_MODELS else f" -m {models_folder}"
    return f"`totalmap models install {task.name} --variant {task.variant}{folder}` fetches them"


def _checkpoints(home: Path, model: SubModel) -> tuple[Path, ...]:
    """Returns the checkpoints whose outputs are averaged (auto_detect_available_folds)."""
    trainer_folder = home / model.dataset / model.trainer_folder
    if model.folds:
        return tuple(trainer_folder / f"fold_{fold}" / CHECKPOINT_NAME for fold in model.folds)
    return tuple(sorted(trainer_folder.glob(f"fold_[0-9]*/{CHECKPOINT_NAME}")))


def find_record(
    models_folder: Path, task: Task, model: SubModel, wanted: Task | None = None
) -> ModelRecord | None:
    """Returns the record of a network; None if its models folder has none.

    Raises:
        ModelError: The folder, the network or the manifest is missing or damaged.
    """
    manifest = read_manifest(find_home(models_folder, task, model, wanted))
    return next((entry for entry in manifest.models if entry.dataset == model.dataset), None)


def model_files(home: Path, model: SubModel) -> tuple[Path, ...]:
    """Returns the paths of all files of a network."""
    trainer_folder = home / model.dataset / model.trainer_folder
    descriptions = (trainer_folder / "plans.json", trainer_folder / "dataset.json")
    return (*_checkpoints(home, model), *descriptions)


def verify_model(
    models_folder: Path, task: Task, model: SubModel, wanted: Task | None = None
) -> Iterator[VerifiedModel]:
    """Verifies a network of a task and yields it once for each checkpoint.

    Raises:
        ModelError: As in `verify_models`.
    """
    home = find_home(models_folder, task, model, wanted)
    record = find_record(models_folder, task, model, wanted)
    on_record = {} if record is None else {file.path: file.sha256 for file in record.files}
    trainer_folder = home / model.dataset / model.trainer_folder
    for path in model_files(home, model):
        _compare(path, on_record.get(path.relative_to(home).as_posix()))
    if record is None:
        raise ModelError(f"{model.dataset} is not on record: run `totalmap models adopt {home}`")
    log.info("model_verified", dataset=model.dataset)
    learnt = learnt_labels(trainer_folder, model.label_table)
    for checkpoint in _checkpoints(home, model):
        yield VerifiedModel(
            trainer_folder=trainer_folder,
            checkpoint=checkpoint,
            label_table=model.label_table,
            identity=ModelIdentity(
                dataset=model.dataset,
                sha256=on_record[checkpoint.relative_to(home).as_posix()],
                source=record.source,
                licence=record.licence,
                notice=TranslatedSentence(record.notice, record.notice_in),
            ),
            bf16=record.bf16,
            learnt=learnt,
        )


def _compare(path: Path, expected: str | None) -> None:
    if expected is None:
        raise ModelError(f"{path} is not on record: `totalmap models adopt` records it")
    if not path.is_file():
        raise ModelError(f"{path} is on record but missing")
    found = sha256_of(path)
    if found != expected:
        raise ModelError(
            f"{path} was changed: its SHA-256 is {found[:12]}..., on record is {expected[:12]}.... "
            "Restore the file, or record it with `totalmap models adopt` if the change is yours"
        )

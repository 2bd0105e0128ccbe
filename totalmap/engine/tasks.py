"""Reads TotalSegmentator's tasks from its own tables: networks, labels, resolution, crop."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from totalsegmentator.map_tasks_config import (
    DEFAULT_CONFIG,
    TASK_CONFIGS,
    TASK_ID_WEIGHTS_CONFIGS,
)
from totalsegmentator.map_to_binary import (
    class_map,
    class_map_5_parts,
    class_map_5_parts_total_v3,
    class_map_parts_headneck_muscles,
    class_map_parts_mr,
    map_taskid_to_partname_ct,
    map_taskid_to_partname_ct_v3,
    map_taskid_to_partname_headneck_muscles,
    map_taskid_to_partname_mr,
)
from totalsegmentator.registry import TASKS, requires_license, task_modality

from totalmap.errors import ConfigError
from totalmap.settings import Search, Variant
from totalmap.structures import Structure
from totalmap.suggest_similar_words import did_you_mean, quoted_if_close

# The names of the variants in TASK_CONFIGS[...]["sub_modes"].
_SUB_MODES = {Variant.FULL: "default", Variant.FAST: "fast", Variant.FASTEST: "fastest"}

# totalsegmentator/python_api.py, totalsegmentator: the default of `plans`.
_PLANS = "nnUNetPlans"

# totalsegmentator/nnunet.py, nnUNet_predict_image: tiles overlap by a half. Those of `total`
# overlap by a fifth, which hardly reduces the Dice.
WHOLE_BODY_TASKS = ("total", "total_v3", "total_mr")
_WHOLE_BODY_STEP_SIZE = 0.8
_STEP_SIZE = 0.5

# totalsegmentator/python_api.py: "default to 20,20,20". It replaces the `crop_addon` of a task, in
# millimetres, if TotalSegmentator chooses the rough network itself.
_ROUGH_MARGIN_MM = 20.0

# totalsegmentator/nnunet.py, nnUNet_predict_image: the part of a task that a network knows.
_PARTS: tuple[tuple[Mapping[int, str], Mapping[str, Mapping[int, str]]], ...] = (
    (map_taskid_to_partname_ct, class_map_5_parts),
    (map_taskid_to_partname_ct_v3, class_map_5_parts_total_v3),
    (map_taskid_to_partname_mr, class_map_parts_mr),
    (map_taskid_to_partname_headneck_muscles, class_map_parts_headneck_muscles),
)

# totalsegmentator/nnunet.py, nnUNetv2_predict: `chk`.
CHECKPOINT_NAME = "checkpoint_final.pth"

NO_SPACING_MM = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubModel:
    """One network of a task.

    Attributes:
        dataset: Folder name, as TotalSegmentator's catalogue spells it.
        release: The release of TotalSegmentator that holds the weights; empty if its licence server
            holds them.
        trainer_folder: Folder of plans.json below the dataset folder: trainer, plans and
            configuration, joined by two underscores.
        label_table: Place n holds the task's label for the network's label n.
        folds: Trainings whose outputs are averaged; empty for all in the folder.
    """

    dataset: str
    release: str
    trainer_folder: str
    label_table: tuple[int, ...]
    folds: tuple[int, ...] = (0,)

    @property
    def checkpoint(self) -> str:
        """Path of the first checkpoint below a models folder."""
        fold = min(self.folds, default=0)
        return f"{self.dataset}/{self.trainer_folder}/fold_{fold}/{CHECKPOINT_NAME}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The box that a task searches, around structures of a rough task.

    Attributes:
        task: The rough task.
        labels: Labels of the rough task that define the box.
        margin_mm: Margin of the box on all sides.
    """

    task: "Task"
    labels: tuple[int, ...]
    margin_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of TotalSegmentator at one resolution.

    Attributes:
        modality: Modality of its training data.
        needs_licence: Whether it needs a licence number of TotalSegmentator.
        spacing_mm: Resolution of the networks along x, y, z; NO_SPACING_MM if nnU-Net chooses it.
        step_size: Distance of neighbouring tiles as a share of the patch size.
        several_models: Whether TotalSegmentator has several networks for the task, of which
            `models` may be a part. Their labels are merged by table, and a large image is split
            into three.
        models: Networks in the order in which they overwrite each other's labels.
        structures: Structures of the result.
        unlearnt: Structures of the task that the weights have not learnt.
        crop: The box to search; None for the whole volume.
        boxes: The task of each network alone, whose `crop` is the box of its own structures. They
            are run instead of the networks together; empty if all networks search the same place.
        refined_by: A task whose result trims the result of this task.
        unsupported: Why our engine does not support the task; empty if it does.
    """

    name: str
    variant: Variant
    modality: Literal["CT", "MR"]
    needs_licence: bool
    spacing_mm: tuple[float, float, float]
    step_size: float
    several_models: bool
    models: tuple[SubModel, ...]
    structures: tuple[Structure, ...]
    unlearnt: tuple[Structure, ...] = ()
    crop: Crop | None = None
    boxes: tuple["Task", ...] = ()
    refined_by: "Task | None" = None
    unsupported: str = ""

    @property
    def chain(self) -> tuple["Task", ...]:
        """All tasks that take part; each follows the tasks that it needs."""
        crops = (part.crop for part in (self, *self.boxes) if part.crop)
        before = dict.fromkeys(rough for crop in crops for rough in crop.task.chain)
        beside = self.refined_by.chain if self.refined_by else ()
        return (*before, *beside, self)


def _has_weights(name: str) -> bool:
    """Returns whether TotalSegmentator publishes weights; some tasks are experiments."""
    modes = TASK_CONFIGS[name].get("sub_modes", {"": TASK_CONFIGS[name]}).values()
    ids = [model_id for mode in modes for model_id in _ids(mode)]
    known = [TASK_ID_WEIGHTS_CONFIGS.get(model_id, {"version": "TODO"}) for model_id in ids]
    return all(weights.get("version") != "TODO" for weights in known)


def _ids(config: Mapping[str, Any]) -> list[int]:
    task_id: int | list[int] = config["task_id"]
    return task_id if isinstance(task_id, list) else [task_id]


SUPPORTED_TASKS: tuple[str, ...] = tuple(name for name in TASKS if _has_weights(name))


def load_task(
    name: str,
    variant: Variant | None = None,
    structures: tuple[str, ...] = (),
    search: Search = Search.WHOLE,
) -> Task:
    """Returns a task with its networks, and the rough tasks that it needs.

    Source: totalsegmentator.python_api.get_task_config and totalsegmentator.

    Args:
        name: Name of the task in `TotalSegmentator --task`.
        variant: None is `fast` if the task has it, else `full`. `fastest` is `fast` for tasks
            without `fastest`, as in TotalSegmentator.
        structures: Structures of the result; empty for all. Tasks of the whole body search around
            these and run only the networks that know them, as `--roi_subset` does.
        search: `boxes` adds `Task.boxes`: for each network the task with its own structures.

    Raises:
        ConfigError: TotalSegmentator has no such task, variant or structure, or the task has no
            networks that can search in boxes.
    """
    if name not in SUPPORTED_TASKS:
        raise ConfigError(
            f"segmentation.task{quoted_if_close(name, SUPPORTED_TASKS)} is not supported"
            f"{did_you_mean(name, SUPPORTED_TASKS)}; "
            f"supported: {', '.join(SUPPORTED_TASKS)}"
        )
    chosen = _variant(name, variant)
    kept = _structures(name, structures)
    config = _config(name, chosen)
    searched_around = structures if name in WHOLE_BODY_TASKS else config["crop"]
    task = Task(
        name=name,
        variant=chosen,
        modality=task_modality(name),
        needs_licence=requires_license(name),
        spacing_mm=_spacing(config["resample"]),
        step_size=_WHOLE_BODY_STEP_SIZE if name in WHOLE_BODY_TASKS else _STEP_SIZE,
        several_models=isinstance(config["task_id"], list),
        models=_models(name, config, {structure.name for structure in kept}),
        structures=kept,
        crop=_crop(name, config, tuple(searched_around)) if searched_around else None,
        refined_by=load_task("vertebrae_body") if name == "vertebrae_pp_refined" else None,
        unsupported=_why_unsupported(name, config),
    )
    return task if search is Search.WHOLE else replace(task, boxes=_boxes(task))


def _boxes(task: Task) -> tuple[Task, ...]:
    """Returns the task of each network, as `--roi_subset` with its structures would run it."""
    if task.name not in WHOLE_BODY_TASKS or not task.several_models:
        raise ConfigError(
            f"segmentation.search boxes is not for task {task.name}, variant {task.variant}: only "
            f"{', '.join(WHOLE_BODY_TASKS)} in variant full have several networks that search the "
            "whole volume; choose whole"
        )
    return tuple(
        load_task(
            task.name,
            task.variant,
            tuple(part.name for part in task.structures if part.label in model.label_table),
        )
        for model in task.models
    )


def variants(name: str) -> tuple[Variant, ...]:
    """Returns the variants that a task has."""
    modes = TASK_CONFIGS[name].get("sub_modes", {"default": {}})
    return tuple(variant for variant, mode in _SUB_MODES.items() if mode in modes)


def _variant(name: str, wanted: Variant | None) -> Variant:
    known = variants(name)
    if wanted is None:
        return Variant.FAST if Variant.FAST in known else Variant.FULL
    if wanted in known:
        return wanted
    if wanted is Variant.FASTEST and Variant.FAST in known:
        return Variant.FAST
    raise ConfigError(
        f"task {name} has no variant {wanted}: write segmentation.variant: "
        f"{' or '.join(known)}, or omit it"
    )


def _config(name: str, variant: Variant) -> dict[str, Any]:
    own: dict[str, Any] = TASK_CONFIGS[name]
    return {**DEFAULT_CONFIG, **own.get("sub_modes", {}).get(_SUB_MODES[variant], own)}


def _structures(name: str, wanted: tuple[str, ...]) -> tuple[Structure, ...]:
    names: dict[int, str] = class_map[name]
    known = sorted(names.values())
    for name_wanted in wanted:
        if name_wanted not in known:
            raise ConfigError(
                f"segmentation.structures: task {name} has no structure"
                f"{quoted_if_close(name_wanted, known)}{did_you_mean(name_wanted, known)}; "
                f"`TotalSegmentator --list-classes {name}` lists what it knows"
            )
    return tuple(
        Structure(label=label, name=names[label])
        for label in sorted(names)
        if not wanted or names[label] in wanted
    )


def _spacing(resample: float | list[float] | None) -> tuple[float, float, float]:
    if resample is None:
        return NO_SPACING_MM
    x, y, z = resample if isinstance(resample, list) else [resample] * 3
    return float(x), float(y), float(z)


def _models(name: str, config: Mapping[str, Any], kept: set[str]) -> tuple[SubModel, ...]:
    names: dict[int, str] = class_map[name]
    if isinstance(config["task_id"], list):
        label_of = {structure: label for label, structure in names.items()}
        parts = {model_id: _part(model_id) for model_id in config["task_id"]}
        tables = {
            model_id: tuple(
                label_of[part[label]] if label in part else 0 for label in range(max(part) + 1)
            )
            for model_id, part in parts.items()
            if kept & set(part.values())
        }
    else:
        # A network may have more labels than its task, used in training (remove_auxiliary_labels).
        auxiliary = class_map.get(f"{name}_auxiliary", {})
        tables = {config["task_id"]: tuple(range(max([*names, *auxiliary]) + 1))}
    return tuple(_model(model_id, config, table) for model_id, table in tables.items())


def _part(model_id: int) -> Mapping[int, str]:
    return next(parts[names[model_id]] for names, parts in _PARTS if model_id in names)


def _model(model_id: int, config: Mapping[str, Any], table: tuple[int, ...]) -> SubModel:
    weights = TASK_ID_WEIGHTS_CONFIGS[model_id]
    return SubModel(
        dataset=weights["foldername"],
        release=weights.get("version", ""),
        trainer_folder=f"{config['trainer']}__{config['plans'] or _PLANS}__{config['model']}",
        label_table=table,
        folds=tuple(config["folds"] or ()),
    )


def _crop(name: str, config: Mapping[str, Any], around: tuple[str, ...]) -> Crop | None:
    """Returns the box to search; None if the rough task does not know the structures.

    Source: totalsegmentator.python_api.totalsegmentator, "Generate rough organ segmentation".
    There, a structure that is new in total_v3 is an error; a crop only saves time.
    """
    if config["crop_model"]:
        rough = load_task(config["crop_model"], Variant.FULL)
        (margin_mm,) = set(config["crop_addon"])
    else:
        rough = _rough_task(name, config["robust_crop"], around)
        margin_mm = _ROUGH_MARGIN_MM
    label_of = {structure.name: structure.label for structure in rough.structures}
    if not label_of.keys() >= set(around):
        return None
    labels = tuple(sorted(label_of[structure] for structure in around))
    return Crop(task=rough, labels=labels, margin_mm=float(margin_mm))


def _rough_task(name: str, is_robust: bool, around: tuple[str, ...]) -> Task:
    if {"body_trunc", "body_extremities"} & set(around):
        return load_task("body", Variant.FAST)
    if name.endswith("_mr"):
        return load_task("total_mr", Variant.FAST)
    return load_task("total", Variant.FAST if is_robust else Variant.FASTEST)


def _why_unsupported(name: str, config: Mapping[str, Any]) -> str:
    if config["resample"] is None:
        return "nnU-Net itself resamples the image"
    if config["folds"] != [0]:
        return "several networks are averaged"
    if config["cascade"]:
        return "one network's result is another one's input"
    if config["remove_outside"]:
        return "the rough result trims the final one"
    if name == "vertebrae_pp_refined":
        return "another task's result trims the final one"
    return ""

"""TotalSegmentator's tasks, read from its own tables: which networks, labels and resolution."""

from dataclasses import dataclass

from totalsegmentator.map_tasks_config import TASK_CONFIGS, TASK_ID_WEIGHTS_CONFIGS
from totalsegmentator.map_to_binary import (
    class_map,
    class_map_5_parts,
    map_taskid_to_partname_ct,
)

from totalmap.errors import ConfigError
from totalmap.segmentation import Structure
from totalmap.settings import Variant

SUPPORTED_TASKS = ("total",)

# The names of the variants in TASK_CONFIGS[...]["sub_modes"].
_SUB_MODES = {Variant.FULL: "default", Variant.FAST: "fast", Variant.FASTEST: "fastest"}

# totalsegmentator/python_api.py: the defaults of `plans`, `model` and `folds`.
_PLANS = "nnUNetPlans"
_CONFIGURATION = "3d_fullres"
_FOLD = "fold_0"

# totalsegmentator/nnunet.py, nnUNet_predict_image: tiles of task total overlap by a fifth.
TOTAL_STEP_SIZE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class SubModel:
    """One network of a task.

    Attributes:
        dataset: Folder name, as TotalSegmentator's catalogue spells it.
        release: The release of TotalSegmentator that holds the weights.
        trainer_folder: Folder of plans.json below the dataset folder.
        label_table: Place n holds the task's label for the network's label n.
    """

    dataset: str
    release: str
    trainer_folder: str
    label_table: tuple[int, ...]

    @property
    def checkpoint(self) -> str:
        """Path of the checkpoint below a models folder."""
        return f"{self.dataset}/{self.trainer_folder}/{_FOLD}/checkpoint_final.pth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of TotalSegmentator at one resolution.

    Attributes:
        spacing_mm: Resolution of the networks, the same along all axes.
        step_size: Distance of neighbouring tiles as a share of the patch size.
        models: In the order in which their labels are laid over each other.
    """

    name: str
    variant: Variant
    spacing_mm: float
    step_size: float
    models: tuple[SubModel, ...]
    structures: tuple[Structure, ...]


def load_task(name: str, variant: Variant) -> Task:
    """Returns the task with the networks of the variant.

    Raises:
        ConfigError: The task is not supported.
    """
    if name not in SUPPORTED_TASKS:
        raise ConfigError(
            f"segmentation.task {name!r} is not supported; supported: {', '.join(SUPPORTED_TASKS)}"
        )
    config = TASK_CONFIGS[name]["sub_modes"][_SUB_MODES[variant]]
    names: dict[int, str] = class_map[name]
    structures = tuple(Structure(label=label, name=names[label]) for label in sorted(names))
    task_id = config["task_id"]
    trainer_folder = f"{config['trainer']}__{_PLANS}__{_CONFIGURATION}"
    if isinstance(task_id, list):
        tables = [(part, _part_table(part, structures)) for part in task_id]
    else:
        tables = [(task_id, tuple(range(max(names) + 1)))]
    return Task(
        name=name,
        variant=variant,
        spacing_mm=float(config["resample"]),
        step_size=TOTAL_STEP_SIZE,
        models=tuple(
            SubModel(
                dataset=TASK_ID_WEIGHTS_CONFIGS[model_id]["foldername"],
                release=TASK_ID_WEIGHTS_CONFIGS[model_id]["version"],
                trainer_folder=trainer_folder,
                label_table=table,
            )
            for model_id, table in tables
        ),
        structures=structures,
    )


def _part_table(model_id: int, structures: tuple[Structure, ...]) -> tuple[int, ...]:
    label_of = {structure.name: structure.label for structure in structures}
    part: dict[int, str] = class_map_5_parts[map_taskid_to_partname_ct[model_id]]
    return tuple(label_of[part[label]] if label in part else 0 for label in range(max(part) + 1))

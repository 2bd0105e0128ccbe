import pytest
from totalsegmentator.map_to_binary import class_map

from totalmap.engine.tasks import load_task
from totalmap.errors import ConfigError
from totalmap.settings import Variant


@pytest.mark.parametrize(
    ("variant", "spacing_mm", "networks"),
    [(Variant.FULL, 1.5, 5), (Variant.FAST, 3.0, 1), (Variant.FASTEST, 6.0, 1)],
)
def test_total_has_its_networks(variant: Variant, spacing_mm: float, networks: int) -> None:
    task = load_task("total", variant)
    assert task.spacing_mm == (spacing_mm,) * 3
    assert len(task.models) == networks
    assert {s.label: s.name for s in task.structures} == class_map["total"]


@pytest.mark.parametrize("variant", list(Variant))
def test_the_networks_cover_every_structure_once(variant: Variant) -> None:
    task = load_task("total", variant)
    labels = [label for model in task.models for label in model.label_table if label]
    assert sorted(labels) == [structure.label for structure in task.structures]


def test_the_checkpoint_lies_where_totalsegmentator_looks() -> None:
    (model,) = load_task("total", Variant.FAST).models
    assert model.checkpoint == (
        "Dataset297_TotalSegmentator_total_3mm_1559subj/"
        "nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/"
        "fold_0/checkpoint_final.pth"
    )


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="toal"):
        load_task("toal", Variant.FAST)

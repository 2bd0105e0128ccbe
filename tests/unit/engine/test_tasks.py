import pytest
from totalsegmentator.map_to_binary import class_map
from totalsegmentator.registry import TASKS

from totalmap.engine.tasks import NO_SPACING_MM, SUPPORTED_TASKS, Task, load_task, variants
from totalmap.errors import ConfigError
from totalmap.settings import Search, Variant


@pytest.mark.parametrize(
    ("variant", "spacing_mm", "networks"),
    [(Variant.FULL, 1.5, 5), (Variant.FAST, 3.0, 1), (Variant.FASTEST, 6.0, 1)],
)
def test_task_total_has_the_networks_and_structures_of_totalsegmentator(
    variant: Variant, spacing_mm: float, networks: int
) -> None:
    task = load_task("total", variant)
    assert task.spacing_mm == (spacing_mm,) * 3
    assert len(task.models) == networks
    assert {s.label: s.name for s in task.structures} == class_map["total"]


@pytest.mark.parametrize("variant", list(Variant))
def test_each_structure_of_task_total_belongs_to_one_network(variant: Variant) -> None:
    task = load_task("total", variant)
    labels = [label for model in task.models for label in model.label_table if label]
    assert sorted(labels) == [structure.label for structure in task.structures]


def test_the_checkpoint_lies_where_totalsegmentator_expects_it() -> None:
    (model,) = load_task("total", Variant.FAST).models
    assert model.checkpoint == (
        "Dataset297_TotalSegmentator_total_3mm_1559subj/"
        "nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/"
        "fold_0/checkpoint_final.pth"
    )


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="toal"):
        load_task("toal", Variant.FAST)


def datasets(task: Task) -> list[int]:
    """Returns the numbers of a chain's networks, in their order."""
    return [int(model.dataset[7:10]) for one in task.chain for model in one.models]


@pytest.mark.parametrize("name", SUPPORTED_TASKS)
def test_every_task_can_be_loaded(name: str) -> None:
    for variant in variants(name):
        task = load_task(name, variant)
        assert task.variant is variant
        assert {s.label: s.name for s in task.structures} == class_map[name]
        for model in task.models:
            assert len(model.trainer_folder.split("__")) == 3
            assert max(model.label_table) >= max(1, len(task.structures) // len(task.models) // 2)


def test_totalsegmentator_tasks_without_weights_are_refused() -> None:
    assert set(TASKS) - set(SUPPORTED_TASKS) == {"test", "total_highres_test"}
    with pytest.raises(ConfigError, match="lung_nodules"):
        load_task("total_highres_test", Variant.FULL)


def test_a_misspelt_task_name_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean lung_nodules"):
        load_task("lung_nodule")


@pytest.mark.parametrize(
    ("name", "step_size"), [("total", 0.8), ("total_v3", 0.8), ("total_mr", 0.8), ("body", 0.5)]
)
def test_tiles_of_whole_body_tasks_overlap_less(name: str, step_size: float) -> None:
    assert all(load_task(name, variant).step_size == step_size for variant in variants(name))


@pytest.mark.parametrize(
    ("name", "numbers", "labels", "margin_mm"),
    [
        ("lung_nodules", [298, 913], (10, 11, 12, 13, 14), 20.0),  # its own 10 mm are not used
        ("ventricle_parts", [298, 552], (90,), 20.0),  # nor are its 0 mm
        ("liver_lesions", [297, 591], (5,), 20.0),  # robust_crop
        ("liver_segments_mr", [852, 576], (5,), 20.0),
        ("abdominal_muscles", [300, 952], (1,), 20.0),
        ("teeth", [298, 115, 113], (2, 7), 10.0),  # the one task whose margin counts
        ("vertebrae_pp_refined", [305, 803], (), None),
        ("headneck_muscles", [298, 778, 779], (), None),
    ],
)
def test_a_task_searches_around_the_structures_that_totalsegmentator_uses(
    name: str, numbers: list[int], labels: tuple[int, ...], margin_mm: float | None
) -> None:
    task = load_task(name)
    assert datasets(task) == numbers
    if margin_mm is not None:
        assert task.crop is not None
        assert task.crop.labels == labels
        assert task.crop.margin_mm == margin_mm


def test_a_task_that_nnunet_resamples_has_no_spacing() -> None:
    task = load_task("hip_implant")
    assert task.spacing_mm == NO_SPACING_MM
    assert task.unsupported


def test_tasks_that_average_networks_list_their_folds() -> None:
    assert load_task("aorta_annulus").models[0].folds == (0, 1, 2, 3, 4)
    assert load_task("brain_aneurysm").models[0].folds == ()


@pytest.mark.parametrize(
    ("name", "wanted", "run"),
    [
        ("total", None, Variant.FAST),
        ("lung_nodules", None, Variant.FULL),
        ("body", Variant.FASTEST, Variant.FAST),
    ],
)
def test_a_missing_or_unavailable_variant_is_replaced_by_the_default(
    name: str, wanted: Variant | None, run: Variant
) -> None:
    assert load_task(name, wanted).variant is run


@pytest.mark.parametrize("variant", [Variant.FAST, Variant.FASTEST])
def test_a_variant_that_a_task_does_not_have_is_refused(variant: Variant) -> None:
    with pytest.raises(ConfigError, match=r"segmentation\.variant: full"):
        load_task("lung_nodules", variant)


@pytest.mark.parametrize(
    ("name", "variant", "structures", "numbers"),
    [
        ("total", Variant.FULL, ("liver", "spleen"), [298, 291]),
        ("total", Variant.FULL, ("rib_left_1", "aorta"), [298, 293, 295]),
        ("total", Variant.FASTEST, ("liver",), [298, 298]),
        ("total_v3", Variant.FULL, ("liver",), [298, 831]),
        ("total_v3", Variant.FULL, ("vertebrae_L6", "liver"), [831, 832]),  # 298 knows no L6
        ("total_mr", Variant.FULL, ("liver",), [852, 850]),
        ("body", Variant.FAST, ("body_trunc",), [300]),
        ("lung_vessels", Variant.FULL, ("lung_veins",), [297, 117]),
    ],
)
def test_chosen_structures_load_only_the_networks_that_know_them(
    name: str, variant: Variant, structures: tuple[str, ...], numbers: list[int]
) -> None:
    task = load_task(name, variant, structures)
    assert datasets(task) == numbers
    assert {one.name for one in task.structures} == set(structures)
    assert task.several_models == load_task(name, variant).several_models


@pytest.mark.parametrize(
    ("name", "structures", "rough", "networks"),
    [
        ("total", (), [298], 5),
        ("total", ("liver", "rib_left_1", "spleen"), [298], 2),
        ("total_v3", (), [298], 5),
        ("total_mr", (), [852], 2),
    ],
)
def test_in_boxes_each_network_is_the_task_with_its_own_structures(
    name: str, structures: tuple[str, ...], rough: list[int], networks: int
) -> None:
    task = load_task(name, Variant.FULL, structures, Search.BOXES)
    assert len(task.boxes) == networks
    assert tuple(model for part in task.boxes for model in part.models) == task.models
    assert datasets(task) == [
        *rough,
        *datasets(load_task(name, Variant.FULL, structures))[-networks:],
    ]
    for part in task.boxes:
        names = tuple(structure.name for structure in part.structures)
        assert part == load_task(name, Variant.FULL, names)
        assert len(part.models) == 1
    found = [structure for part in task.boxes for structure in part.structures]
    assert sorted(found, key=lambda structure: structure.label) == list(task.structures)


@pytest.mark.parametrize(
    ("name", "variant"),
    [("total", Variant.FAST), ("lung_nodules", None), ("headneck_muscles", Variant.FULL)],
)
def test_boxes_are_refused_for_a_task_without_several_networks_of_the_whole_body(
    name: str, variant: Variant | None
) -> None:
    with pytest.raises(ConfigError, match=f"search boxes is not for task {name}.*choose whole"):
        load_task(name, variant, search=Search.BOXES)


def test_an_unknown_structure_name_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"'lver', did you mean liver.*list-classes total"):
        load_task("total", Variant.FAST, ("spleen", "lver"))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.segmentations import TASK
from totalmap.corrections.rename_structures import (
    Direction,
    Run,
    move_name,
    move_run,
    rename_structures,
)
from totalmap.errors import ConfigError

LABEL_OF = {structure.name: structure.label for structure in TASK.structures}
VERTEBRAE = sorted(label for name, label in LABEL_OF.items() if name.startswith("vertebrae_"))
RIBS = [LABEL_OF[f"rib_left_{number}"] for number in range(1, 13)]


@given(
    run=st.sampled_from([(Run.VERTEBRAE, VERTEBRAE), (Run.LEFT_RIBS, RIBS)]),
    data=st.data(),
)
def test_a_run_that_moves_down_and_up_has_its_old_names(
    run: tuple[Run, list[int]], data: st.DataObject
) -> None:
    kind, labels = run
    present = data.draw(st.sets(st.sampled_from(labels), min_size=1))
    volume = np.array([[[0, LABEL_OF["liver"], *present]]], np.uint8)
    try:
        down = move_run(kind, Direction.DOWN, TASK.structures, present)
    except ConfigError:
        return
    moved = rename_structures(volume, down)
    assert np.array_equal(moved == 0, volume == 0)
    assert len(np.unique(moved)) == len(np.unique(volume))
    up = move_run(kind, Direction.UP, TASK.structures, set(np.unique(moved).tolist()))
    assert np.array_equal(rename_structures(moved, up), volume)


def test_a_name_moves_to_a_structure_without_voxels_only() -> None:
    liver, spleen = LABEL_OF["liver"], LABEL_OF["spleen"]
    assert move_name("liver", "spleen", TASK.structures, {liver}) == {liver: spleen}
    with pytest.raises(ConfigError, match="spleen has voxels already"):
        move_name("liver", "spleen", TASK.structures, {liver, spleen})
    with pytest.raises(ConfigError, match="no structure tumour"):
        move_name("liver", "tumour", TASK.structures, {liver})


def test_a_run_does_not_move_beyond_its_end_or_onto_a_structure_that_stays() -> None:
    first = LABEL_OF["vertebrae_C1"]
    with pytest.raises(ConfigError, match="last name of its run"):
        move_run(Run.VERTEBRAE, Direction.UP, TASK.structures, {first})
    present = {LABEL_OF["rib_left_3"], LABEL_OF["rib_left_4"]}
    with pytest.raises(ConfigError, match="would not move"):
        move_run(Run.LEFT_RIBS, Direction.DOWN, TASK.structures, present, only=["rib_left_3"])

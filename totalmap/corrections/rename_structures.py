"""Gives structures other names: moves a name to another one, or a run of vertebrae or ribs by one.

Voxels only ever change their name. A renaming is a mapping of labels, old to new.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import cast

import numpy as np

from totalmap.display_names import in_sentence
from totalmap.errors import ConfigError
from totalmap.measure.label_statistics import Labels
from totalmap.structures import Structure


class Run(StrEnum):
    """Structures that follow each other from the head to the feet."""

    VERTEBRAE = "vertebrae"
    LEFT_RIBS = "left_ribs"
    RIGHT_RIBS = "right_ribs"


class Direction(StrEnum):
    """Where the names of a run move to: T5 becomes T4 if its name moves up."""

    UP = "up"
    DOWN = "down"


_NAMES = {
    Run.VERTEBRAE: re.compile(r"vertebrae_(?P<region>[CTLS])(?P<number>\d+)"),
    Run.LEFT_RIBS: re.compile(r"rib_left_(?P<number>\d+)"),
    Run.RIGHT_RIBS: re.compile(r"rib_right_(?P<number>\d+)"),
}
_REGIONS = "CTLS"  # from the head to the feet


def rename_structures(labels: Labels, renaming: Mapping[int, int]) -> Labels:
    """Returns labels with new names.

    Args:
        labels: (k, j, i).
        renaming: The new label of each label that changes.
    """
    highest = max(int(labels.max(initial=0)), *renaming, *renaming.values(), 0)
    table = np.arange(highest + 1, dtype=labels.dtype)
    table[list(renaming)] = list(renaming.values())
    return cast(Labels, table[labels])


def move_name(
    old: str, new: str, structures: Iterable[Structure], present: Collection[int]
) -> Mapping[int, int]:
    """Returns the renaming of one structure.

    Args:
        old: TotalSegmentator's name of the structure.
        new: The name that it gets.
        structures: All structures of the task.
        present: The labels that have voxels.

    Raises:
        ConfigError: The task has no structure with one of the names, the old one has no voxels, or
            the new one has some.
    """
    label_of = {structure.name: structure.label for structure in structures}
    for name in (old, new):
        if name not in label_of:
            raise ConfigError(f"the task has no structure {name}")
    if label_of[old] not in present:
        raise ConfigError(f"the {in_sentence(old)} has no voxels that could be renamed")
    if old != new and label_of[new] in present:
        raise ConfigError(
            f"the {in_sentence(new)} has voxels already: rename or erase these first, or draw over "
            "them"
        )
    return {label_of[old]: label_of[new]}


def move_run(
    run: Run,
    direction: Direction,
    structures: Iterable[Structure],
    present: Collection[int],
    only: Collection[str] = (),
) -> Mapping[int, int]:
    """Returns the renaming of a run of vertebrae or ribs by one, up or down.

    Args:
        run: The run.
        direction: Where the names move to.
        structures: All structures of the task.
        present: The labels that have voxels.
        only: TotalSegmentator's names of a part of the run, which alone is renamed; empty: all.

    Raises:
        ConfigError: No structure of the run has voxels, one would have no name, or one would get
            the name of another that has voxels and is not renamed.
    """
    ordered = _ordered(run, structures)
    found = [one for one in ordered if one.label in present]
    moved = [one for one in found if not only or one.name in only]
    if not moved:
        raise ConfigError(f"no structure of {run.replace('_', ' ')} has voxels to be renamed")
    step = -1 if direction is Direction.UP else 1
    renaming: dict[int, int] = {}
    for structure in moved:
        place = ordered.index(structure) + step
        if not 0 <= place < len(ordered):
            raise ConfigError(
                f"the {in_sentence(structure.name)} is the last name of its run: nothing can move "
                f"{direction} from there; rename or erase it first"
            )
        renaming[structure.label] = ordered[place].label
    for structure in found:
        if structure not in moved and structure.label in renaming.values():
            raise ConfigError(
                f"the {in_sentence(structure.name)} has voxels and would not move: move the whole "
                "run, or rename or erase it first"
            )
    return renaming


def _ordered(run: Run, structures: Iterable[Structure]) -> list[Structure]:
    """Returns the structures of a run from the head to the feet."""
    placed: list[tuple[int, int, Structure]] = []
    for structure in structures:
        found = _NAMES[run].fullmatch(structure.name)
        if found is not None:
            region = _REGIONS.index(found.groupdict().get("region", _REGIONS[0]))
            placed.append((region, int(found["number"]), structure))
    return [structure for _, _, structure in sorted(placed, key=lambda place: place[:2])]

"""Tests that docs/tasks.md agrees with the tables of TotalSegmentator."""

import pytest

from tests.conftest import REPOSITORY
from totalmap.engine.tasks import (
    NO_SPACING_MM,
    SUPPORTED_TASKS,
    SubModel,
    Task,
    load_task,
    variants,
)
from totalmap.engine.weight_licences import BY_NUMBER, NOT_STATED, WeightLicence, licence_of
from totalmap.settings import Variant


def row(name: str) -> str:
    """Returns the line of the table that belongs to a task."""
    tasks = [load_task(name, variant) for variant in variants(name)]
    full = tasks[0]
    cells = [
        f"`{name}`",
        full.modality,
        ", ".join(f"{_words(task.variant)}{_resolution(task)}" for task in tasks),
        f"`{full.crop.task.name}` {full.crop.task.variant}" if full.crop else "",
        f"python API: {full.unsupported}" if full.unsupported else "TotalMAP",
        _licence(full),
        "a small data set" if _small_data(full) else "",
    ]
    return f"| {' | '.join(cells)} |"


def _licence(task: Task) -> str:
    (licence,) = {_known(model).licence for model in task.models}
    return {BY_NUMBER: "by number", NOT_STATED: "not stated"}.get(licence, licence)


def _small_data(task: Task) -> bool:
    (is_small,) = {_known(model).small_data for model in task.models}
    return is_small


def _known(model: SubModel) -> WeightLicence:
    known = licence_of(model.dataset)
    assert known is not None
    return known


def _words(variant: Variant) -> str:
    return f"`{variant}`"


def _resolution(task: Task) -> str:
    if task.spacing_mm == NO_SPACING_MM:
        return ""
    sizes = [f"{mm:.3g}" for mm in task.spacing_mm]
    return f" {sizes[0] if len(set(sizes)) == 1 else ' x '.join(sizes)} mm"


@pytest.mark.parametrize("name", SUPPORTED_TASKS)
def test_the_tasks_page_documents_each_task_of_totalsegmentator(name: str) -> None:
    lines = (REPOSITORY / "docs" / "tasks.md").read_text().splitlines()
    assert row(name) in lines


def test_the_tasks_page_documents_no_task_that_totalsegmentator_lacks() -> None:
    lines = (REPOSITORY / "docs" / "tasks.md").read_text().splitlines()
    assert sum(line.startswith("| `") for line in lines) == len(SUPPORTED_TASKS)

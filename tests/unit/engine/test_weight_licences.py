"""weight_licences.csv has one row for each set of weights, and agrees with TotalSegmentator."""

import csv
from importlib.resources import files

import pytest

from totalmap.engine.tasks import SUPPORTED_TASKS, load_task, variants
from totalmap.engine.weight_licences import Use, known_licences, licence_of

DATASETS = {
    model.dataset: task.needs_licence
    for name in SUPPORTED_TASKS
    for variant in variants(name)
    for task in load_task(name, variant).chain
    for model in task.models
}


def rows() -> list[dict[str, str]]:
    text = (files("totalmap.engine") / "weight_licences.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def test_each_dataset_of_a_supported_task_has_exactly_one_row_of_licences() -> None:
    assert sorted(row["dataset"] for row in rows()) == sorted(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_tasks_that_need_a_number_have_weights_licensed_by_number(dataset: str) -> None:
    licence = licence_of(dataset)
    assert licence is not None
    assert (licence.use is Use.BY_NUMBER) == DATASETS[dataset]


def test_each_weight_licence_allows_the_same_use_in_each_row_of_the_licence_table() -> None:
    uses = {(one.licence, one.use) for one in known_licences().values()}
    assert uses == {
        ("Apache-2.0", Use.ANY),
        ("CC-BY-NC-4.0", Use.NON_COMMERCIAL),
        ("LicenseRef-TotalSegmentator", Use.BY_NUMBER),
        ("NOASSERTION", Use.NOT_STATED),
    }


def test_each_row_of_the_licence_table_names_the_passage_that_states_the_licence() -> None:
    base = "https://github.com/wasserth/TotalSegmentator/blob/v2.18.0/"
    assert all(one.source.startswith(base) for one in known_licences().values())


def test_brain_aneurysm_weights_are_not_for_commercial_use() -> None:
    licence = licence_of("Dataset615_MAXIMUS")
    assert licence is not None
    assert (licence.licence, licence.use) == ("CC-BY-NC-4.0", Use.NON_COMMERCIAL)


def test_a_folder_that_is_not_in_the_licence_table_has_no_licence() -> None:
    assert licence_of("Dataset999_own") is None

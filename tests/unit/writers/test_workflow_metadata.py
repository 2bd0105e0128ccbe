"""Tests metadata.json, which summarises status.json for the conditions of a workflow."""

import json
import re
from collections.abc import Mapping

import pytest

from totalmap.dicom.series_selection import judge
from totalmap.dicom.study import read_study
from totalmap.errors import ConfigError, NoSuitableSeries, TotalMapError
from totalmap.run_log import Result, RunLog
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings, Variant
from totalmap.structures import Limitation
from totalmap.writers.status_json import RunStatus, describe_run
from totalmap.writers.workflow_metadata import summarise

# What Newtonsoft.Json silently turns into a date, and what the conditions split or end at.
LOOKS_LIKE_A_DATE = re.compile(r"\d{4}-\d\d-\d\dT|/Date\(")
SPLITS_A_CONDITION = re.compile(r"'|\s(and|or)\s|[()]", re.IGNORECASE)


@pytest.fixture
def run_log(true_segmentation: Segmentation) -> RunLog:
    run_log = RunLog()
    study = read_study(true_segmentation.volume.slices[0].instance.path.parent)
    run_log.judged(judge(study, Settings().selection, Settings().geometry).decisions)
    run_log.warn("a warning", "another")
    run_log.segmented(true_segmentation)
    run_log.wrote(Result(kind="seg", path="results/seg.dcm", sop_instance_uid="1.2"))
    return run_log


def status_of(run_log: RunLog, error: TotalMapError | None = None) -> RunStatus:
    return describe_run(run_log, Settings(), error)


def metadata_of(status: RunStatus) -> Mapping[str, str | int]:
    read: dict[str, str | int] = json.loads(json.dumps(summarise(status).as_json()))
    return read


def test_metadata_json_of_a_success_agrees_with_status_json(run_log: RunLog) -> None:
    status = status_of(run_log)
    metadata = metadata_of(status)
    assert metadata["outcome"] == "succeeded"
    assert metadata["exit_status"] == 0
    assert metadata["task"] == "total"
    assert metadata["series"] == metadata["series_chosen"] == 1
    assert metadata["results"] == 1
    assert metadata["warnings"] == len(status.warnings) >= 2
    assert metadata["structures_found"] == len(status.structures) > 1
    incomplete = [
        structure for structure in status.structures if Limitation.INCOMPLETE in structure.flags
    ]
    assert metadata["structures_incomplete"] == len(incomplete)


def test_metadata_json_of_a_success_has_no_exception_key(run_log: RunLog) -> None:
    assert not {"exception", "exception_message"} & set(metadata_of(status_of(run_log)))


def test_structures_in_metadata_json_are_a_list_for_workflow_conditions(run_log: RunLog) -> None:
    status = status_of(run_log)
    structures = metadata_of(status)["structures"]
    assert isinstance(structures, str)
    assert re.fullmatch(r"\[\w+(,\w+)*\]", structures)
    assert structures.strip("[]").split(",") == [structure.name for structure in status.structures]


def test_a_structure_in_two_volumes_is_listed_once_in_metadata_json(
    run_log: RunLog, true_segmentation: Segmentation
) -> None:
    once = metadata_of(status_of(run_log))
    run_log.segmented(true_segmentation)
    twice = metadata_of(status_of(run_log))
    assert twice["structures"] == once["structures"]
    assert twice["structures_found"] == 2 * int(once["structures_found"])


def test_metadata_json_of_a_failure_names_the_exception() -> None:
    error = NoSuitableSeries("none of 3 series can be segmented")
    metadata = metadata_of(status_of(RunLog(), error))
    assert metadata["outcome"] == "failed"
    assert metadata["exit_status"] == 65
    assert metadata["exception"] == "NoSuitableSeries"
    assert metadata["exception_message"] == str(error)
    assert metadata["structures_found"] == metadata["results"] == 0
    assert metadata["structures"] == "[]"


def test_metadata_json_of_unreadable_settings_has_no_model_keys() -> None:
    status = describe_run(RunLog(), None, ConfigError("settings file a.yaml is not valid YAML"))
    metadata = metadata_of(status)
    assert metadata["exception"] == "ConfigError"
    assert not {"task", "variant", "engine", "arithmetic", "search"} & set(metadata)


def test_metadata_json_has_variant_arithmetic_and_search_of_the_run(run_log: RunLog) -> None:
    run_log.variant, run_log.arithmetic, run_log.search = Variant.FASTEST, "exact", "boxes"
    metadata = metadata_of(status_of(run_log))
    assert metadata["variant"] == "fastest"
    assert metadata["arithmetic"] == "exact"
    assert metadata["search"] == "boxes"


@pytest.mark.parametrize("error", [None, NoSuitableSeries("none of 3 series")])
def test_values_of_metadata_json_survive_the_way_into_a_workflow_condition(
    run_log: RunLog, error: TotalMapError | None
) -> None:
    metadata = metadata_of(status_of(run_log, error))
    for key, value in metadata.items():
        assert re.fullmatch(r"[a-z_]+", key), "a point or a quote ends a key"
        assert type(value) in (int, str), "null fails, fractions depend on the country"
        assert str(value).strip(), "an empty text becomes NULL"
        assert not LOOKS_LIKE_A_DATE.search(str(value))
        if key != "exception_message":
            assert not SPLITS_A_CONDITION.search(str(value))


def test_metadata_json_has_nothing_of_the_patient(run_log: RunLog) -> None:
    status = status_of(run_log)
    text = json.dumps(metadata_of(status))
    for series in status.series:
        assert series.series_instance_uid not in text
        assert series.description, "the phantom should have one"
        assert series.description not in text

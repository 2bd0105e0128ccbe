"""Tests what status.json says of the networks: licences, and the number of threads."""

from dataclasses import replace

from totalmap.run_log import RunLog
from totalmap.segmentation import Segmentation
from totalmap.settings import SegmentationSection, Settings
from totalmap.writers.status_json import describe_run


def test_status_json_has_the_licence_of_the_weights_and_the_accepted_licences(
    true_segmentation: Segmentation,
) -> None:
    (model,) = true_segmentation.models
    run_log = RunLog()
    run_log.segmented(replace(true_segmentation, models=(replace(model, licence="CC-BY-NC-4.0"),)))
    accepting = SegmentationSection(accepted_licences=("CC-BY-NC-4.0",))
    status = describe_run(run_log, Settings(segmentation=accepting), None).as_json()
    assert status["model"]["accepted_licences"] == ("CC-BY-NC-4.0",)
    assert [checkpoint["licence"] for checkpoint in status["model"]["checkpoints"]] == [
        "CC-BY-NC-4.0"
    ]


def test_status_json_has_the_number_of_threads_that_ran_the_networks(
    true_segmentation: Segmentation,
) -> None:
    run_log = RunLog()
    run_log.segmented(replace(true_segmentation, threads=3))
    assert describe_run(run_log, Settings(), None).as_json()["model"]["threads"] == 3

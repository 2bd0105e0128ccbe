"""Tests which results are released, held back or delivered with a rejection note."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from numpy.typing import NDArray

from app.run_study import RunOutcome, RunRequest, run_application
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.phantom.study import WrittenSeries
from tests.segmentations import TASK, segmentation_with
from totalmap.dicom.volume import Volume
from totalmap.finding import Verdict
from totalmap.segmentation import Segmentation

LEFT, RIGHT = "_left", "_right"


@dataclass(frozen=True)
class Knowing:
    """An engine that returns given labels."""

    labels: NDArray[np.uint8]

    def segment(self, volume: Volume, _progress: object) -> Segmentation:
        return segmentation_with(volume, self.labels)


def sides_swapped(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the labels with left and right structures swapped."""
    by_name = {structure.name: structure.label for structure in TASK.structures}
    new = np.arange(256, dtype=np.uint8)
    for name, label in by_name.items():
        other = name.replace(LEFT, "_?").replace(RIGHT, LEFT).replace("_?", RIGHT)
        new[label] = by_name.get(other, label)
    return new[labels]


def run(
    series: WrittenSeries, labels: NDArray[np.uint8], folder: Path, rejected: str = "hold"
) -> RunOutcome:
    settings = yaml.safe_load((REPOSITORY / "app.yaml").read_text())
    settings["quality"]["rejected"] = rejected
    settings["results"]["kinds"] = ["seg", "sr"]
    file = folder / "app.yaml"
    file.write_text(yaml.safe_dump(settings))
    request = RunRequest(
        input_path=series.folder,
        output_folder=folder / "out",
        models_folder=DEMO_MODELS,
        settings_file=file,
    )
    return run_application(request, load_engine=lambda *_: Knowing(labels))  # type: ignore[arg-type]


def test_results_with_plausible_labels_are_released(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    outcome = run(phantom_series, phantom_series.labels, tmp_path)
    assert outcome.status.quality.verdict is not Verdict.REJECT
    assert outcome.status.quality.held is None
    assert {path.name for path in (tmp_path / "out/results").iterdir()} == {"seg.dcm", "sr.dcm"}
    assert not (tmp_path / "out/rejected").exists()


def test_results_rejected_by_quality_control_are_held_back(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    outcome = run(phantom_series, sides_swapped(phantom_series.labels), tmp_path)
    quality = outcome.status.quality
    assert (outcome.error, outcome.exit_status) == (None, 0)
    assert quality.verdict is Verdict.REJECT
    assert "MIRRORED" in {finding.code for finding in quality.findings}
    assert quality.held
    assert [result.path for result in outcome.status.results] == [
        "rejected/seg.dcm.held",
        "rejected/sr.dcm.held",
    ]
    assert {path.name for path in (tmp_path / "out/rejected").iterdir()} == {
        "seg.dcm.held",
        "sr.dcm.held",
    }
    assert not (tmp_path / "out/results").exists()
    assert not list(tmp_path.glob("out/**/*.dcm")), "what ends so is exported"
    metadata = json.loads((tmp_path / "out/metadata.json").read_text())
    assert (metadata["outcome"], metadata["verdict"]) == ("held", "reject")
    seg = pydicom.dcmread(tmp_path / "out/rejected/seg.dcm.held", stop_before_pixels=True)
    assert seg.SeriesDescription.endswith("(AI, REJECTED)")


def test_results_rejected_by_quality_control_are_delivered_with_a_note_if_configured(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    labels = sides_swapped(phantom_series.labels)
    outcome = run(phantom_series, labels, tmp_path, rejected="deliver")
    assert outcome.status.quality.held is None
    note = pydicom.dcmread(tmp_path / "out/results/rejection.dcm")
    assert note.Modality == "KO"
    assert outcome.status.results[-1].sop_instance_uid == note.SOPInstanceUID


@pytest.mark.parametrize("before", ["hold", "deliver"])
def test_rejected_results_of_an_earlier_run_are_removed(
    phantom_series: WrittenSeries, tmp_path: Path, before: str
) -> None:
    run(phantom_series, sides_swapped(phantom_series.labels), tmp_path, rejected=before)
    run(phantom_series, phantom_series.labels, tmp_path)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results",
        "status.json",
        "metadata.json",
    }


def test_a_failed_run_has_the_verdict_reject(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    request = RunRequest(
        input_path=empty,
        output_folder=tmp_path / "out",
        models_folder=DEMO_MODELS,
        settings_file=REPOSITORY / "app.yaml",
    )
    quality = run_application(request).status.quality
    assert quality.verdict is Verdict.REJECT
    assert [finding.code for finding in quality.findings] == ["FAILED"]

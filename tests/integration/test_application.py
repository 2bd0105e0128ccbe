"""Runs the application as a hospital does: a process, folders, an exit status, status.json."""

import shutil
import subprocess
from pathlib import Path

import nibabel
import pydicom
import pytest

from tests.application_runs import REPORTS, Finished, command, run
from tests.conftest import REPOSITORY
from tests.networks import build_walk
from tests.phantom import write_enhanced
from tests.phantom.study import SeriesSpec, WrittenStudy, write_series, write_study
from tests.waiting import WAIT_SECONDS
from totalmap.engine.tasks import load_task
from totalmap.settings import USUAL_RESULTS

ALL_FILES = {
    *REPORTS,
    "results/seg.dcm",
    "results/sr.dcm",
    "results/rtstruct.dcm",
    "results/preview.png",
    "results/report.html",
    "results/measurements.csv",
    "results/labels.nii.gz",
}
EVERYTHING = {"TOTALMAP_RESULTS__KINDS": f"[{', '.join(USUAL_RESULTS)}]"}
PAGES = {f"results/preview/page_{n}.dcm" for n in range(1, 9)}  # as many as are needed


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 5, size=64, n_slices=30)


@pytest.fixture(scope="module")
def finished(
    study: WrittenStudy, fast_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A run that succeeds."""
    return run(study.folder, tmp_path_factory.mktemp("out") / "new", fast_models, **EVERYTHING)


def test_a_run_writes_all_results_of_a_study(finished: Finished) -> None:
    assert finished.exit_status == 0, finished.text
    assert finished.files - PAGES == ALL_FILES
    assert finished.files & PAGES


def test_status_json_has_series_results_timings_and_checkpoints_of_a_run(
    finished: Finished, study: WrittenStudy
) -> None:
    status = finished.status
    assert status["outcome"] == "succeeded"
    assert status["error"] is None
    assert status["ignored_files"] == 0
    assert [series["chosen"] for series in status["series"]] == [True] + [False] * 4
    assert status["series"][0]["series_instance_uid"] == study.thin_soft.series_uid
    assert all(series["reason"] for series in status["series"])
    assert {result["kind"] for result in status["results"]} == set(USUAL_RESULTS)
    (seg,) = (result for result in status["results"] if result["kind"] == "seg")
    written = pydicom.dcmread(finished.output / seg["path"])
    assert written.SOPInstanceUID == seg["sop_instance_uid"]
    assert len(status["structures"]) == len(written.SegmentSequence)
    assert list(status["timings_seconds"]) == [
        "read_study",
        "select_series",
        "build_volume",
        "load_models",
        "segment",
        "measure",
        "check_quality",
        *(f"write_{kind}" for kind in USUAL_RESULTS),
    ]
    (checkpoint,) = status["model"]["checkpoints"]
    assert len(checkpoint["sha256"]) == 64
    assert status["versions"]["TotalSegmentator"] == "2.18.0"


def test_metadata_json_agrees_with_status_json(finished: Finished) -> None:
    status, metadata = finished.status, finished.metadata
    assert metadata["outcome"] == status["outcome"]
    assert metadata["exit_status"] == finished.exit_status
    assert "exception" not in metadata
    assert metadata["task"] == status["model"]["task"]
    assert metadata["variant"] == status["model"]["variant"] == "fast"
    assert metadata["arithmetic"] == status["model"]["arithmetic"]
    assert metadata["series"] == len(status["series"])
    assert metadata["series_chosen"] == 1
    names = [structure["name"] for structure in status["structures"]]
    assert metadata["structures"] == f"[{','.join(names)}]"
    assert metadata["structures_found"] == len(names)
    assert metadata["results"] == len(status["results"])
    assert metadata["warnings"] == len(status["warnings"])
    assert metadata["version"] == status["versions"]["totalmap"]


def test_messages_and_reports_of_a_run_hold_no_patient_data(finished: Finished) -> None:
    reports = [(finished.output / name).read_text() for name in sorted(REPORTS)]
    everything = "".join([finished.text, *reports])
    header = pydicom.dcmread(min((finished.output / "results").glob("*.dcm")))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"):
        value = str(header[keyword].value)
        assert value, f"the phantom should have a {keyword}"
        assert value not in everything


def test_a_second_run_on_a_study_gives_the_same_files(
    finished: Finished, study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    again = run(study.folder, tmp_path, fast_models, **EVERYTHING)
    assert again.status["results"] == finished.status["results"]
    assert again.status["structures"] == finished.status["structures"]
    for name in finished.files - {"status.json"}:
        assert (again.output / name).read_bytes() == (finished.output / name).read_bytes(), name


def test_only_the_configured_kinds_of_results_are_written(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    done = run(study.folder, tmp_path, fast_models, TOTALMAP_RESULTS__KINDS="[seg]")
    assert done.files == REPORTS | {"results/seg.dcm"}


def test_two_selection_rules_give_two_results(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    rules = "[{name: soft}, {name: lung, kernels: [lung]}]"
    done = run(study.folder, tmp_path, fast_models, TOTALMAP_SELECTION__RULES=rules)
    assert done.exit_status == 0, done.text
    names = ("seg.dcm", "labels.nii.gz")
    results = {f"results/{rule}/{name}" for rule in ("soft", "lung") for name in names}
    assert done.files == REPORTS | results
    chosen = {one["series_instance_uid"]: one["rules"] for one in done.status["series"]}
    assert chosen[study.thin_soft.series_uid] == ["soft"]
    assert chosen[study.thin_sharp.series_uid] == ["lung"]
    assert {one["folder"] for one in done.status["structures"]} == {"soft", "lung"}
    for result in done.status["results"]:
        assert (tmp_path / result["path"]).is_file()
    sources = {
        rule: pydicom.dcmread(tmp_path / f"results/{rule}/seg.dcm")
        .ReferencedSeriesSequence[0]
        .SeriesInstanceUID
        for rule in ("soft", "lung")
    }
    assert sources == {"soft": study.thin_soft.series_uid, "lung": study.thin_sharp.series_uid}


def test_a_tilted_series_with_a_gap_is_refused_or_filled_as_configured(
    fast_models: Path, tmp_path: Path
) -> None:
    steps = tuple(float(k) for k in range(30) if k != 12)
    spec = SeriesSpec(rows=48, columns=48, n_slices=29, slice_steps=steps, tilt_degrees=12.0)
    written = write_series(tmp_path / "in", 5, spec)
    refused = run(tmp_path / "in", tmp_path / "out", fast_models)
    refused.fails_with(65, "NoSuitableSeries", "1 slices are missing: gaps of up to 6.00 mm")
    done = run(tmp_path / "in", tmp_path / "out", fast_models, TOTALMAP_GEOMETRY__GAPS="fill")
    assert done.exit_status == 0, done.text
    warnings = " ".join(done.status["warnings"])
    assert "1 slices are missing" in warnings
    assert "tilted by 12.0 degrees" in warnings
    seg = pydicom.dcmread(tmp_path / "out" / "results" / "seg.dcm")
    sources = {
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for group in seg.PerFrameFunctionalGroupsSequence
    }
    assert sources <= set(written.sop_uids)
    labels = nibabel.load(tmp_path / "out" / "results" / "labels.nii.gz")
    assert labels.shape == (48, 48, 30)
    for structure in done.status["structures"]:
        assert structure["volume_ml"] > 0


def test_a_multi_frame_ct_is_segmented(fast_models: Path, tmp_path: Path) -> None:
    written = write_enhanced(tmp_path / "in", 5, SeriesSpec(rows=48, columns=48, n_slices=30))
    done = run(tmp_path / "in", tmp_path / "out", fast_models)
    assert done.exit_status == 0, done.text
    seg = pydicom.dcmread(tmp_path / "out" / "results" / "seg.dcm")
    (item,) = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence
    assert item.ReferencedSOPInstanceUID == written.sop_uids[0]
    assert 1 <= item.ReferencedFrameNumber <= 30


def test_the_real_ct_without_uids_is_segmented_with_a_repaired_source(
    real_ct: Path, fast_models: Path, tmp_path: Path
) -> None:
    done = run(real_ct, tmp_path, fast_models)
    assert done.exit_status == 0, done.text
    assert "SOPInstanceUID" in done.status["warnings"][0]
    assert len(list((tmp_path / "results" / "source").glob("*.dcm"))) == 20
    source = pydicom.dcmread(min((tmp_path / "results" / "source").iterdir()))
    seg = pydicom.dcmread(tmp_path / "results" / "seg.dcm")
    assert seg.StudyInstanceUID == source.StudyInstanceUID
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID


def test_a_study_without_uids_is_refused_if_configured(
    real_ct: Path, fast_models: Path, tmp_path: Path
) -> None:
    done = run(real_ct, tmp_path, fast_models, TOTALMAP_STUDY__MISSING_UIDS="refuse")
    done.fails_with(65, "InputError", "20 of 20 instances have no SOPClassUID")


def test_a_segmentation_run_makes_no_network_connection(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    isolate = shutil.which("unshare")
    probe = [isolate or "unshare", "--net", "true"]
    if isolate is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("a process without network needs `unshare --net`")
    process = subprocess.run(
        [isolate, "--net", *command(study.folder, tmp_path / "out", fast_models)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stderr


def test_a_run_whose_rough_task_finds_nothing_gives_results_without_seg(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 1, SeriesSpec(rows=24, columns=20, n_slices=10))
    models = build_walk(tmp_path / "models", load_task("lung_nodules"))  # find what is stained
    finished = run(
        tmp_path / "in", tmp_path / "out", models, TOTALMAP_SEGMENTATION__TASK="lung_nodules"
    )
    assert finished.exit_status == 0, finished.text
    assert finished.files == REPORTS | {"results/labels.nii.gz"}
    status = finished.status
    assert status["structures"] == []
    assert any("left upper lobe of lung" in warning for warning in status["warnings"])
    assert status["model"]["variant"] == "full"
    assert status["model"]["engine"] == "totalmap"

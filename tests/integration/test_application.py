"""Runs the application as a hospital does: a process, folders, an exit status, status.json."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import pydicom
import pytest

from tests.conftest import REPOSITORY
from tests.disk import small_disk
from tests.networks import build_walk
from tests.phantom import write_enhanced
from tests.phantom.study import SeriesSpec, WrittenStudy, write_series, write_study
from tests.waiting import WAIT_SECONDS
from totalmap.engine.tasks import load_task
from totalmap.settings import USUAL_RESULTS, Variant

(FAST_MODEL,) = load_task("total", Variant.FAST).models

REPORTS = {"status.json", "metadata.json"}
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
# The quality rules reject labels of random networks; they are delivered here.
DELIVER_REJECTED = {"TOTALMAP_QUALITY__REJECTED": "deliver"}
NOTE = "results/rejection.dcm"
PAGES = {f"results/preview/page_{n}.dcm" for n in range(1, 9)}  # as many as are needed


class Finished:
    """The exit status, the output and the files of a run."""

    def __init__(self, process: subprocess.CompletedProcess[str], output: Path) -> None:
        self.exit_status = process.returncode
        self.text = process.stdout + process.stderr
        self.output = output

    @property
    def status(self) -> Any:
        return json.loads((self.output / "status.json").read_text())

    @property
    def metadata(self) -> Any:
        return json.loads((self.output / "metadata.json").read_text())

    @property
    def files(self) -> set[str]:
        files = (path for path in self.output.rglob("*") if path.is_file())
        return {path.relative_to(self.output).as_posix() for path in files} - {NOTE}

    def fails_with(self, exit_status: int, kind: str, message: str) -> None:
        """Checks that the run failed with one clear line and left the two reports only."""
        assert self.exit_status == exit_status, self.text
        assert self.files == REPORTS
        status = self.status
        assert status["outcome"] == "failed"
        assert status["results"] == []
        assert status["error"]["kind"] == kind
        assert status["error"]["exit_status"] == exit_status
        assert re.search(message, status["error"]["message"])
        assert "\n" not in status["error"]["message"]
        metadata = self.metadata
        assert metadata["outcome"] == "failed"
        assert metadata["exception"] == kind
        assert metadata["exception_message"] == status["error"]["message"]
        assert metadata["exit_status"] == exit_status
        assert metadata["results"] == 0
        assert "Traceback" not in self.text


def command(source: Path, output: Path, models: Path) -> list[str]:
    words = [sys.executable, "-m", "app", "-i", source, "-o", output, "-m", models]
    return [str(word) for word in words]


def run(source: Path, output: Path, models: Path, **environment: str) -> Finished:
    process = subprocess.run(
        command(source, output, models),
        cwd=REPOSITORY,
        env=os.environ
        | DELIVER_REJECTED
        | {"TOTALMAP_RESULTS__KINDS": "[seg, nifti]"}
        | environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    return Finished(process, output)


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


def test_a_run_needs_no_network(study: WrittenStudy, fast_models: Path, tmp_path: Path) -> None:
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


# Bad input: each run ends with one clear line, its exit status and the reports, without results.


def test_an_empty_input_folder_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    run(source, tmp_path / "out", fast_models).fails_with(65, "InputError", "no DICOM instance")


def test_a_missing_input_folder_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    done = run(tmp_path / "none", tmp_path / "out", fast_models)
    done.fails_with(65, "InputError", "the input does not exist")


def test_a_study_without_images_ends_the_run_with_status_65(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    done = run(study.dose_report.parent, tmp_path, fast_models)
    done.fails_with(65, "NoSuitableSeries", "none of 1 series can be segmented: no images")


def test_a_study_of_a_localizer_only_ends_the_run_with_status_65(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    done = run(study.localizer.folder, tmp_path, fast_models)
    done.fails_with(65, "NoSuitableSeries", "a localizer")
    assert done.status["series"][0]["reason"] == "a localizer (scout view) (image type LOCALIZER)"


def test_a_text_file_named_dcm_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "image.dcm").write_text("not DICOM at all, though long enough to hold a preamble" * 9)
    done = run(source, tmp_path / "out", fast_models)
    done.fails_with(65, "InputError", "1 files are not DICOM")


def test_a_truncated_instance_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    written = write_series(tmp_path / "in", 5, SeriesSpec(rows=32, columns=32, n_slices=12))
    path = written.paths[4]
    path.write_bytes(path.read_bytes()[:-700])
    done = run(tmp_path / "in", tmp_path / "out", fast_models)
    done.fails_with(65, "NoSuitableSeries", r"1 of 12 images can't be used: file 5 \(….*\) \(its")


def test_a_missing_models_folder_ends_the_run_with_status_66(
    study: WrittenStudy, tmp_path: Path
) -> None:
    done = run(study.folder, tmp_path / "out", tmp_path / "no-models")
    done.fails_with(66, "ModelError", "no-models does not exist")


def test_a_changed_checkpoint_ends_the_run_with_status_66(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(fast_models, tmp_path / "models")
    with (models / FAST_MODEL.checkpoint).open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(b"\0")
    done = run(study.folder, tmp_path / "out", models)
    done.fails_with(66, "ModelError", "was changed: its SHA-256 is")


def test_a_misspelt_setting_ends_the_run_with_status_64(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    done = run(study.folder, tmp_path, fast_models, TOTALMAP_SEGMENTATION__VARIENT="full")
    done.fails_with(64, "ConfigError", r"segmentation\.varient")


def test_an_output_folder_that_can_not_be_written_ends_the_run_with_status_64(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    done = run(study.folder, tmp_path / "file" / "out", fast_models)
    assert done.exit_status == 64, done.text
    assert "out can't be written" in done.text
    assert (tmp_path / "file").read_text() == "mine"


def test_an_incomplete_installation_ends_the_run_with_status_70(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "packages" / "holoscan"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libcudart.so.13: cannot open')")
    done = run(study.folder, tmp_path / "out", fast_models, PYTHONPATH=str(broken.parent))
    done.fails_with(70, "InternalError", r"incomplete: libcudart\.so\.13")


@pytest.mark.parametrize("inside", [".", "results"])
def test_an_input_inside_the_output_folder_is_refused_and_kept(
    fast_models: Path, tmp_path: Path, inside: str
) -> None:
    source = tmp_path / inside
    written = write_series(source, 5, SeriesSpec(rows=16, columns=16, n_slices=12))
    done = run(source, tmp_path, fast_models)
    assert done.exit_status == 64
    assert "lies in the output folder" in done.text
    assert all(path.exists() for path in written.paths)


def test_a_full_disk_ends_the_run_with_status_75_and_leaves_reports_only(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:  # room for the reports and no results
        done = run(study.folder, disk, fast_models)
        done.fails_with(75, "ResourceError", "No space left on device")


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_results_and_can_be_repeated(
    study: WrittenStudy, fast_models: Path, tmp_path: Path, signal_number: signal.Signals
) -> None:
    process = subprocess.Popen(
        command(study.folder, tmp_path, fast_models),
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "series_selected" in line:  # networks are not even loaded
            break
    process.send_signal(signal_number)
    process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode != 0
    assert not (tmp_path / "results").exists()
    assert not list(tmp_path.rglob("*.dcm"))

    again = run(study.folder, tmp_path, fast_models)
    assert again.exit_status == 0
    assert again.files == REPORTS | {"results/seg.dcm", "results/labels.nii.gz"}


def test_a_rough_task_that_finds_nothing_gives_results_without_seg(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 1, SeriesSpec(rows=24, columns=20, n_slices=10))
    models = build_walk(tmp_path / "models", load_task("lung_nodules"))  # find what is stained
    finished = run(
        tmp_path / "in", tmp_path / "out", models, TOTALMAP_SEGMENTATION__TASK="lung_nodules"
    )
    assert finished.exit_status == 0, finished.text
    assert finished.files == REPORTS | {"results/labels.nii.gz"}
    status = finished.status
    assert status["structures"] == []
    assert any("lung_upper_lobe_left" in warning for warning in status["warnings"])
    assert status["model"]["variant"] == "full"
    assert status["model"]["engine"] == "totalmap"


def test_a_licensed_task_without_a_licence_ends_the_run_with_status_66(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 1, SeriesSpec(rows=24, columns=20, n_slices=10))
    finished = run(
        tmp_path / "in", tmp_path / "out", tmp_path, TOTALMAP_SEGMENTATION__TASK="tissue_types"
    )
    finished.fails_with(66, "ModelError", "tissue_types needs a licence")

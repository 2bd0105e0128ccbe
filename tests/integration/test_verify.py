"""`totalmap trace` and `totalmap verify` on a result of a real run."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.networks import build_models
from tests.phantom.study import SeriesSpec, write_series
from tests.results import result_in
from totalmap.settings import Variant

# One tile of the network.
SPEC = SeriesSpec(
    rows=24, columns=24, n_slices=24, slice_spacing_mm=6.0, pixel_spacing_mm=(7.5, 7.5)
)


@dataclass(frozen=True)
class Made:
    """A study, its results, and the settings of the run."""

    source: Path
    seg: Path
    settings: Path
    models: Path


def totalmap(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *map(str, words)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def verified(seg: Path, made: Made, *, models: Path | None = None) -> tuple[int, str]:
    done = totalmap(
        *("verify", seg, "--source", made.source),
        *("-m", models or made.models, "--config", made.settings),
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, fast_models: Path) -> Made:
    folder = tmp_path_factory.mktemp("verify")
    write_series(folder / "study", 5, SPEC)
    return make(folder, folder / "study", fast_models)


def make(folder: Path, source: Path, models: Path) -> Made:
    """Segments a study with the settings of app.yaml; SEG is the only kind of result."""
    settings = yaml.safe_load((REPOSITORY / "app.yaml").read_text())
    settings["results"]["kinds"] = ["seg"]
    (folder / "app.yaml").write_text(yaml.safe_dump(settings))
    out = folder / "out"
    done = totalmap("run", source, out, "--models", models, "--config", folder / "app.yaml")
    assert done.returncode == 0, done.stderr
    seg = result_in(out, "seg.dcm")
    return Made(source, seg, folder / "app.yaml", models)


def test_trace_prints_the_origin_of_a_result(made: Made) -> None:
    done = totalmap("trace", made.seg)
    assert done.returncode == 0, done.stderr
    for expected in ("total, variant fast", "Dataset297", "24 instances", "AI result, unverified"):
        assert expected in done.stdout
    as_json = json.loads(totalmap("trace", made.seg, "--json").stdout)
    assert len(as_json["instances"]) == SPEC.n_slices
    assert len(as_json["origin"]["weights"]) == 1


def test_verify_reproduces_a_result(made: Made) -> None:
    status, text = verified(made.seg, made)
    assert status == 0, text
    assert "The same" in text


def test_verify_reproduces_a_result_with_repaired_uids(fast_models: Path, tmp_path: Path) -> None:
    """Repaired copies of the source lie beside the results and are not reproduced."""
    for path in write_series(tmp_path / "study", 5, SPEC).paths:
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = ""
        dataset.save_as(path)
    made = make(tmp_path, tmp_path / "study", fast_models)
    status, text = verified(made.seg, made)
    assert status == 0, text


def test_verify_names_a_changed_attribute_without_its_value(made: Made, tmp_path: Path) -> None:
    seg = pydicom.dcmread(made.seg)
    seg.PatientID = "changed-4711"
    seg.save_as(tmp_path / "seg.dcm")
    status, text = verified(tmp_path / "seg.dcm", made)
    assert status == 1
    assert "Patient ID differs" in text
    assert "changed-4711" not in text


def test_verify_detects_other_weights(made: Made, tmp_path: Path) -> None:
    other = build_models(tmp_path / "models", Variant.FAST, base_features=8)
    status, text = verified(made.seg, made, models=other)
    assert status == 1
    assert "weights" in text


def test_verify_detects_other_settings_without_a_run(made: Made, tmp_path: Path) -> None:
    text = made.settings.read_text().replace("max_gap_mm: 10.0", "max_gap_mm: 11.0")
    settings = tmp_path / "app.yaml"
    settings.write_text(text)
    done = totalmap("verify", made.seg, "--source", made.source, "--config", settings)
    assert done.returncode == 1
    assert "other settings" in done.stdout
    assert "Segmenting" not in done.stdout


def test_verify_refuses_another_study_as_source(made: Made, tmp_path: Path) -> None:
    write_series(tmp_path / "other", 6, SPEC)
    done = totalmap("verify", made.seg, "--source", tmp_path / "other", "--config", made.settings)
    assert done.returncode == 65
    assert "holds none of the 24 instances" in done.stderr
    shutil.rmtree(tmp_path / "other")


def test_run_and_verify_take_the_same_options(
    made: Made, fast_models: Path, tmp_path: Path
) -> None:
    out, options = tmp_path / "out", ("--device", "cpu", "--structures", "liver,spleen")
    where = ("-m", fast_models, "-c", made.settings)
    done = totalmap("run", made.source, out, *where, *options)
    assert "fastest" in done.stdout, "a restriction to structures asks for a rough network"
    assert done.returncode == 66
    assert f"models install total --variant fastest -m {fast_models}" in done.stdout
    other = totalmap("verify", made.seg, "--source", made.source, *where, "--structures", "liver")
    assert other.returncode == 1
    assert "it was made with other settings" in other.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--variant", "fasst"), "variant 'fasst' is not one of full, fast, fastest, did you mean"),
        (("--task", "toal"), "did you mean total"),
        (("--structures", "livr"), "'livr', did you mean liver"),
        (("--device", "cdua"), "device 'cdua' is not one of auto, cpu, cuda, did you mean cuda"),
    ],
)
def test_run_refuses_a_misspelt_value_of_an_option_and_names_the_nearest_one(
    made: Made, tmp_path: Path, options: tuple[str, str], said: str
) -> None:
    done = totalmap("run", made.source, tmp_path, "-c", made.settings, *options)
    assert done.returncode == 64, done.stdout
    assert said in done.stdout
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["error"]["exit_status"] == 64

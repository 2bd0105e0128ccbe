"""Tests the application that keeps its networks loaded between studies."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from app.run_study import RunOutcome, RunRequest, run_application
from app.warm_application import WarmApplication
from tests.networks import build_models
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from totalmap.errors import ConfigError, ModelError
from totalmap.settings import Variant

SMALL = SeriesSpec(rows=30, columns=30, n_slices=24, pixel_spacing_mm=(4.5, 4.5))
# Of what is written, they alone say when.
DATED = ("status.json", "metadata.json")


@dataclass
class Stages:
    """Records the progress of a run."""

    names: list[str] = field(default_factory=list)

    def stage_started(self, stage: str) -> None:
        self.names.append(stage)

    def progress(self, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[WrittenSeries]:
    folder = tmp_path_factory.mktemp("series")
    return [write_series(folder / str(n), n, SMALL) for n in range(2)]


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return write_settings(tmp_path / "app.yaml")


def write_settings(path: Path, **segmentation: object) -> Path:
    sections = {
        "segmentation": {"variant": "fast", "device": "cpu", **segmentation},
        "results": {"kinds": ["seg", "csv"]},
    }
    path.write_text(yaml.safe_dump(sections))
    return path


def request(written: WrittenSeries, out: Path, settings: Path, models: Path) -> RunRequest:
    return RunRequest(
        input_path=written.folder, output_folder=out, models_folder=models, settings_file=settings
    )


def written(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in DATED
    }


def loads(capsys: pytest.CaptureFixture[str]) -> int:
    """Returns the number of networks that were loaded since the last call."""
    said = capsys.readouterr()
    return (said.out + said.err).count("model_verified")


def succeeded(outcome: RunOutcome) -> bool:
    assert outcome.error is None, outcome.error
    return True


def test_a_warm_application_loads_networks_once_and_gives_the_results_of_a_new_process(
    series: list[WrittenSeries],
    fast_models: Path,
    settings_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cold = [tmp_path / f"cold-{n}" for n in range(2)]
    for source, out in zip(series, cold, strict=True):
        assert succeeded(run_application(request(source, out, settings_file, fast_models)))
    assert loads(capsys) == 2
    warm = WarmApplication()
    warm.warm_up(settings_file, fast_models)
    assert loads(capsys) == 1
    for n in (0, 1, 0):
        stages = Stages()
        out = tmp_path / "warm"
        assert succeeded(warm.run(request(series[n], out, settings_file, fast_models), stages))
        assert written(out) == written(cold[n])
        assert len(written(out)) >= 2
        assert stages.names[:2] == ["read_study", "select_series"]
    assert loads(capsys) == 0


def test_other_settings_or_models_make_a_warm_application_load_its_networks_again(
    fast_models: Path,
    settings_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    warm = WarmApplication()
    others = build_models(tmp_path / "models", Variant.FAST, base_features=2)
    other = write_settings(tmp_path / "other.yaml", memory_short="refuse")
    capsys.readouterr()
    for settings, models, expected in (
        (settings_file, fast_models, 1),
        (settings_file, fast_models, 0),
        (other, fast_models, 1),
        (other, others, 1),
        (settings_file, fast_models, 1),
    ):
        warm.warm_up(settings, models)
        assert loads(capsys) == expected


def test_a_failed_run_keeps_the_networks_of_a_warm_application_loaded(
    series: list[WrittenSeries],
    fast_models: Path,
    settings_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    warm = WarmApplication()
    warm.warm_up(settings_file, fast_models)
    capsys.readouterr()
    (tmp_path / "empty").mkdir()
    empty = RunRequest(
        input_path=tmp_path / "empty",
        output_folder=tmp_path / "out",
        models_folder=fast_models,
        settings_file=settings_file,
    )
    assert warm.run(empty).exit_status == 65
    assert succeeded(warm.run(request(series[0], tmp_path / "out", settings_file, fast_models)))
    assert loads(capsys) == 0


def test_a_warm_application_reports_what_it_could_not_load_and_tries_it_again(
    series: list[WrittenSeries], fast_models: Path, settings_file: Path, tmp_path: Path
) -> None:
    warm = WarmApplication()
    with pytest.raises(ModelError):
        warm.warm_up(settings_file, tmp_path / "no-models")
    with pytest.raises(ConfigError, match="tsk"):
        warm.warm_up(write_settings(tmp_path / "wrong.yaml", tsk="total"), fast_models)
    out = tmp_path / "out"
    outcome = warm.run(request(series[0], out, settings_file, tmp_path / "no-models"))
    assert isinstance(outcome.error, ModelError)
    assert succeeded(warm.run(request(series[0], out, settings_file, fast_models)))

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.conftest import DEMO_MODELS
from tests.networks import (
    AROUND_GALLBLADDER,
    GALLBLADDER,
    SEED_WITH_GALLBLADDER,
    build_finder,
)
from tests.phantom.study import SeriesSpec, write_series
from tests.processor import require_bf16
from totalmap.engine.tasks import load_task
from totalmap.engine.weights_manifest import MANIFEST_NAME, read_manifest
from totalmap.settings import Search, Variant

runner = CliRunner()

SMALL = SeriesSpec(rows=96, columns=96, n_slices=60, pixel_spacing_mm=(4.3, 4.3))


def test_models_adopt_records_and_shows_the_hashes(fast_models: Path) -> None:
    (fast_models / MANIFEST_NAME).unlink()
    arguments = ["models", "adopt", str(fast_models), "--source", "random weights for tests"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    (record,) = read_manifest(fast_models).models
    for file in record.files:
        assert file.sha256 in done.output


def test_models_adopt_uses_totalsegmentators_licence_unless_one_is_given(
    fast_models: Path, tmp_path: Path
) -> None:
    models = Path(shutil.copytree(fast_models, tmp_path / "models"))
    (record,) = read_manifest(models).models
    arguments = ["models", "adopt", str(models), "--dataset", record.dataset]
    done = runner.invoke(app, arguments)
    assert f"{record.dataset}: licence Apache-2.0" in done.output
    assert not read_manifest(models).models[0].licence_told
    done = runner.invoke(app, [*arguments, "--licence", "LicenseRef-OurHospital"])
    assert f"{record.dataset}: licence LicenseRef-OurHospital" in done.output


def test_models_install_asks_to_accept_a_restricted_licence(
    tmp_path: Path,
) -> None:
    done = runner.invoke(app, ["models", "install", "brain_aneurysm", "--models", str(tmp_path)])
    assert done.exit_code == 66
    assert "--accept-licence CC-BY-NC-4.0" in done.stderr


def test_models_adopt_fails_with_one_line_and_an_exit_status(tmp_path: Path) -> None:
    done = runner.invoke(app, ["models", "adopt", str(tmp_path)])
    assert done.exit_code == 66
    assert done.stderr.startswith("Error: ")
    assert str(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_models_install_refuses_an_unknown_task(tmp_path: Path) -> None:
    done = runner.invoke(app, ["models", "install", "toal", "-m", str(tmp_path)])
    assert done.exit_code == 64
    assert "toal" in done.stderr


def test_models_adopt_measures_bf16_on_a_study(tmp_path: Path) -> None:
    require_bf16()
    models = Path(shutil.copytree(DEMO_MODELS, tmp_path / "models"))
    study = write_series(tmp_path / "in", 3, SMALL).folder
    done = runner.invoke(app, ["models", "adopt", str(models), "--bf16-on", str(study)])
    assert done.exit_code == 0, done.output
    (record,) = read_manifest(models).models
    assert record.bf16 is not None
    verdict = "is allowed" if record.bf16.is_good else "is refused"
    assert f"bf16 {verdict} with {record.dataset}" in done.output
    assert f"{record.bf16.min_dice:.4f} ({record.bf16.structure})" in done.output


def test_models_adopt_measures_boxes_on_a_study_and_lists_the_dice_of_each_structure(
    tmp_path: Path,
) -> None:
    (part,) = load_task("total", Variant.FULL, ("gallbladder",), Search.BOXES).boxes
    models = tmp_path / "models"
    build_finder(models, part.chain[0], GALLBLADDER)
    build_finder(models, part, part.models[0].label_table.index(GALLBLADDER))
    study = write_series(tmp_path / "in", SEED_WITH_GALLBLADDER, AROUND_GALLBLADDER).folder
    done = runner.invoke(app, ["models", "adopt", str(models), "--boxes-on", str(study)])
    assert done.exit_code == 0, done.output
    (record,) = (record for record in read_manifest(models).models if record.boxes)
    assert record.boxes is not None
    assert list(record.boxes.dice) == ["gallbladder"]
    assert f"boxes are allowed with {record.dataset}: Dice of 1 structures" in done.output
    assert f"  {record.boxes.min_dice:.4f} gallbladder" in done.output


def test_models_adopt_refuses_an_empty_study_for_bf16(fast_models: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = runner.invoke(app, ["models", "adopt", str(fast_models), "--bf16-on", str(empty)])
    assert done.exit_code == 65


def row(output: str, task: str, variant: str) -> list[str]:
    """Returns the cells of a line of the table, after task and variant."""
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines()]
    (cells,) = (cells[2:] for cells in lines if cells[:2] == [task, variant])
    return cells


def listed(*words: object) -> str:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["models", "list", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_models_list_works_without_installed_weights(tmp_path: Path) -> None:
    output = listed("-m", tmp_path / "none")
    assert row(output, "total", "full")[:2] == ["no", ""]
    assert row(output, "heartchambers_highres", "full")[2] == "by licence number"


def test_models_list_counts_installed_and_recorded_networks(fast_models: Path) -> None:
    output = listed("-m", fast_models)
    assert row(output, "total", "fast")[:2] == ["yes", "on record"]
    assert row(output, "lung_vessels", "full")[:2] == ["1 of 2", "on record"]
    assert row(output, "total", "fastest")[:2] == ["no", ""]


def test_models_list_compares_the_hashes_with_verify(fast_models: Path, tmp_path: Path) -> None:
    models = Path(shutil.copytree(fast_models, tmp_path / "models"))
    assert row(listed("-m", models, "--verify"), "total", "fast")[1] == "yes"
    (plans,) = models.glob("Dataset*/*/plans.json")
    plans.write_text(plans.read_text() + "\n")
    assert row(listed("-m", models), "total", "fast")[1] == "on record"
    assert row(listed("-m", models, "--verify"), "total", "fast")[1] == "changed"


def test_models_list_names_weights_that_are_not_on_record(
    fast_models: Path, tmp_path: Path
) -> None:
    models = Path(shutil.copytree(fast_models, tmp_path / "models"))
    (models / MANIFEST_NAME).unlink()
    assert row(listed("-m", models), "total", "fast")[1] == "not on record"


def test_models_shortcuts_shows_which_shortcuts_hold_and_where_that_is_kept(
    fast_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOTALMAP_SEGMENTATION__CACHE_FOLDER", str(tmp_path))
    arguments = ["models", "shortcuts", "total", "--variant", "fast", "-m", str(fast_models)]
    done = runner.invoke(app, [*arguments, "--anew"])
    assert done.exit_code == 0, done.output
    assert "last layer as" in done.stdout
    assert re.search(r"\d+ of \d+ shortcuts hold with .*, \d+ threads, torch ", done.stdout)
    assert f"Kept in {tmp_path / 'totalmap'}" in done.stdout
    monkeypatch.setenv("TOTALMAP_SEGMENTATION__CACHE_FOLDER", "/proc/none")
    done = runner.invoke(app, arguments)
    assert "Not kept: there is no cache folder" in done.stdout

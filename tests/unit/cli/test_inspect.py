import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from tests.phantom.study import WrittenStudy, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 3, size=32, n_slices=20)


def inspected(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["inspect", *map(str, arguments)])


def test_every_series_is_shown_with_its_reason(study: WrittenStudy) -> None:
    done = inspected(study.folder)
    assert done.exit_code == 0
    for expected in (
        "* │ 2 Trunk 3.0 STANDARD",
        "chosen: 20 slices every 3 mm, soft kernel; best of 3 suitable series",
        "ranked 3 of 3: 20 slices every 3 mm, sharp kernel",
        "a localizer (scout view)",
        "no images",
    ):
        assert expected in done.stdout


def test_what_is_left_out_is_counted(study: WrittenStudy, tmp_path: Path) -> None:
    folder = shutil.copytree(study.thin_soft.folder, tmp_path / "in")
    (folder / "notes.txt").write_text("not DICOM")
    content = study.thin_soft.paths[0].read_bytes()
    (folder / "broken.dcm").write_bytes(content[: content.index(b"ORIGINAL") + 4])
    done = inspected(folder)
    assert "1 files are not DICOM: ignored" in done.stdout
    assert "Warning: file broken.dcm begins like DICOM and is broken" in done.stdout


def test_json_holds_the_same(study: WrittenStudy) -> None:
    series = json.loads(inspected(study.folder, "--json").stdout)
    assert [one["chosen"] for one in series] == [True] + [False] * 4
    assert series[0]["series_instance_uid"] == study.thin_soft.series_uid
    assert series[0]["slices"] == 20
    assert all(one["reason"] for one in series)


def test_nothing_to_segment_is_an_exit_status_with_the_table(study: WrittenStudy) -> None:
    done = inspected(study.localizer.folder)
    assert done.exit_code == 65
    assert "a localizer (scout view)" in done.stdout
    assert "Error: none of 1 series can be segmented" in done.stderr


def test_nothing_is_written(study: WrittenStudy) -> None:
    before = sorted(study.folder.rglob("*"))
    inspected(study.folder)
    assert sorted(study.folder.rglob("*")) == before


def test_a_missing_folder(tmp_path: Path) -> None:
    done = inspected(tmp_path / "none")
    assert done.exit_code == 65
    assert "the input does not exist" in done.stderr

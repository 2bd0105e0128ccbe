from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from tests.phantom.study import WrittenSeries
from tests.unit.quality.test_assess_existing_seg import seg_of
from totalmap.segmentation import Segmentation


def checked(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["check", *map(str, arguments)])


@pytest.mark.parametrize("swapped", [False, True])
def test_the_check_command_prints_the_verdict_on_a_seg_and_ends_with_its_status(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path, swapped: bool
) -> None:
    structures = tuple(
        replace(structure, name=_renamed(structure.name)) if swapped else structure
        for structure in true_segmentation.structures
    )
    seg_of(replace(true_segmentation, structures=structures), tmp_path)
    done = checked(tmp_path, "--source", phantom_series.folder)
    if swapped:
        assert done.exit_code == 3
        assert "reject      MIRRORED" in done.stdout
        assert "Verdict: reject" in done.stdout
    else:
        assert done.exit_code in (0, 1)
        assert "Verdict: " in done.stdout
        assert "INCOMPLETE" not in done.stdout
        assert "INCOMPLETE" in checked(tmp_path, "--source", phantom_series.folder, "--all").stdout


def test_the_check_command_refuses_a_folder_without_a_seg(phantom_series: WrittenSeries) -> None:
    done = checked(phantom_series.folder, "--source", phantom_series.folder)
    assert done.exit_code == 65
    assert "holds no SEG object" in done.stderr


def _renamed(name: str) -> str:
    if "_left" in name:
        return name.replace("_left", "_right")
    return name.replace("_right", "_left")

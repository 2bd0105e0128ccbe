import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from cli.agreement_table import shown
from tests.phantom.study import WrittenSeries
from tests.unit.agreement.test_read_nifti_masks import image, two_labels
from tests.unit.quality.test_assess_existing_seg import labelmap_of, seg_of
from tests.unit.writers.rtstruct.test_writer import written_rtstruct
from totalmap.segmentation import Segmentation


def compared(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def results(small_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    seg_of(small_segmentation, folder / "seg")
    labelmap_of(small_segmentation, folder / "labelmap")
    written_rtstruct(small_segmentation, folder / "rtstruct")
    return folder


@pytest.mark.parametrize("other", ["labelmap", "rtstruct"])
def test_the_compare_command_shows_that_two_forms_of_a_result_agree(
    results: Path, small_series: WrittenSeries, other: str
) -> None:
    done = compared(results / "seg", results / other, "--source", small_series.folder)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["Structure", "Dice", "NSD", "3"]
    rows = [line.split() for line in lines if line.startswith(("Heart", "Liver", "Spleen"))]
    assert len(rows) == 3
    assert all(row[1:4] == ["1.00", "1.00", "0"] for row in rows)
    assert "NSD and HD95 as surface-distance 0.1 defines them." in lines


def test_the_compare_command_writes_json_and_csv_and_ends_with_0_whatever_the_agreement(
    tmp_path: Path,
) -> None:
    labels = two_labels()
    a = image(labels, tmp_path / "a.nii.gz")
    b = image((labels == 1).astype("uint8") * 2, tmp_path / "b.nii.gz")
    done = compared(
        a, b, "--overlap-only", "--json", tmp_path / "a.json1", "--csv", tmp_path / "a.csv"
    )
    assert done.exit_code == 0, done.stderr
    assert "NSD" not in done.stdout
    content = json.loads((tmp_path / "a.json1").read_text())
    assert [row["dice"] for row in content["structures"][:2]] == [0.0, 0.0]
    assert (tmp_path / "a.csv").read_text().count("\n") == 1 + len(content["structures"])


def test_the_compare_command_refuses_other_grids_unless_it_may_resample(tmp_path: Path) -> None:
    labels = two_labels()
    a = image(labels, tmp_path / "a.nii.gz")
    b = image(labels[:-1], tmp_path / "b.nii.gz")
    refused = compared(a, b, "--overlap-only")
    assert refused.exit_code == 65
    assert "the grids differ: A has 10 x 9 x 8 voxels" in refused.stderr
    done = compared(a, b, "--overlap-only", "--resample")
    assert done.exit_code == 0
    assert "Note: B: resampled onto the grid of A" in done.stdout


def test_the_compare_command_says_that_an_rtstruct_needs_its_images(results: Path) -> None:
    done = compared(results / "seg", results / "rtstruct")
    assert done.exit_code == 65
    assert "--source" in done.stderr


def test_the_compare_command_tells_which_of_both_results_it_can_not_read(tmp_path: Path) -> None:
    a = image(two_labels(), tmp_path / "a.nii.gz")
    for words, side in (((a, tmp_path / "none"), "B"), ((tmp_path / "none", a), "A")):
        refused = compared(*words)
        assert refused.exit_code == 65
        assert f"Error: {side}: a result to compare does not exist" in refused.stderr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.91249, "0.912"),
        (0.99951, "1.00"),
        (0.012345, "0.0123"),
        (4.5678, "4.57"),
        (45.67, "45.7"),
        (1234.4, "1230"),
        (0.00001234, "1.23e-05"),
    ],
)
def test_numbers_are_shown_with_three_significant_digits(value: float | None, text: str) -> None:
    assert shown(value) == text

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import RULE, segmentation_with, volume_of
from totalmap.errors import OutputError
from totalmap.segmentation import Segmentation
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.measurements_csv import (
    COLUMNS,
    compare_measurements_csv,
    write_measurements_csv,
)


def written_table(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        result = write_measurements_csv(segmentation, release)
        release.publish({})
    return folder / result.path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_has_the_measured_numbers_of_structures(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    rows = rows_of(written_table(true_segmentation, tmp_path))
    assert tuple(rows[0]) == COLUMNS
    for row, found in zip(rows, true_segmentation.found(), strict=True):
        assert int(row["label"]) == found.structure.label
        assert row["name"] == found.structure.name
        assert int(row["voxels"]) == found.voxels
        assert float(row["volume_ml"]) == found.volume_ml
        assert (float(row["mean"]), float(row["sd"])) == (found.mean, found.sd)
        assert int(row["components"]) == found.components
        assert float(row["largest_share"]) == found.largest_share
        assert row["flags"].split() == list(found.limitations)
        assert row["unit"] == "HU"
        assert row["series_instance_uid"] == phantom_series.series_uid
    remarks = [row["remarks"] for row in rows if "incomplete" in row["flags"]]
    assert remarks
    assert all("touches the" in remark for remark in remarks)


def test_csv_has_display_name_codes_and_side_of_a_structure(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    rows = {row["name"]: row for row in rows_of(written_table(true_segmentation, tmp_path))}
    kidney = rows["kidney_left"]
    assert kidney["display_name"] == "Left kidney"
    assert (kidney["code"], kidney["code_meaning"]) == ("SCT:64033007", "Kidney")
    assert (kidney["side"], kidney["region_code"]) == ("left", "")
    assert rows["liver"]["side"] == ""


def test_csv_of_an_mr_has_no_unit(tmp_path: Path) -> None:
    spec = SeriesSpec(rows=34, columns=37, n_slices=4, slice_spacing_mm=6.0, modality="MR")
    written = write_series(tmp_path / "study", 1, spec)
    volume = volume_of(written.folder, rule=RULE.model_copy(update={"modalities": ("MR",)}))
    rows = rows_of(written_table(segmentation_with(volume, written.labels), tmp_path / "out"))
    assert {row["unit"] for row in rows} == {""}


def test_csv_without_structures_has_only_its_header(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    empty = replace(true_segmentation, labels=np.zeros_like(true_segmentation.labels))
    assert written_table(empty, tmp_path).read_text() == ",".join(COLUMNS) + "\n"


def test_same_labels_give_the_same_csv_bytes(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    first, again = (written_table(true_segmentation, tmp_path / name) for name in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_csv_that_differs_from_the_measurements_is_refused() -> None:
    header = ",".join(COLUMNS)
    compare_measurements_csv(f"{header}\n", [])
    with pytest.raises(OutputError, match="differs"):
        compare_measurements_csv(f"{header}\n1,liver\n", [])

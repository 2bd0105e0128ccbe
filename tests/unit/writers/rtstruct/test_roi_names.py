"""Tests that ROI Names differ within the characters that planning systems keep."""

from pathlib import Path

import pydicom
import pytest
from totalsegmentator.map_to_binary import class_map

from tests.conftest import REPOSITORY
from tests.unit.writers.rtstruct.test_writer import written_rtstruct
from totalmap.display_names import known_names
from totalmap.engine.tasks import SUPPORTED_TASKS
from totalmap.result_options import RoiNames
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.rtstruct.roi_names import roi_name, tg263_names

KEPT = 16


@pytest.mark.parametrize("naming", RoiNames)
def test_roi_names_of_each_task_differ_within_16_characters(naming: RoiNames) -> None:
    for task in SUPPORTED_TASKS:
        names = [roi_name(name, naming) for name in class_map[task].values()]
        assert len({name[:KEPT].lower() for name in names}) == len(names), task


def test_roi_names_of_tg263_have_at_most_16_characters() -> None:
    names = [roi_name(name, RoiNames.TG263) for name in known_names()]
    assert max(map(len, names)) <= KEPT
    assert roi_name("hip_left", RoiNames.TG263) == "hip_L"
    assert all(all(word.isalnum() for word in name.split("_")) for name in names)


def test_only_ambiguous_roi_names_of_totalsegmentator_are_shortened() -> None:
    changed = {
        name
        for name in class_map["total"].values()
        if roi_name(name, RoiNames.TOTALSEGMENTATOR) != name
    }
    assert roi_name("gluteus_maximus_left", RoiNames.TOTALSEGMENTATOR) == "gluteu_maximus_L"
    assert len(changed) == 15
    assert not [name for name in changed if len(name) <= KEPT]


def test_primary_names_of_tg263_belong_to_structures_that_we_offer() -> None:
    table = tg263_names()
    assert set(table) <= set(known_names())
    assert list(table) == sorted(table)
    assert len(set(table.values())) == len(table)
    for name, primary in table.items():
        for side, letter in (("left", "L"), ("right", "R")):
            if side in name.split("_"):
                assert primary.endswith(f"_{letter}") or primary.startswith(f"Lung_{letter}")


def test_docs_list_the_structures_of_task_total_without_a_name_of_tg263() -> None:
    docs = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    section = docs.partition("### ROI names")[2].partition("\n## ")[0]
    listed = section.partition("no primary name:")[2]
    without = [name for name in class_map["total"].values() if name not in tg263_names()]
    assert [name.strip(" `.\n") for name in listed.split(",")] == without


def test_rtstruct_has_the_names_of_the_settings_and_describes_them_by_totalsegmentators(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    settings = Settings(results=ResultsSection(rtstruct_names=RoiNames.TG263))
    written = pydicom.dcmread(written_rtstruct(true_segmentation, tmp_path, settings=settings))
    names = {roi.ROIDescription: roi.ROIName for roi in written.StructureSetROISequence}
    assert names["kidney_left"] == "Kidney_L"
    assert names["liver"] == "Liver"
    assert list(names) == [found.structure.name for found in true_segmentation.found()]

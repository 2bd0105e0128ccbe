"""dcmjs and the adapters of cornerstone, on which OHIF is built, read SEG, RTSTRUCT and SR."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.javascript_readers.packages import read_results
from tests.readers import NUMBER_OF_LABEL, NUMBER_OF_ROI
from tests.studies_with_results import (
    SPECS,
    StudyWithResults,
    colour_of,
    rgb_of_cielab,
    write_study_with_results,
)
from totalmap.display_names import display_name
from totalmap.result_options import RoiNames
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.rtstruct.roi_names import roi_name

SEGS = ("SEG", "SEG deflated", "SEG label map")
SAME_COLOUR = 3  # of 255; CIELab, in which a SEG says it, is stored in steps


@pytest.fixture(scope="module", params=SPECS)
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> StudyWithResults:
    """The pixels of a frame fill whole bytes, as they do in images of scanners."""
    folder = tmp_path_factory.mktemp(request.param)
    return write_study_with_results(folder, replace(SPECS[request.param], columns=40))


@pytest.fixture(scope="module")
def read(study: StudyWithResults) -> dict[str, Any]:
    return results_read(study)


def results_read(study: StudyWithResults) -> dict[str, Any]:
    """Returns what read_results.mjs says of the results."""
    return read_results(
        {
            "source": [str(path) for path in study.written.paths],
            "segs": {name: str(study.path(name)) for name in SEGS},
            "structureSet": str(study.path("RTSTRUCT")),
            "report": str(study.path("SR")),
        }
    )


@pytest.mark.parametrize("name", SEGS)
def test_cornerstone_reads_every_voxel_of_a_seg_at_its_place(
    study: StudyWithResults, read: dict[str, Any], name: str
) -> None:
    seg = read["segs"][name]
    label_of = np.zeros(256, dtype=np.uint8)
    for segment in seg["segments"]:
        label_of[segment["number"]] = NUMBER_OF_LABEL.get(segment["label"], 0)
    shape = study.written.labels.shape
    labels = label_of[np.array(seg["labels"])].reshape(shape)
    np.testing.assert_array_equal(labels, study.written.labels)
    assert not seg["overlapping"]


@pytest.mark.parametrize("name", SEGS)
def test_cornerstone_reads_names_codes_and_colours_of_a_seg(
    study: StudyWithResults, read: dict[str, Any], name: str
) -> None:
    segments = {segment["label"]: segment for segment in read["segs"][name]["segments"]}
    names = [one.structure.name for one in study.segmentation.found()]
    assert segments.keys() - {"Background"} == {display_name(name) for name in names}
    for structure in names:
        segment, code = segments[display_name(structure)], structure_code(structure)
        assert rgb_of_cielab(segment["cielab"]) == pytest.approx(code.rgb, abs=SAME_COLOUR)
        assert segment["type"][0]["CodeValue"] == code.type.value


def test_cornerstone_refuses_a_binary_seg_whose_frames_begin_within_a_byte(tmp_path: Path) -> None:
    """PS3.5 8.1.1 has frames follow each other without padding: docs/viewers.md says so."""
    spec = SPECS["axial"]
    assert spec.rows * spec.columns % 8
    segs = results_read(write_study_with_results(tmp_path, spec))["segs"]
    refused = [name for name in SEGS if "PixelData length" in segs[name].get("refused", "")]
    assert refused == ["SEG", "SEG deflated"]


def test_dcmjs_reads_names_colours_and_contours_of_a_structure_set(
    study: StudyWithResults, read: dict[str, Any]
) -> None:
    names = [one.structure.name for one in study.segmentation.found()]
    rois = read["structureSet"]
    assert [roi["name"] for roi in rois] == [
        roi_name(name, RoiNames.TOTALSEGMENTATOR) for name in names
    ]
    assert [tuple(roi["rgb"]) for roi in rois] == [colour_of(name) for name in names]
    contours = {NUMBER_OF_ROI[roi["name"]]: roi["contours"] for roi in rois}
    np.testing.assert_array_equal(study.filled(contours), study.written.labels)


def test_cornerstone_finds_the_measurements_of_an_sr_report(
    study: StudyWithResults, read: dict[str, Any]
) -> None:
    groups = [group["items"] for group in read["report"]["groups"]]
    found = study.segmentation.found()
    for items, one in zip(groups, found, strict=True):
        texts = {item["name"]: item.get("text") for item in items}
        assert texts["Tracking Identifier"] == one.structure.name
        assert texts["Finding"] == structure_code(one.structure.name).type.meaning
        numbers = [(i["name"], i["value"], i["unit"]) for i in items if i.get("value") is not None]
        assert numbers == [
            ("Volume", pytest.approx(one.volume_ml), "mL"),
            ("Attenuation Coefficient", pytest.approx(one.mean), "[hnsf'U]"),
            ("Attenuation Coefficient", pytest.approx(one.sd), "[hnsf'U]"),
        ]


def test_cornerstone_draws_no_measurement_of_an_sr_report(read: dict[str, Any]) -> None:
    """It draws lines and points over images, and a volume is neither: docs/viewers.md says so."""
    assert read["report"]["tools"] == {}

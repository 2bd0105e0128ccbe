"""Readers in Python that are older than NumPy 2 find our labels in SEG and RTSTRUCT."""

import json
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.python_readers.environment import run_reader
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
from totalmap.writers.rtstruct.roi_names import roi_name

SAME_PLACE_MM = 1e-3
SAME_COLOUR = 3  # of 255; CIELab, in which a SEG says it, is stored in steps
LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadStructureSet:
    """What readers found in a structure set.

    Attributes:
        masks: Of dcmrtstruct2nii: an image for each ROI Name.
        rois: Of dicompyler-core: what read_structure_set.py writes of each ROI.
    """

    masks: dict[str, nibabel.Nifti1Image]
    rois: list[dict[str, Any]]


@pytest.fixture(scope="module", params=SPECS)
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> StudyWithResults:
    folder = tmp_path_factory.mktemp(request.param)
    return write_study_with_results(folder, SPECS[request.param])


@pytest.fixture(scope="module")
def read_segs(
    study: StudyWithResults, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, NDArray[Any]]]:
    """What pydicom-seg found in the SEGs, by name of the result."""
    folder = tmp_path_factory.mktemp("segs")
    names = ("SEG", "SEG deflated", "SEG label map")
    run_reader("read_segs.py", folder, *(study.path(name) for name in names))
    return {name: dict(np.load(folder / f"{n}.npz")) for n, name in enumerate(names)}


@pytest.fixture(scope="module")
def read_structure_set(
    study: StudyWithResults, tmp_path_factory: pytest.TempPathFactory
) -> ReadStructureSet:
    folder = tmp_path_factory.mktemp("rois")
    run_reader("read_structure_set.py", folder, study.path("RTSTRUCT"), study.written.folder)
    paths = sorted(folder.glob("mask_*.nii.gz"))
    names = [path.name.removeprefix("mask_").removesuffix(".nii.gz") for path in paths]
    return ReadStructureSet(
        masks=dict(zip(names, map(nibabel.load, paths), strict=True)),
        rois=json.loads((folder / "dicompyler.json").read_text()),
    )


@pytest.mark.parametrize("name", ["SEG", "SEG deflated"])
def test_pydicom_seg_reads_every_voxel_of_a_seg_at_its_place(
    study: StudyWithResults, read_segs: dict[str, dict[str, NDArray[Any]]], name: str
) -> None:
    read = read_segs[name]
    label_of = [0, *(NUMBER_OF_LABEL[label] for label in read["names"])]
    labels = np.array(label_of, dtype=np.uint8)[read["labels"]]
    origin = tuple(read["origin_mm"].tolist())
    np.testing.assert_array_equal(study.placed(labels, origin), study.written.labels)
    axes = read["direction"] * read["spacing_mm"]
    np.testing.assert_allclose(axes, study.written.affine_lps[:3, :3], atol=SAME_PLACE_MM)


def test_pydicom_seg_reads_names_colours_and_source_of_a_seg(
    study: StudyWithResults, read_segs: dict[str, dict[str, NDArray[Any]]]
) -> None:
    read = read_segs["SEG"]
    found = study.segmentation.found()
    assert list(read["numbers"]) == list(range(1, len(found) + 1))
    assert list(read["names"]) == [display_name(one.structure.name) for one in found]
    voxels = [np.count_nonzero(study.written.labels == one.structure.label) for one in found]
    assert list(read["alone"]) == voxels
    for cielab, one in zip(read["cielab"], found, strict=True):
        assert rgb_of_cielab(cielab) == pytest.approx(
            colour_of(one.structure.name), abs=SAME_COLOUR
        )
    assert read["series"] == study.written.series_uid
    assert set(read["instances"]) <= set(study.written.sop_uids)


def test_pydicom_seg_refuses_a_label_map(
    read_segs: dict[str, dict[str, NDArray[Any]]],
) -> None:
    """It is older than the SOP class: docs/viewers.md says so."""
    assert "not a DICOM-SEG" in str(read_segs["SEG label map"]["refused"])


def test_dcmrtstruct2nii_draws_the_labels_of_a_structure_set_voxel_by_voxel(
    study: StudyWithResults, read_structure_set: ReadStructureSet
) -> None:
    labels = np.zeros_like(study.written.labels)
    for name, image in read_structure_set.masks.items():
        affine = LPS_OF_RAS @ image.affine
        np.testing.assert_allclose(affine, study.written.affine_lps, atol=SAME_PLACE_MM)
        mask = np.asarray(image.dataobj).T > 0
        assert not labels[mask].any(), "masks overlap"
        labels[mask] = NUMBER_OF_ROI[name]
    np.testing.assert_array_equal(labels, study.written.labels)


def test_dicompyler_reads_names_colours_and_contours_of_a_structure_set(
    study: StudyWithResults, read_structure_set: ReadStructureSet
) -> None:
    names = [one.structure.name for one in study.segmentation.found()]
    rois = read_structure_set.rois
    assert [roi["name"] for roi in rois] == [
        roi_name(name, RoiNames.TOTALSEGMENTATOR) for name in names
    ]
    assert [tuple(roi["rgb"]) for roi in rois] == [colour_of(name) for name in names]
    assert {roi["type"] for roi in rois} == {"ORGAN"}
    contours = {NUMBER_OF_ROI[roi["name"]]: map(np.ravel, roi["contours_lps_mm"]) for roi in rois}
    np.testing.assert_array_equal(study.filled(contours), study.written.labels)


def test_dicompyler_gives_each_structure_of_an_axial_ct_the_volume_of_its_voxels(
    study: StudyWithResults, read_structure_set: ReadStructureSet
) -> None:
    """The volume is that of a dose-volume histogram: coronal slices have none there."""
    labels = study.written.labels
    voxel_ml = abs(np.linalg.det(study.written.affine_lps)) / 1000
    for roi in read_structure_set.rois:
        voxels = np.count_nonzero(labels == NUMBER_OF_ROI[roi["name"]])
        is_axial = abs(study.written.spec.normal_lps[2]) == pytest.approx(1.0)
        expected = pytest.approx(voxels * voxel_ml) if is_axial else None
        assert roi["volume_ml"] == expected, roi["name"]

"""OHIF shows every segment and contour of a real CT at its place and in its colour."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from tests.conftest import REAL_DATA
from tests.ohif.viewer import ResultToOpen, Shown, open_results, require_viewer
from tests.segmentations import segmentation_with, volume_of
from tests.servers import running_orthanc
from totalmap.dicom.geometry import from_canonical
from totalmap.display_names import display_name
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.labelmap import write_seg_labelmap
from totalmap.writers.source_with_derived_uids import write_repaired_source

SEGS: dict[str, Callable[[Segmentation, Settings, Release], tuple[Result, ...]]] = {
    "SEG": write_seg,
    "SEG label map": write_seg_labelmap,
}
RTSTRUCT = "RTSTRUCT"
RESULTS = {**SEGS, RTSTRUCT: write_rtstruct}
MARKER = "brain"  # the CT shows an abdomen
SAME_PLACE_MM = 0.05
SAME_COLOUR = 3  # of 255; CIELab, in which a SEG says it, is stored in steps


@pytest.fixture(scope="module")
def segmentation(real_ct: Path) -> Segmentation:
    """TotalSegmentator's own labels, and a marker that no mirror or turn maps to itself."""
    volume = volume_of(real_ct)
    image = nibabel.load(REAL_DATA / "ct_dicom_reference_labels.nii.gz")
    canonical = np.asarray(nibabel.as_closest_canonical(image).dataobj)
    labels = from_canonical(canonical, volume.geometry).copy()
    found = segmentation_with(volume, labels)
    (label,) = (one.label for one in found.structures if one.name == MARKER)
    labels[3:12, 150:210, 300:320] = label
    labels[3:12, 150:165, 300:380] = label
    labels[3:6, 150:165, 360:380] = 0
    return segmentation_with(volume, labels)


@pytest.fixture(scope="module")
def shown(segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What OHIF shows of the results, opened one after the other in one browser."""
    require_viewer()
    folder = tmp_path_factory.mktemp("results")
    with open_release(folder) as release:
        write_repaired_source(segmentation.volume, release)
        results = [write(segmentation, Settings(), release)[0] for write in RESULTS.values()]
        release.publish({})
    headers = [pydicom.dcmread(folder / result.path, stop_before_pixels=True) for result in results]
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        orthanc.stow(*sorted(folder.rglob("*.dcm")))
        return open_results(
            orthanc.url,
            study=headers[0].StudyInstanceUID,
            results={
                name: ResultToOpen(series=header.SeriesInstanceUID, marker=marker_of(name))
                for name, header in zip(RESULTS, headers, strict=True)
            },
        )


def marker_of(result: str) -> str:
    """Returns the label of the marker: segments have display names, ROIs have task names."""
    return MARKER if result == RTSTRUCT else display_name(MARKER)


def test_ohif_opens_all_results_without_an_error(shown: Shown) -> None:
    assert shown.errors == ()


@pytest.mark.parametrize("result", SEGS)
def test_ohif_shows_every_segment_at_its_place_in_its_colour(
    shown: Shown, segmentation: Segmentation, result: str
) -> None:
    segments = shown.segments[result]
    names = {display_name(found.structure.name) for found in segmentation.found()}
    assert names == segments.keys() - {"Background"}
    for found in segmentation.found():
        name, label = display_name(found.structure.name), found.structure.label
        voxels = np.argwhere(segmentation.labels == label)
        centre = segmentation.volume.geometry.positions_lps(voxels).mean(axis=0)
        assert segments[name].voxels == len(voxels), name
        assert segments[name].centre_lps_mm == pytest.approx(centre, abs=SAME_PLACE_MM), name
        rgb = structure_code(found.structure.name).rgb
        assert segments[name].rgb == pytest.approx(rgb, abs=SAME_COLOUR), name


def test_ohif_shows_every_contour_at_its_place_in_its_colour(
    shown: Shown, segmentation: Segmentation
) -> None:
    """Filled, the contours that OHIF draws are our labels, voxel by voxel."""
    segments = shown.segments[RTSTRUCT]
    names = {found.structure.name for found in segmentation.found()}
    assert names == segments.keys()
    for found in segmentation.found():
        name = found.structure.name
        mask = filled(segments[name].contours_lps_mm, segmentation)
        assert segments[name].rgb == structure_code(name).rgb, name
        np.testing.assert_array_equal(mask, segmentation.labels == found.structure.label)


def filled(
    contours_lps_mm: tuple[NDArray[np.float64], ...], segmentation: Segmentation
) -> NDArray[np.bool_]:
    """Returns the voxels (k, j, i) whose centres lie within an odd number of contours."""
    mask = np.zeros(segmentation.labels.shape, dtype=bool)
    to_index = np.linalg.inv(segmentation.volume.geometry.affine_lps)
    for points in contours_lps_mm:
        i, j, k = (points @ to_index[:3, :3].T + to_index[:3, 3]).T
        assert np.ptp(k) < 1e-3
        mask[round(k[0])] ^= polygon2mask(mask.shape[1:], np.stack([j, i], axis=1))
    return mask

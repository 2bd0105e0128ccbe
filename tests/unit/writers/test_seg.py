import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import SegmentationStorage
from totalsegmentator.map_to_binary import class_map

from tests.phantom.study import CORONAL, SAGITTAL, SeriesSpec, WrittenSeries, write_series
from tests.segmentations import segmentation_of
from totalmap.errors import OutputError
from totalmap.segmentation import Segmentation
from totalmap.writers.release import open_release
from totalmap.writers.seg import check_seg, write_seg

SEGIMAGE2ITKIMAGE = Path(sys.executable).with_name("segimage2itkimage")
# Columns that are not a multiple of 8: frames begin in the middle of a byte.
SMALL = SeriesSpec(rows=34, columns=37, n_slices=20, slice_spacing_mm=6.0)


def written_seg(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        result = write_seg(segmentation, release)
        release.publish({})
    return folder / result.path


@pytest.fixture(scope="module")
def seg_path(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_seg(true_segmentation, tmp_path_factory.mktemp("seg"))


def test_one_coded_segment_for_each_structure(
    seg_path: Path, true_segmentation: Segmentation
) -> None:
    seg = pydicom.dcmread(seg_path)
    names = [found.structure.name for found in true_segmentation.found()]
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == names
    by_name = {segment.SegmentLabel: segment for segment in seg.SegmentSequence}
    left = by_name["kidney_left"].SegmentedPropertyTypeCodeSequence[0]
    right = by_name["kidney_right"].SegmentedPropertyTypeCodeSequence[0]
    assert left.CodeValue == right.CodeValue == "64033007"
    assert left.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert right.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    family = by_name["liver"].SegmentationAlgorithmIdentificationSequence[0]
    assert family.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"


def test_it_is_bound_to_the_source(seg_path: Path, phantom_series: WrittenSeries) -> None:
    seg = pydicom.dcmread(seg_path)
    source = pydicom.dcmread(phantom_series.paths[0])
    assert seg.SOPClassUID == SegmentationStorage
    assert seg.SegmentationType == "BINARY"
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "Rows", "Columns"):
        assert seg[keyword].value == source[keyword].value
    referenced = {
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for frame in seg.PerFrameFunctionalGroupsSequence
    }
    assert referenced <= set(phantom_series.sop_uids)
    assert "unverified" in seg.SeriesDescription


def test_highdicom_reads_our_labels(seg_path: Path, true_segmentation: Segmentation) -> None:
    np.testing.assert_array_equal(read_by_highdicom(seg_path), true_segmentation.labels)


def read_by_highdicom(path: Path) -> NDArray[np.uint8]:
    seg = highdicom.seg.segread(path)
    labels = {s.SegmentNumber: label_of(s.SegmentLabel) for s in seg.SegmentSequence}
    numbers = seg.get_pixels_by_source_instance(
        source_sop_instance_uids=[uid for *_, uid in seg.get_source_image_uids()],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
        ignore_spatial_locations=True,
    )
    table = np.zeros(256, dtype=np.uint8)
    table[list(labels)] = list(labels.values())
    return np.asarray(table[numbers])


def label_of(name: str) -> int:
    names: dict[int, str] = class_map["total"]
    return {value: key for key, value in names.items()}[name]


@pytest.mark.parametrize(
    "orientation",
    [
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
        (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0, 0.0, 0.8, -0.6),
        CORONAL,
        SAGITTAL,
    ],
    ids=["axial", "prone", "row to the right", "oblique", "coronal", "sagittal"],
)
def test_dcmqi_reads_our_labels_in_any_orientation(
    tmp_path: Path, orientation: tuple[float, float, float, float, float, float]
) -> None:
    spec = replace(
        SMALL, pixel_spacing_mm=(11.0, 10.0), orientation=orientation, file_order="shuffled"
    )
    segmentation = segmentation_of(write_series(tmp_path / "study", 1, spec))
    path = written_seg(segmentation, tmp_path / "out")
    labels = read_by_dcmqi(path, tmp_path / "dcmqi", segmentation)
    np.testing.assert_array_equal(labels, segmentation.labels)


def read_by_dcmqi(path: Path, folder: Path, segmentation: Segmentation) -> NDArray[np.uint8]:
    """Returns (k, j, i) labels, placed by dcmqi's physical positions and nothing else."""
    folder.mkdir()
    command = [str(SEGIMAGE2ITKIMAGE), "--inputDICOM", str(path)]
    subprocess.run(
        [*command, "--outputDirectory", str(folder), "-t", "nii"], check=True, capture_output=True
    )
    meta = json.loads((folder / "meta.json").read_text())
    to_index = np.linalg.inv(segmentation.volume.geometry.affine_ras)
    labels = np.zeros_like(segmentation.labels)
    for number, (segment,) in enumerate(meta["segmentAttributes"], start=1):
        image = nibabel.load(folder / f"{number}.nii.gz")
        voxels = np.argwhere(np.asarray(image.dataobj) > 0)
        world = nibabel.affines.apply_affine(image.affine, voxels)
        i, j, k = np.rint(nibabel.affines.apply_affine(to_index, world)).astype(int).T
        labels[k, j, i] = label_of(segment["SegmentLabel"])
    return labels


def test_dciodvfy_finds_no_error(seg_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run(["dciodvfy", seg_path], capture_output=True, text=True, check=False)
    findings = done.stderr.splitlines()
    assert findings[0] == "Segmentation", "dciodvfy did not recognise the object"
    assert [line for line in findings if line.startswith("Error")] == []


def test_the_same_labels_give_the_same_uids(
    true_segmentation: Segmentation, seg_path: Path, tmp_path: Path
) -> None:
    first = pydicom.dcmread(seg_path)
    again = pydicom.dcmread(written_seg(true_segmentation, tmp_path / "again"))
    assert again.SOPInstanceUID == first.SOPInstanceUID
    assert again.SeriesInstanceUID == first.SeriesInstanceUID
    labels = true_segmentation.labels.copy()
    labels[labels == 5] = 0
    other = pydicom.dcmread(
        written_seg(replace(true_segmentation, labels=labels), tmp_path / "other")
    )
    assert other.SOPInstanceUID != first.SOPInstanceUID


def test_the_check_notices_a_single_voxel(seg_path: Path, true_segmentation: Segmentation) -> None:
    structures = tuple(found.structure for found in true_segmentation.found())
    seg = pydicom.dcmread(seg_path)
    pixels = bytearray(seg.PixelData)
    pixels[len(pixels) // 2] ^= 0b1000
    seg.PixelData = bytes(pixels)
    with pytest.raises(OutputError, match="differs"):
        check_seg(seg, true_segmentation, structures)


def test_the_check_notices_a_missing_frame(seg_path: Path, true_segmentation: Segmentation) -> None:
    structures = tuple(found.structure for found in true_segmentation.found())
    seg = pydicom.dcmread(seg_path)
    del seg.PerFrameFunctionalGroupsSequence[-1]
    with pytest.raises(OutputError, match="voxels"):
        check_seg(seg, true_segmentation, structures)


def test_nothing_found_is_an_error(true_segmentation: Segmentation, tmp_path: Path) -> None:
    empty = replace(true_segmentation, labels=np.zeros_like(true_segmentation.labels))
    with pytest.raises(OutputError, match="no structure was found"):
        written_seg(empty, tmp_path)
    assert not list(tmp_path.rglob("*.dcm*"))


def test_a_demo_model_does_not_pass_for_totalsegmentator(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    (model,) = true_segmentation.models
    demo = replace(true_segmentation, models=(replace(model, notice="not for patients"),))
    seg = pydicom.dcmread(written_seg(demo, tmp_path))
    assert "DEMO MODEL" in seg.SeriesDescription
    assert "demo model" in seg.SegmentSequence[0].SegmentAlgorithmName

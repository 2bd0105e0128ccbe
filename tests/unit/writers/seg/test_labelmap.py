from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from tests.phantom import write_enhanced
from tests.phantom.study import CORONAL, SAGITTAL, SeriesSpec, WrittenSeries, write_series
from tests.readers import read_by_dcmqi, read_by_highdicom
from tests.segmentations import segmentation_of
from totalmap.errors import OutputError
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.structures import Structure
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.run_lengths import run_lengths
from totalmap.writers.seg.binary import encode_segs
from totalmap.writers.seg.labelmap import (
    compare_seg_labelmap,
    encode_seg_labelmaps,
    write_seg_labelmap,
)

SMALL = SeriesSpec(
    rows=34, columns=37, n_slices=20, slice_spacing_mm=6.0, pixel_spacing_mm=(11.0, 10.0)
)
ORIENTATIONS = {
    "axial": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "upside down": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "oblique": (1.0, 0.0, 0.0, 0.0, 0.8, -0.6),
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
}


def written_labelmap(
    segmentation: Segmentation, folder: Path, settings: Settings | None = None
) -> Path:
    with open_release(folder) as release:
        (result,) = write_seg_labelmap(segmentation, settings or Settings(), release)
        release.publish({})
    return folder / result.path


def structures_of(segmentation: Segmentation) -> tuple[Structure, ...]:
    return tuple(found.structure for found in segmentation.found())


def require_equal(path: Path, written: WrittenSeries, folder: Path) -> None:
    np.testing.assert_array_equal(read_by_highdicom(path, written), written.labels)
    np.testing.assert_array_equal(read_by_dcmqi(path, folder, written), written.labels)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_highdicom_and_dcmqi_read_the_label_map_in_any_orientation(
    tmp_path: Path, orientation: tuple[float, float, float, float, float, float]
) -> None:
    spec = replace(SMALL, orientation=orientation, file_order="shuffled")
    written = write_series(tmp_path / "study", 1, spec)
    path = written_labelmap(segmentation_of(written), tmp_path / "out")
    require_equal(path, written, tmp_path / "dcmqi")


def test_highdicom_and_dcmqi_read_the_label_map_of_a_multi_frame_source(tmp_path: Path) -> None:
    written = write_enhanced(tmp_path / "study", 1, replace(SMALL, file_order="shuffled"))
    path = written_labelmap(segmentation_of(written), tmp_path / "out")
    require_equal(path, written, tmp_path / "dcmqi")


def test_label_map_is_a_series_of_its_own_with_the_same_segments(
    true_segmentation: Segmentation,
) -> None:
    (labelmap,) = (seg.header for seg in encode_seg_labelmaps(true_segmentation, Settings()))
    (binary,) = (seg.header for seg in encode_segs(true_segmentation, Settings()))
    assert labelmap.SeriesInstanceUID != binary.SeriesInstanceUID
    assert labelmap.SOPInstanceUID != binary.SOPInstanceUID
    *segments, background = labelmap.SegmentSequence
    assert background.SegmentNumber == 0
    assert segments == list(binary.SegmentSequence)


def test_same_labels_give_the_same_label_map_bytes(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    first, again = (written_labelmap(true_segmentation, tmp_path / name) for name in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_read_back_notices_a_single_changed_voxel_of_the_label_map(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    path = written_labelmap(true_segmentation, tmp_path)
    seg = pydicom.dcmread(path)
    frames = seg.pixel_array
    frames[5, 3, 4] ^= 1
    seg.PixelData = encapsulate([run_lengths(frame) for frame in frames])
    with pytest.raises(OutputError, match="frame 6 differs"):
        compare_seg_labelmap(seg, true_segmentation, structures_of(true_segmentation))


def test_read_back_notices_a_missing_frame_of_the_label_map(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    seg = pydicom.dcmread(written_labelmap(true_segmentation, tmp_path))
    seg.NumberOfFrames -= 1
    with pytest.raises(OutputError, match="1 slices with labels have no frame"):
        compare_seg_labelmap(seg, true_segmentation, structures_of(true_segmentation))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pydicom_decodes_run_lengths_of_one_and_two_bytes_of_a_label_map(
    dtype: type[np.unsignedinteger],
) -> None:
    frame = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 301)).astype(dtype)
    frame[:, 20:250] = 3
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    dataset.Rows, dataset.Columns = frame.shape
    dataset.BitsAllocated = dataset.BitsStored = frame.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = encapsulate([run_lengths(frame)])
    np.testing.assert_array_equal(dataset.pixel_array, frame)


def test_labels_without_structures_give_no_label_map(true_segmentation: Segmentation) -> None:
    empty = replace(true_segmentation, labels=np.zeros_like(true_segmentation.labels))
    assert encode_seg_labelmaps(empty, Settings()) == ()


def test_label_map_holds_only_the_chosen_structures(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    settings = Settings(results=ResultsSection(seg_structures=("liver", "spleen")))
    path = written_labelmap(true_segmentation, tmp_path, settings)
    expected = np.where(np.isin(phantom_series.labels, [1, 5]), phantom_series.labels, 0)
    np.testing.assert_array_equal(read_by_highdicom(path, phantom_series), expected)

from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.phantom.study import WrittenSeries
from tests.small_study import HEART, LIVER, NAMES
from tests.unit.agreement.random_masks import mask_of
from tests.unit.quality.test_assess_existing_seg import deflated_of, labelmap_of, seg_of
from totalmap.agreement.grids import on_one_grid
from totalmap.agreement.read_seg_masks import NO_IMAGES, THRESHOLD, read_seg_masks
from totalmap.dicom.study import Study
from totalmap.errors import InputError
from totalmap.segmentation import Segmentation


def written_by_highdicom(
    pixels: np.ndarray, kind: str, names: tuple[str, ...], series: WrittenSeries, path: Path
) -> Path:
    """Writes a SEG of (k, j, i) or (k, j, i, segment) pixels."""
    images = [pydicom.dcmread(file) for file in series.paths]
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Neoplasm if name == "tumour" else codes.SCT.Liver,
            algorithm_type="MANUAL",
        )
        for number, name in enumerate(names, start=1)
    ]
    highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=highdicom.UID(),
        series_number=9,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)
    return path


@pytest.mark.parametrize("write", [seg_of, deflated_of, labelmap_of])
def test_the_masks_of_a_written_seg_are_its_labels(
    small_segmentation: Segmentation,
    small_study: Study,
    tmp_path: Path,
    write: Callable[[Segmentation, Path], Path],
) -> None:
    path = write(small_segmentation, tmp_path)
    masks = read_seg_masks([path], small_study)
    for label, name in NAMES.items():
        assert np.array_equal(mask_of(masks, name), small_segmentation.labels == label)
    assert masks.covers_all_slices
    assert masks.notes == ()


def test_structures_that_a_result_of_ours_looked_for_are_named_although_they_are_empty(
    small_segmentation: Segmentation, small_study: Study, tmp_path: Path
) -> None:
    masks = read_seg_masks([seg_of(small_segmentation, tmp_path)], small_study)
    assert len(masks.places) == len(small_segmentation.structures)
    assert not mask_of(masks, "brain").any()


def test_a_seg_without_its_images_has_the_grid_of_its_frames(
    small_segmentation: Segmentation, small_study: Study, tmp_path: Path
) -> None:
    path = seg_of(small_segmentation, tmp_path)
    masks = read_seg_masks([path], None)
    assert masks.geometry.shape == (7, 32, 30)
    assert NO_IMAGES in masks.notes
    whole, extended = on_one_grid(read_seg_masks([path], small_study), masks, resample=False)
    assert np.array_equal(mask_of(whole, "liver"), mask_of(extended, "liver"))
    assert np.array_equal(mask_of(whole, "liver"), small_segmentation.labels == LIVER)


def test_a_fractional_seg_is_read_with_a_threshold_of_one_half(
    small_series: WrittenSeries, small_study: Study, tmp_path: Path
) -> None:
    values = np.zeros(small_series.labels.shape, dtype=np.float32)
    values[3, 2:6, 3:8] = 0.4
    values[4, 2:6, 3:8] = 0.6
    path = written_by_highdicom(
        values, "FRACTIONAL", ("Liver",), small_series, tmp_path / "fractional.dcm"
    )
    masks = read_seg_masks([path], small_study)
    assert np.array_equal(mask_of(masks, "liver"), values > 0.5)
    assert masks.notes == (THRESHOLD,)


def test_segments_that_overlap_keep_all_their_voxels(
    small_series: WrittenSeries, small_study: Study, tmp_path: Path
) -> None:
    pixels = np.zeros((*small_series.labels.shape, 2), dtype=np.uint8)
    pixels[2:8, 4:20, 4:20, 0] = 1
    pixels[5:7, 8:12, 8:24, 1] = 1
    path = written_by_highdicom(
        pixels, "BINARY", ("liver", "tumour"), small_series, tmp_path / "overlap.dcm"
    )
    masks = read_seg_masks([path], small_study)
    assert len(masks.layers) == 2
    for number, name in enumerate(("liver", "tumour")):
        assert np.array_equal(mask_of(masks, name), pixels[..., number] > 0)


def test_segments_with_the_same_name_are_one_structure_and_this_is_said(
    small_series: WrittenSeries, small_study: Study, tmp_path: Path
) -> None:
    pixels = np.zeros((*small_series.labels.shape, 2), dtype=np.uint8)
    pixels[2:4, 4:20, 4:20, 0] = 1
    pixels[3:7, 8:12, 8:24, 1] = 1
    path = written_by_highdicom(
        pixels, "BINARY", ("Liver", "liver"), small_series, tmp_path / "two.dcm"
    )
    masks = read_seg_masks([path], small_study)
    assert np.array_equal(mask_of(masks, "liver"), pixels.any(axis=-1))
    assert masks.notes == ("2 segments name 1 structures: those with the same name were joined",)


def test_a_seg_without_images_whose_frames_have_no_common_distance_needs_its_images(
    small_segmentation: Segmentation, tmp_path: Path
) -> None:
    path = seg_of(small_segmentation, tmp_path)
    seg = pydicom.dcmread(path)
    last = _position(seg.PerFrameFunctionalGroupsSequence[-1])
    last.ImagePositionPatient[2] = float(last.ImagePositionPatient[2]) + 1.3
    seg.save_as(path)
    with pytest.raises(InputError, match="do not show the distance of its slices"):
        read_seg_masks([path], None)


def test_a_seg_of_one_slice_without_images_has_a_grid_of_this_slice(
    small_series: WrittenSeries, tmp_path: Path
) -> None:
    pixels = np.zeros(small_series.labels.shape, dtype=np.uint8)
    pixels[6, 20:24, 20:26] = 1
    path = written_by_highdicom(pixels, "BINARY", (NAMES[HEART],), small_series, tmp_path / "a.dcm")
    masks = read_seg_masks([path], None)
    assert masks.geometry.shape == (1, 32, 30)
    assert np.array_equal(mask_of(masks, "heart")[0], pixels[6] > 0)


def _position(groups: Dataset) -> Dataset:
    item: Dataset = groups.PlanePositionSequence[0]
    return item

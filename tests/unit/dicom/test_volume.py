"""Tests how a selected stack becomes a volume; test_pixels.py tests the decoding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from tests.phantom import write_enhanced
from tests.phantom.study import CORONAL, SeriesSpec, WrittenSeries, write_series
from tests.segmentations import RULE, volume_of, volumes_of
from tests.transfer_syntaxes import transcode
from totalmap.dicom.anonymous_file_names import anonymous_name
from totalmap.errors import (
    IncompleteSeries,
    NoSuitableSeries,
    UnreadableInstance,
)
from totalmap.selection_settings import Criterion
from totalmap.settings import GapPolicy, GeometrySection

SMALL = SeriesSpec(rows=40, columns=36, n_slices=12)
FILL = GeometrySection(gaps=GapPolicy.FILL)


def damage(path: Path) -> None:
    """Spoils the compressed pixels of a file, its header untouched."""
    transcode(path, JPEG2000Lossless)
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\x4f\xff\x51") + 4  # start of codestream, size marker
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)


def test_a_volume_has_the_voxels_slices_and_affine_of_the_phantom(tmp_path: Path) -> None:
    spec = replace(SMALL, orientation=CORONAL, file_order="shuffled", pixel_spacing_mm=(12.0, 9.0))
    written = write_series(tmp_path, 2, spec)
    volume = volume_of(tmp_path)
    np.testing.assert_allclose(volume.geometry.affine_lps, written.affine_lps, atol=1e-4)
    np.testing.assert_array_equal(volume.voxels, written.hu)
    assert volume.voxels.dtype == np.int16
    assert [item.instance.sop_instance_uid for item in volume.slices] == list(written.sop_uids)


def test_a_multi_frame_file_gives_the_same_volume_as_single_files(tmp_path: Path) -> None:
    classic = write_series(tmp_path / "classic", 2, SMALL)
    write_enhanced(tmp_path / "enhanced", 2, replace(SMALL, file_order="shuffled"))
    volume = volume_of(tmp_path / "enhanced")
    np.testing.assert_allclose(volume.geometry.affine_lps, classic.affine_lps, atol=1e-4)
    np.testing.assert_array_equal(volume.voxels, classic.hu)


def test_the_voxels_of_an_mr_series_are_its_stored_values(tmp_path: Path) -> None:
    written = write_series(tmp_path, 2, replace(SMALL, modality="MR", orientation=CORONAL))
    volume = volume_of(tmp_path, rule=RULE.model_copy(update={"modalities": ("MR",)}))
    np.testing.assert_array_equal(volume.voxels, written.hu)
    np.testing.assert_allclose(volume.geometry.affine_lps, written.affine_lps, atol=1e-4)
    assert volume.findings == ()


def test_a_dicom_file_with_damaged_pixels_is_refused_by_its_number(tmp_path: Path) -> None:
    written = write_series(tmp_path, 2, SMALL)
    damage(written.paths[5])
    with pytest.raises(UnreadableInstance, match=r"of file 6 \(…[0-9a-f]{4}\) \(1 of 12 slices\)"):
        volume_of(tmp_path)


def test_slices_with_damaged_pixels_are_left_out_if_gaps_are_filled(tmp_path: Path) -> None:
    written = write_series(tmp_path, 2, SMALL)
    damage(written.paths[5])
    volume = volume_of(tmp_path, FILL)
    assert volume.geometry.slice_steps == pytest.approx([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
    np.testing.assert_array_equal(volume.voxels, np.delete(written.hu, 5, axis=0))
    assert "1 of 12 images can't be used" in volume.findings[0]
    assert anonymous_name(written.paths[5], 6) in volume.findings[0]


def test_a_gap_of_too_many_damaged_slices_is_refused(tmp_path: Path) -> None:
    written = write_series(tmp_path, 2, SMALL)
    for path in written.paths[4:8]:
        damage(path)
    with pytest.raises(IncompleteSeries, match="allows at most 10 mm"):
        volume_of(tmp_path, FILL)


def test_each_selection_rule_gives_a_volume_with_its_own_folder(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    for path in phantom_series.paths:
        dataset = pydicom.dcmread(path)
        dataset.save_as(tmp_path / path.name)
    write_series(tmp_path / "b", 1, replace(phantom_series.spec, number=7, n_slices=20))
    long = RULE.model_copy(update={"name": "long", "rank": (Criterion.MANY_SLICES,)})
    short = RULE.model_copy(update={"name": "short", "max_slices": 30})
    first, second = volumes_of(tmp_path, None, (long, short))
    assert (first.folder, first.voxels.shape[0]) == ("long", 40)
    assert (second.folder, second.voxels.shape[0]) == ("short", 20)


def test_a_series_that_unpacks_to_more_than_the_settings_allow_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, 2, SMALL)
    gigabytes = 12 * 40 * 36 * 2 / 1e9
    with pytest.raises(NoSuitableSeries, match=r"geometry\.max_series_gb allows at most"):
        volume_of(tmp_path, GeometrySection(max_series_gb=0.99 * gigabytes))
    volume_of(tmp_path, GeometrySection(max_series_gb=1.01 * gigabytes))

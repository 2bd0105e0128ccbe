from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian

from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap.dicom.study import read_study
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.source_with_derived_uids import needs_repaired_source, write_repaired_source


def test_a_repaired_copy_of_a_source_names_the_transfer_syntax_that_the_source_lacks(
    tmp_path: Path,
) -> None:
    written = write_series(tmp_path / "in", 2, SeriesSpec(rows=16, columns=16, n_slices=4))
    for path in written.paths:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = ""
        del dataset.file_meta.TransferSyntaxUID
        dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    volume = volume_of(tmp_path / "in")
    with open_release(tmp_path / "out") as release:
        result = write_repaired_source(volume, release)
        release.publish({})
    copy = pydicom.dcmread(min((tmp_path / "out" / result.path).iterdir()))
    assert copy.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    np.testing.assert_array_equal(volume_of(tmp_path / "out" / result.path).voxels, written.hu)


def test_repaired_copies_of_a_source_have_uids_and_the_same_pixels(
    real_ct: Path, tmp_path: Path
) -> None:
    (series,) = read_study(real_ct).series
    volume = volume_of(real_ct)
    assert needs_repaired_source(volume)
    with open_release(tmp_path) as release:
        result = write_repaired_source(volume, release)
        release.publish({})
    (copied,) = read_study(tmp_path / result.path).series
    assert copied.uid == series.uid
    copy = volume_of(tmp_path / result.path)
    assert not needs_repaired_source(copy)
    np.testing.assert_array_equal(copy.voxels, volume.voxels)
    for slice_ in copy.slices:
        dataset = pydicom.dcmread(slice_.instance.path)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID

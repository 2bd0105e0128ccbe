from pathlib import Path

import numpy as np
import pydicom

from tests.segmentations import volume_of
from totalmap.dicom.study import read_study
from totalmap.writers.release import open_release
from totalmap.writers.source import needs_repaired_source, write_repaired_source


def test_copies_have_uids_and_the_same_pixels(real_ct: Path, tmp_path: Path) -> None:
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
    for one in copy.slices:
        dataset = pydicom.dcmread(one.instance.path)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID

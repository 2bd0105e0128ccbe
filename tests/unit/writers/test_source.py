from pathlib import Path

import numpy as np
import pydicom

from totalmap.dicom.study import read_study
from totalmap.dicom.volume import build_volume
from totalmap.writers.release import open_release
from totalmap.writers.source import needs_repaired_source, write_repaired_source


def test_copies_have_uids_and_the_same_pixels(real_ct: Path, tmp_path: Path) -> None:
    (series,) = read_study(real_ct).series
    volume = build_volume(series)
    assert needs_repaired_source(volume)
    with open_release(tmp_path) as release:
        result = write_repaired_source(volume, release)
        release.publish({})
    (copied,) = read_study(tmp_path / result.path).series
    assert copied.uid == series.uid
    copy = build_volume(copied)
    assert not needs_repaired_source(copy)
    np.testing.assert_array_equal(copy.voxels, volume.voxels)
    for instance in copy.instances:
        dataset = pydicom.dcmread(instance.path)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID

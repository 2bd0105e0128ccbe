import numpy as np
import pytest

from tests.phantom.study import WrittenSeries
from totalmap.segmentation import Segmentation


def test_found_counts_what_is_there(
    true_segmentation: Segmentation, phantom_series: WrittenSeries
) -> None:
    found = true_segmentation.found()
    assert [one.structure.label for one in found] == np.unique(phantom_series.labels)[1:].tolist()
    for one in found:
        assert one.voxels == (phantom_series.labels == one.structure.label).sum()
        # 4.375 x 4.375 x 3 mm a voxel.
        assert one.volume_ml == pytest.approx(one.voxels * 4.375 * 4.375 * 3.0 / 1000)

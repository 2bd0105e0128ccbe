"""Gives a small CT and labels for it, in every form that can be compared."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import segmentation_with, volume_of
from totalmap.dicom.study import Study, read_study
from totalmap.segmentation import Segmentation

# Of task total: the names and numbers of structures that are drawn here.
SPLEEN, LIVER, HEART = 1, 5, 51
NAMES = {SPLEEN: "spleen", LIVER: "liver", HEART: "heart"}


def drawn(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns (k, j, i) labels: boxes, one of them with a hole, at no edge and on few slices."""
    labels = np.zeros(shape, dtype=np.uint8)
    labels[3:9, 4:16, 5:20] = LIVER
    labels[4:7, 8:11, 9:13] = 0
    labels[5:10, 18:27, 6:11] = SPLEEN
    labels[6, 20:24, 20:26] = HEART
    return labels


@pytest.fixture(scope="session")
def small_series(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    spec = SeriesSpec(
        rows=32, columns=30, n_slices=14, slice_spacing_mm=4.0, pixel_spacing_mm=(2.0, 2.5)
    )
    return write_series(tmp_path_factory.mktemp("small"), 7, spec)


@pytest.fixture(scope="session")
def small_study(small_series: WrittenSeries) -> Study:
    return read_study(small_series.folder)


@pytest.fixture(scope="session")
def small_segmentation(small_series: WrittenSeries) -> Segmentation:
    volume = volume_of(small_series.folder)
    return segmentation_with(volume, drawn(volume.geometry.shape))

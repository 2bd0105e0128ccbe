"""A segmentation whose labels are the phantom's own, without any network."""

import pytest

from tests.phantom.study import WrittenSeries
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import build_volume
from totalmap.engine.tasks import load_task
from totalmap.segmentation import ModelIdentity, Segmentation
from totalmap.settings import Variant

MODEL = ModelIdentity(
    dataset="Dataset297", sha256="0123456789abcdef" * 4, source="test", licence="none", notice=""
)


@pytest.fixture(scope="session")
def true_segmentation(phantom_series: WrittenSeries) -> Segmentation:
    """What a perfect network would find in `phantom_series`."""
    return segmentation_of(phantom_series)


def segmentation_of(written: WrittenSeries) -> Segmentation:
    (series,) = read_study(written.folder).series
    return Segmentation(
        task="total",
        variant="fast",
        volume=build_volume(series),
        labels=written.labels,
        structures=load_task("total", Variant.FAST).structures,
        models=(MODEL,),
    )

"""Segmentations whose labels are the phantom's own, without any network."""

from tests.phantom.study import WrittenSeries
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import build_volume
from totalmap.engine.tasks import load_task
from totalmap.segmentation import ModelIdentity, Segmentation
from totalmap.settings import Variant

MODEL = ModelIdentity(
    dataset="Dataset297", sha256="0123456789abcdef" * 4, source="test", licence="none", notice=""
)


def segmentation_of(written: WrittenSeries) -> Segmentation:
    """Returns what a perfect network would find in a phantom series."""
    (series,) = read_study(written.folder).series
    return Segmentation(
        task="total",
        variant="fast",
        volume=build_volume(series),
        labels=written.labels,
        structures=load_task("total", Variant.FAST).structures,
        models=(MODEL,),
    )

"""Makes segmentations without a network: the phantom's own labels, or those of a threshold."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.phantom import STAIN_HU
from tests.phantom.study import WrittenSeries
from totalmap.dicom.geometry import canonical_affine_lps, to_canonical, to_equidistant
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.engine.resample import Resample, resample_image
from totalmap.engine.segment import Progress
from totalmap.engine.tasks import Task, load_task
from totalmap.segmentation import InferenceLabels, ModelIdentity, Segmentation
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection, Variant

MODEL = ModelIdentity(
    dataset="Dataset297", sha256="0123456789abcdef" * 4, source="test", licence="none", notice=""
)
TASK = load_task("total", Variant.FAST)
RULE = SelectionRule(min_slices=2, min_coverage_mm=1.0, max_slice_spacing_mm=100.0)


def volumes_of(
    folder: Path,
    geometry: GeometrySection | None = None,
    rules: tuple[SelectionRule, ...] = (RULE,),
) -> tuple[Volume, ...]:
    """Returns the volumes that the application would segment in a folder."""
    policy = geometry or GeometrySection()
    judgement = judge(read_study(folder), SelectionSection(rules=rules), policy)
    return tuple(build_volume(selection, policy) for selection in selected(judgement))


def volume_of(
    folder: Path, geometry: GeometrySection | None = None, rule: SelectionRule = RULE
) -> Volume:
    """Returns the volume that one rule chooses in a folder."""
    (volume,) = volumes_of(folder, geometry, (rule,))
    return volume


def segmentation_of(written: WrittenSeries) -> Segmentation:
    """Returns the segmentation that a perfect network would find in a phantom series."""
    return segmentation_with(volume_of(written.folder), written.labels)


def segmentation_with(volume: Volume, labels: NDArray[np.uint8]) -> Segmentation:
    """Returns labels (k, j, i) as if a network had found them in a volume."""
    on_grid, grid = to_equidistant(labels, volume.geometry)
    return Segmentation(
        task="total",
        variant="fast",
        volume=volume,
        labels=labels,
        inference=InferenceLabels(
            labels=to_canonical(on_grid, grid), affine_lps=canonical_affine_lps(grid)
        ),
        structures=TASK.structures,
        models=(MODEL,),
    )


@dataclass(frozen=True)
class StainFinder:
    """A predictor that labels the stained voxels of a phantom: all above half of the stain's HU.

    Like a network, it gets the image only, without its origin.
    """

    label: int
    spacing_mm: float = TASK.spacing_mm[0]
    identities: tuple[ModelIdentity, ...] = field(default=(MODEL,))
    arithmetic: str = "exact"
    threads: int | None = None
    resample: Resample = resample_image

    @property
    def task(self) -> Task:
        return replace(TASK, spacing_mm=(self.spacing_mm,) * 3)

    def predict(self, image: NDArray[np.generic], progress: Progress) -> NDArray[np.uint8]:
        progress(1, 1)
        return np.where(np.asarray(image) > STAIN_HU / 2, self.label, 0).astype(np.uint8)


def crowded(segmentation: Segmentation) -> Segmentation:
    """Returns all 117 structures of task total as small boxes in the volume of a segmentation."""
    labels = np.zeros_like(segmentation.labels)
    for place, structure in enumerate(TASK.structures):
        row, column = divmod(place, 12)
        labels[10:14, 6 * row + 5 : 6 * row + 10, 6 * column + 5 : 6 * column + 10] = (
            structure.label
        )
    return replace(
        segmentation, labels=labels, inference=replace(segmentation.inference, labels=labels)
    )

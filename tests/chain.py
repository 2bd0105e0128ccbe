"""Segments the stained liver of a phantom, and compares the SEG with the phantom."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.phantom import STAIN_HU
from tests.phantom.study import WrittenSeries
from tests.readers import read_by_dcmqi, read_by_highdicom
from tests.segmentations import RULE, StainFinder, volume_of
from totalmap.dicom.volume import Volume
from totalmap.engine.segment import segment
from totalmap.run_log import SilentObserver
from totalmap.selection_settings import SelectionRule
from totalmap.settings import GapPolicy, GeometrySection, Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg

LIVER = 5
FILL = GeometrySection(gaps=GapPolicy.FILL, max_gap_mm=30.0)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The mask that other software reads from our SEG, compared with the pixels of the source."""

    volume: Volume
    dice_highdicom: float
    dice_dcmqi: float
    off_mm: float  # distance between the centres of mass of the mask and of the true liver


def carried(
    written: WrittenSeries,
    folder: Path,
    *,
    source: Path | None = None,
    spacing_mm: float = 3.0,
    geometry: GeometrySection = FILL,
    rule: SelectionRule = RULE,
) -> Carried:
    """Segments a phantom series with a predictor that finds the stained liver, and writes a SEG.

    Args:
        written: The series, with its true values.
        folder: The folder for the SEG.
        source: The study to read; None: the folder of the series.
        spacing_mm: The resolution of the predictor.
    """
    volume = volume_of(source or written.folder, geometry, rule)
    segmentation = segment(volume, (StainFinder(LIVER, spacing_mm),), SilentObserver().progress)
    with open_release(folder) as release:
        (result,) = write_seg(segmentation, Settings(), release)
        release.publish({})
    truth = written.hu > STAIN_HU / 2
    assert truth.sum() > 100, "no stained voxels are in view, so the comparison would prove nothing"
    by_highdicom = read_by_highdicom(folder / result.path, written) == LIVER
    by_dcmqi = read_by_dcmqi(folder / result.path, folder / "dcmqi", written) == LIVER
    return Carried(
        volume=volume,
        dice_highdicom=dice(by_highdicom, truth),
        dice_dcmqi=dice(by_dcmqi, truth),
        off_mm=float(np.linalg.norm(centre(by_highdicom, written) - centre(truth, written))),
    )


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def centre(mask: NDArray[np.bool_], written: WrittenSeries) -> NDArray[np.float64]:
    """Returns the centre of mass of a mask in mm, LPS."""
    k, j, i = np.nonzero(mask)
    index = np.stack([i, j, np.array(written.spec.steps)[k], np.ones(len(k))])
    position: NDArray[np.float64] = (written.affine_lps @ index)[:3].mean(axis=1)
    return position

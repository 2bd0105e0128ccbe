"""What another network of another resolution would find: the same body, its borders drawn anew."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.engine.second_opinion import opinions
from totalmap.finding import Finding
from totalmap.quality.assess import disagreements
from totalmap.segmentation import Confidence, InferenceLabels

from .labelled_scans import Scan

# Root mean square of how far a border lies from where the other network draws it, and over which
# distance that changes. On the real CT with the finest grid, structures above 1 mL agree then by a
# Dice of 0.91 in the median and of 0.79 at least; measured between 1.5 and 3 mm: 0.93 and 0.81
# (shared/design/quality.md, section 3). On grids of 3 to 5 mm, rounding hides most of it.
BORDER_MM = 1.25
SMOOTH_MM = 8.0


def drawn_anew(scan: Scan, seed: int) -> Scan:
    """Returns a scan with the labels of another network that sees the same body rightly."""
    chance = np.random.default_rng(seed)
    spacing = scan.geometry.spacing_mm[::-1]
    places = [
        axis + _bumps(scan.labels.shape, spacing, chance) / mm
        for axis, mm in zip(np.indices(scan.labels.shape, dtype=np.float32), spacing, strict=True)
    ]
    return scan.with_labels(
        ndimage.map_coordinates(scan.labels, np.stack(places), order=0, mode="nearest")
    )


def disagreements_of(scan: Scan, other: Scan, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Returns what a second opinion adds.

    Args:
        scan: What one network found.
        other: What another one found on the same grid.
        findings: What the rules say of `scan`.
    """
    cut = {one.structure for one in findings if one.structure and one.code == "INCOMPLETE"}
    one, two = (
        InferenceLabels(labels=each.labels.transpose(2, 1, 0), affine_lps=each.geometry.affine_lps)
        for each in (scan, other)
    )
    agreement = opinions(one, two, scan.structures)
    return disagreements(Confidence(margins=(), opinions=agreement), cut)


def _bumps(
    shape: tuple[int, ...], spacing: tuple[float, ...], chance: np.random.Generator
) -> NDArray[np.float32]:
    """Returns smooth random distances in mm along one axis."""
    noise = chance.standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, [SMOOTH_MM / mm for mm in spacing])
    bumps: NDArray[np.float32] = smooth * (BORDER_MM / np.sqrt(3.0) / smooth.std())
    return bumps

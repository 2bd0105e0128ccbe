"""Makes scans with labels: parts of the phantom's body, and two real CTs."""

from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from tests.phantom import Anatomy
from tests.phantom.drawing import LABELS
from totalmap.dicom.geometry import LPS_TO_RAS, Affine, Geometry, to_canonical
from totalmap.finding import Finding
from totalmap.measure.label_statistics import label_statistics
from totalmap.quality.plausibility.assess_plausibility import assess_plausibility
from totalmap.structures import Structure

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "totalsegmentator-example"
FIELD_OF_VIEW_MM = 420.0
CENTRE_XY_MM = (0.0, 10.0)


class View(Enum):
    """The part of the phantom in view: lower and upper end in mm, from feet to head."""

    TRUNK = (-195.0, 525.0)
    CHEST = (180.0, 500.0)
    ABDOMEN = (20.0, 310.0)
    ABDOMEN_AND_PELVIS = (-195.0, 260.0)
    REAL = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Labels (k, j, i) with the numbers of task `total`, and the values of their voxels.

    Attributes:
        looked_for: The structures that a perfect network would find; the phantom has no bowel.
    """

    labels: NDArray[np.uint8]
    values: NDArray[np.int16]
    geometry: Geometry
    view: View
    looked_for: frozenset[str]

    @property
    def structures(self) -> tuple[Structure, ...]:
        """The structures of `looked_for` with their labels."""
        return tuple(Structure(label=LABELS[name], name=name) for name in sorted(self.looked_for))

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Returns the mask of a structure."""
        mask: NDArray[np.bool_] = self.labels == LABELS[name]
        return mask

    def has(self, *names: str) -> bool:
        """Returns whether all these structures have voxels."""
        return all(self.mask(name).any() for name in names)

    def with_labels(self, labels: NDArray[np.uint8]) -> "Scan":
        """Returns the same scan with other labels."""
        return replace(self, labels=labels)


def findings_of(scan: Scan) -> tuple[Finding, ...]:
    """Returns the findings of the rules on a scan."""
    inference = to_canonical(scan.labels, scan.geometry)
    table = label_statistics(scan.labels, scan.values, scan.geometry, inference)
    return assess_plausibility(table, scan.structures, is_hu=True)


def phantom_scan(
    seed: int,
    view: View = View.TRUNK,
    *,
    spacing_mm: float = 4.0,
    moved: Affine | None = None,
    geometry: Geometry | None = None,
) -> Scan:
    """Returns a scan of a random body.

    Args:
        moved: (4, 4), moves the body: it maps scanner coordinates to body coordinates, mm in LPS.
        geometry: The grid of the voxels; None: axial slices of cubic voxels.
    """
    geometry = axial(view, spacing_mm) if geometry is None else geometry
    affine = geometry.affine_lps if moved is None else moved @ geometry.affine_lps
    values, labels = Anatomy.random(seed).sample(affine, geometry.shape)
    return Scan(
        labels=labels, values=values, geometry=geometry, view=view, looked_for=painted_names()
    )


def axial(view: View, spacing_mm: float, field_mm: float = FIELD_OF_VIEW_MM) -> Geometry:
    """Returns axial slices, feet to head, of cubic voxels."""
    low, high = view.value
    size = round(field_mm / spacing_mm)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    half = spacing_mm * (size - 1) / 2
    affine[:3, 3] = (CENTRE_XY_MM[0] - half, CENTRE_XY_MM[1] - half, low)
    return Geometry.regular(affine, (round((high - low) / spacing_mm), size, size))


@cache
def painted_names() -> frozenset[str]:
    """Returns the structures that every phantom has."""
    painted = {part.label for part in Anatomy.random(0).parts}
    return frozenset(name for name, label in LABELS.items() if label in painted)


@cache
def real_scans() -> tuple[Scan, ...]:
    """Returns the reference segmentations of shared/data, 90 and 40 mm of a body.

    Raises:
        FileNotFoundError: The data is missing.
    """
    return (
        _real("ct_3mm_small_reference_labels.nii.gz", "ct_3mm_small.nii.gz"),
        _real("ct_dicom_reference_labels.nii.gz", None),
    )


def _real(labels_name: str, values_name: str | None) -> Scan:
    image = nibabel.load(REAL / labels_name)
    labels = np.ascontiguousarray(np.asarray(image.dataobj).T.astype(np.uint8))
    values = np.zeros(labels.shape, np.int16)  # the second CT exists as DICOM only
    if values_name is not None:
        values = np.asarray(nibabel.load(REAL / values_name).dataobj).T.astype(np.int16)
    return Scan(
        labels=labels,
        values=np.ascontiguousarray(values),
        geometry=Geometry.regular(LPS_TO_RAS @ image.affine, labels.shape),
        view=View.REAL,
        looked_for=frozenset(LABELS),
    )

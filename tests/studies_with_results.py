"""Writes small studies with their results, for readers of others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import nibabel
import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.color import lab2rgb
from skimage.draw import polygon2mask

from tests.phantom.study import CORONAL, SeriesSpec, WrittenSeries, write_series
from tests.readers import Labels
from tests.segmentations import segmentation_of
from totalmap.result_options import SegTransferSyntax
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.overlay.writer import write_overlay
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.labelmap import write_seg_labelmap
from totalmap.writers.sr.writer import write_sr

SAME_PLACE = 1e-3  # voxels
# Pixels are not square, and the columns no multiple of 8: frames of a SEG begin within a byte.
AXIAL_SPEC = SeriesSpec(
    rows=34,
    columns=37,
    n_slices=20,
    slice_spacing_mm=6.0,
    pixel_spacing_mm=(11.0, 10.0),
    file_order="shuffled",
)
SPECS: Mapping[str, SeriesSpec] = MappingProxyType(
    {
        "axial": AXIAL_SPEC,
        "prone": replace(AXIAL_SPEC, orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
        "coronal": replace(AXIAL_SPEC, orientation=CORONAL),
    }
)
NATIVE = Settings()
DEFLATED = Settings(results=ResultsSection(seg_transfer_syntax=SegTransferSyntax.DEFLATED))
Write = Callable[[Segmentation, Settings, Release], object]
WRITERS: Mapping[str, tuple[Write, Settings]] = MappingProxyType(
    {
        "SEG": (write_seg, NATIVE),
        "SEG deflated": (write_seg, DEFLATED),
        "SEG label map": (write_seg_labelmap, NATIVE),
        "RTSTRUCT": (write_rtstruct, NATIVE),
        "SR": (write_sr, NATIVE),
        "overlay": (write_overlay, NATIVE),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyWithResults:
    """A study and what was written for it.

    Attributes:
        written: The source and its true labels.
        segmentation: The segmentation with these labels.
        results: The files of each result, by its name in WRITERS.
    """

    written: WrittenSeries
    segmentation: Segmentation
    results: Mapping[str, tuple[Path, ...]]

    def path(self, result: str) -> Path:
        """Returns the one file of a result."""
        (path,) = self.results[result]
        return path

    def placed(self, part: Labels, origin_lps_mm: tuple[float, ...]) -> Labels:
        """Returns labels (k, j, i) of all slices, of which a reader gave those with labels.

        Args:
            part: Consecutive slices.
            origin_lps_mm: The centre of the first voxel of the first of these slices.
        """
        index = np.linalg.inv(self.written.affine_lps) @ [*origin_lps_mm, 1.0]
        np.testing.assert_allclose(index, np.rint(index), atol=SAME_PLACE)
        i, j, first = np.rint(index[:3]).astype(int)
        assert (i, j) == (0, 0)
        labels = np.zeros_like(self.written.labels)
        labels[first : first + len(part)] = part
        return labels

    def filled(self, contours: Mapping[int, Iterable[ArrayLike]]) -> Labels:
        """Returns the labels (k, j, i) that contours enclose.

        Args:
            contours: By label: the coordinates of each contour, x, y, z of each point, LPS mm.
        """
        to_index = np.linalg.inv(self.written.affine_lps)
        labels = np.zeros_like(self.written.labels)
        for label, of_structure in contours.items():
            for contour in of_structure:
                points = np.asarray(contour, float).reshape(-1, 3)
                i, j, k = nibabel.affines.apply_affine(to_index, points).T
                assert np.ptp(k) < SAME_PLACE
                mask = polygon2mask(labels.shape[1:], np.column_stack([j, i]))
                assert not labels[round(k[0])][mask].any(), "contours overlap"
                labels[round(k[0])][mask] = label
        return labels


def write_study_with_results(folder: Path, spec: SeriesSpec) -> StudyWithResults:
    """Writes a study and all results of it that readers of others are tried with."""
    written = write_series(folder / "study", 1, spec)
    segmentation = segmentation_of(written)
    results = {}
    for name, (write, settings) in WRITERS.items():
        with open_release(folder / name) as release:
            write(segmentation, settings, release)
            release.publish({})
        results[name] = tuple(sorted((folder / name).rglob("*.dcm")))
    return StudyWithResults(written=written, segmentation=segmentation, results=results)


def colour_of(structure: str) -> tuple[int, int, int]:
    """Returns the colour of a structure by TotalSegmentator's name, 0..255."""
    return structure_code(structure).rgb


def rgb_of_cielab(stored: Sequence[int]) -> NDArray[np.float64]:
    """Returns the colour, 0..255, of a Recommended Display CIELab Value (PS3.3 C.10.7.1.1)."""
    lab = np.array(stored) / 65535 * [100, 255, 255] - [0, 128, 128]
    rgb: NDArray[np.float64] = 255 * lab2rgb(lab)
    return rgb

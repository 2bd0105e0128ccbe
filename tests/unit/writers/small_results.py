"""Writes all kinds of DICOM results of a small phantom series, whose header a test may change."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pydicom
from pydicom.dataset import Dataset

from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import segmentation_of
from totalmap.finding import Finding, Severity
from totalmap.result_options import SegTransferSyntax
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.overlay.writer import write_overlay
from totalmap.writers.pdf.writer import write_pdf
from totalmap.writers.preview.writer import write_preview
from totalmap.writers.rejection_note import write_rejection
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.labelmap import write_seg_labelmap
from totalmap.writers.sr.writer import write_sr

# Columns that are no multiple of 8: frames of a SEG begin within a byte.
SPEC = SeriesSpec(
    rows=24, columns=21, n_slices=3, slice_spacing_mm=6.0, pixel_spacing_mm=(17.5, 17.5)
)
NATIVE = Settings()
DEFLATED = Settings(results=ResultsSection(seg_transfer_syntax=SegTransferSyntax.DEFLATED))
FINDING = Finding(code="MIRRORED", severity=Severity.REJECT, sentence="Left and right are swapped.")
Written = Result | tuple[Result, ...]
Write = Callable[[Segmentation, Settings, Release], Written]
WRITERS: Mapping[str, Write] = MappingProxyType(
    {
        "seg": write_seg,
        "sr": write_sr,
        "seg_labelmap": write_seg_labelmap,
        "rtstruct": write_rtstruct,
        "preview": write_preview,
        "overlay": write_overlay,
        "pdf": write_pdf,
    }
)


def small_results(
    folder: Path,
    *kinds: str,
    source: Dataset | None = None,
    settings: Settings = NATIVE,
) -> list[Path]:
    """Returns the paths of results, in the order of their kinds.

    Args:
        folder: A new folder.
        kinds: Keys of WRITERS, and last `rejection` for a note that rejects all others.
        source: Attributes that replace those of each source image.
        settings: The settings of the results.
    """
    series = write_series(folder / "study", 1, SPEC)
    for path in series.paths if source is not None else ():
        dataset = pydicom.dcmread(path)
        dataset.update(source or Dataset())
        dataset.save_as(path)
    segmentation = segmentation_of(series)
    results: list[Result] = []
    with open_release(folder / "out") as release:
        for kind in kinds:
            if kind == "rejection":
                written: Written = write_rejection(results, [FINDING], settings, release)
            else:
                written = WRITERS[kind](segmentation, settings, release)
            several = written if isinstance(written, tuple) else (written,)
            results += [result for result in several if result.sop_instance_uid]
        release.publish({})
    return [folder / "out" / result.path for result in results]

"""OHIF scrolls an overlay in step with its source."""

from pathlib import Path

import pydicom
import pytest

from tests.ohif.viewer import require_viewer, scroll_in_step
from tests.phantom import CORONAL
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import segmentation_of
from tests.servers import running_orthanc
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.overlay.writer import write_overlay

SERIES, OVERLAY = 0, 1
SLICES = 24


def test_ohif_scrolls_an_overlay_in_step_with_its_coronal_source(tmp_path: Path) -> None:
    require_viewer()
    spec = SeriesSpec(
        orientation=CORONAL, n_slices=SLICES, slice_spacing_mm=10.0, slice_thickness_mm=10.0
    )
    written = write_series(tmp_path / "ct", 1, spec)
    with open_release(tmp_path / "out") as release:
        results = write_overlay(segmentation_of(written), Settings(), release)
        release.publish({})
    images = [tmp_path / "out" / result.path for result in results]
    header = pydicom.dcmread(images[0], stop_before_pixels=True)
    (tmp_path / "orthanc").mkdir()
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        orthanc.stow(*written.paths, *images)
        scrolled = scroll_in_step(
            orthanc.url,
            study=header.StudyInstanceUID,
            series=written.series_uid,
            overlay=header.SeriesInstanceUID,
            steps=[(SERIES, 5), (SERIES, 9), (OVERLAY, -4)],
        )
    assert scrolled.errors == ()
    depths_mm = []
    for of_series, of_overlay in scrolled.positions_mm:
        assert of_series == pytest.approx(of_overlay)
        depths_mm.append(of_series[1])
    first, last = depths_mm[0], depths_mm[-1]
    assert abs(depths_mm[1] - first) == pytest.approx(9 * spec.slice_spacing_mm)
    assert abs(last - depths_mm[1]) == pytest.approx(4 * spec.slice_spacing_mm)

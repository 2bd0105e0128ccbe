"""Tests in Chromium that the viewer shows each side of a patient where a radiologist expects it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.web.server import running_web
from tests.accounts import PASSWORD, USER, add_account
from tests.browser import browse
from tests.conftest import REPOSITORY
from tests.orientations import ORIENTATIONS
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import RULE, segmentation_with, volume_of
from tests.servers import LOOPBACK
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.viewable_output import write_viewable_output
from totalmap.existing_seg import SegLabels
from totalmap.settings import GapPolicy, GeometrySection
from totalmap.writers.viewer_data import structure_places

DRIVER = Path(__file__).parent / "viewer.mjs"
PICTURES = REPOSITORY / "build" / "viewer"
SPLEEN, NAME = 1, "spleen"
SMALL = SeriesSpec(
    rows=80,
    columns=80,
    n_slices=70,
    pixel_spacing_mm=(5.0, 5.0),
    slice_spacing_mm=5.0,
    slice_thickness_mm=3.0,
    scanner=None,
    stained=(SPLEEN,),
)
SPECS: Mapping[str, SeriesSpec] = {
    **{name: replace(SMALL, orientation=found) for name, found in ORIENTATIONS.items()},
    "tilted": replace(SMALL, tilt_degrees=12.0),
    "gapped": replace(SMALL, slice_steps=(*range(20), *range(21, 41), *range(42, 72))),
}
# Of the width or height of a picture: less than a voxel, and the smoothing of the browser.
TOLERANCE = 0.012
SIZES = ((1280, 900), (2560, 1440), (800, 1180))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WrittenSeries]:
    folder = tmp_path_factory.mktemp("series")
    return {
        name: write_series(folder / name, seed, spec)
        for seed, (name, spec) in enumerate(SPECS.items())
    }


def output_of(series: WrittenSeries, folder: Path) -> Path:
    """Writes what the application leaves of a series, with true labels."""
    volume = volume_of(series.folder, GeometrySection(gaps=GapPolicy.FILL), RULE)
    return write_viewable_output(segmentation_with(volume, series.labels), folder)


def view_all(gateway: Filled, written: Mapping[str, WrittenSeries], folder: Path) -> dict[str, Any]:
    """Looks at all series in Chromium; pictures of the first one: build/viewer."""
    views: dict[str, Any] = {}
    for name, series in written.items():
        job = gateway.open_job(gateway.receive_files(series.paths))
        gateway.succeed(job, output_of(series, folder / name))
        views[name] = {"path": f"/jobs/{job}/view/0", "structure": NAME}
    views["axial"]["sizes"] = SIZES
    views["prone"]["isWithoutByob"] = True
    PICTURES.mkdir(parents=True, exist_ok=True)
    with running_web(gateway.settings) as port:
        return browse(
            DRIVER,
            url=f"http://{LOOPBACK}:{port}",
            user=USER,
            password=PASSWORD,
            views=views,
            pictures=str(PICTURES),
        )


@pytest.fixture(scope="module")
def seen(
    written: dict[str, WrittenSeries], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("gateway")
    settings = GatewaySettings(
        storage_folder=folder / "storage",
        receive=ReceiveSection(keep_free_gb=0.0),
        web=WebSection(port=0),
    )
    filled = open_filled(settings)
    with filled.database:
        add_account(filled.database)
        return view_all(filled, written, folder / "outputs")


def test_the_viewer_causes_no_browser_error_and_loads_nothing_from_another_server(
    seen: dict[str, Any],
) -> None:
    assert seen["errors"] == []
    assert seen["foreign"] == []


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("kind", ["bright", "coloured"])
def test_a_marker_in_the_viewer_is_where_a_radiologist_expects_it(
    seen: dict[str, Any], written: dict[str, WrittenSeries], name: str, kind: str
) -> None:
    for plane, expected in expected_centres(written[name]).items():
        x, y, aspect = seen["seen"][name][kind][plane]
        assert (x, y) == pytest.approx(expected[:2], abs=TOLERANCE), plane
        assert aspect == pytest.approx(expected[2], rel=0.02), plane


def expected_centres(series: WrittenSeries) -> dict[str, tuple[float, float, float]]:
    """Returns the centre of the marker in each plane through it, right and down, and the aspect."""
    mask, size_mm = displayed(series)
    return {
        "axial": (*centre(mask[0]), size_mm[0] / size_mm[1]),
        "coronal": (*centre(mask[1]), size_mm[0] / size_mm[2]),
        "sagittal": (*centre(mask[2]), size_mm[1] / size_mm[2]),
    }


def displayed(
    series: WrittenSeries,
) -> tuple[tuple[NDArray[np.bool_], ...], tuple[float, float, float]]:
    """Returns the marker in the three planes through its place, and the size of the volume.

    nibabel turns the labels, so that nothing of the viewer is used.

    Returns:
        The axial, coronal and sagittal plane, (column, row) as on the screen; and the size in mm to
        the left, to the back and to the head.
    """
    steps = np.asarray(series.spec.steps).astype(int)
    mask = np.zeros((steps.max() + 1, *series.labels.shape[1:]), dtype=np.uint8)
    mask[steps] = series.labels == SPLEEN
    marker = SegLabels(labels=(series.labels == SPLEEN).astype(np.uint16), numbers={NAME: 1})
    k, j, i = structure_places(marker)[1]
    place = np.zeros_like(mask)
    place[steps[k], j, i] = 1
    affine_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.affine_lps
    upright, there = (
        nibabel.as_closest_canonical(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine_ras))
        for array in (mask, place)
    )
    lps = np.asarray(upright.dataobj)[::-1, ::-1].astype(bool)
    ((x, y, z),) = np.argwhere(np.asarray(there.dataobj)[::-1, ::-1])
    planes = lps[:, :, z], lps[:, y, ::-1], lps[x, :, ::-1]
    size = np.multiply(lps.shape, upright.header.get_zooms())
    return planes, (float(size[0]), float(size[1]), float(size[2]))


def centre(plane: NDArray[np.bool_]) -> tuple[float, float]:
    """Returns the centre of a mask, (column, row), as shares of the plane."""
    columns, rows = np.nonzero(plane)
    return (
        float((columns.mean() + 0.5) / plane.shape[0]),
        float((rows.mean() + 0.5) / plane.shape[1]),
    )


@pytest.mark.parametrize("name", SPECS)
def test_the_viewer_names_the_value_and_the_structure_at_the_pointer(
    seen: dict[str, Any], name: str
) -> None:
    assert seen["seen"][name]["value"] == "2000 HU"
    assert seen["seen"][name]["pointed"] == "Spleen"


def test_the_viewer_calls_only_a_tilted_series_tilted(seen: dict[str, Any]) -> None:
    assert [name for name, found in seen["seen"].items() if found["isTilted"]] == ["tilted"]

"""OHIF, a viewer that runs in a browser, as a reader of our results.

OHIF and the library that steers the browser come from the npm registry, once, into build/ohif. The
browser is Debian's Chromium, without a window, steered by open.mjs and scroll.mjs. serve.py is the
web server.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.ohif.packages import BUILD, OHIF, PLAYWRIGHT, require_package
from tests.ohif.serve import serving_viewer
from tests.servers import require_program
from tests.waiting import WAIT_SECONDS

HERE = Path(__file__).parent
SCREENSHOTS = BUILD / "screenshots"
OVERLAY_SCREENSHOT = SCREENSHOTS / "overlay.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultToOpen:
    """A result in the PACS.

    Attributes:
        series: Its Series Instance UID.
        marker: The label of the segment to go to.
    """

    series: str
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownSegment:
    """What OHIF shows of a segment.

    Attributes:
        voxels: How many voxels have its number.
        centre_lps_mm: Their mean position, by the planes that OHIF draws them in.
        contours_lps_mm: (n, 3) points of each contour; an RTSTRUCT has them and no voxels.
        rgb: The colour they are drawn in, 0..255.
    """

    voxels: int
    centre_lps_mm: tuple[float, float, float]
    contours_lps_mm: tuple[NDArray[np.float64], ...]
    rgb: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What OHIF shows of some results.

    Attributes:
        errors: What went wrong in the page.
        segments: By name of the result and label of the segment.
    """

    errors: tuple[str, ...]
    segments: dict[str, dict[str, ShownSegment]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrolled:
    """What OHIF shows after scrolling.

    Attributes:
        errors: What went wrong in the page.
        positions_mm: After each step, the Image Position (Patient) of the image of the series, and
            that of the overlay.
    """

    errors: tuple[str, ...]
    positions_mm: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]


def require_viewer() -> None:
    """Gets what is needed to run OHIF, or skips the test that needs it."""
    require_program("chromium", "chromium")
    require_program("node", "nodejs")
    require_package(OHIF)
    require_package(PLAYWRIGHT)


def open_results(orthanc_url: str, study: str, results: Mapping[str, ResultToOpen]) -> Shown:
    """Opens results in an OHIF of its own; the rest as `open_in`.

    Args:
        orthanc_url: Of the Orthanc that holds the study and the results.
        study: Study Instance UID.
        results: The results to open, each with a name for it.
    """
    with serving_viewer(orthanc_url) as viewer_url:
        return open_in(viewer_url, study, results)


def open_in(viewer_url: str, study: str, results: Mapping[str, ResultToOpen]) -> Shown:
    """Opens results in a running OHIF, one after the other, and goes to a segment in each.

    A picture of each is kept in build/ohif/screenshots.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    task = {
        "playwright": str(PLAYWRIGHT.folder / "index.js"),
        "chromium": str(require_program("chromium", "chromium")),
        "viewer": viewer_url,
        "study": study,
        "results": {name: asdict(result) for name, result in results.items()},
        "screenshots": str(SCREENSHOTS),
    }
    said = _driven("open.mjs", task)
    return Shown(
        errors=tuple(said["errors"]),
        segments={
            name: {one["label"]: _segment(one) for one in segments}
            for name, segments in said["seen"].items()
        },
    )


def scroll_in_step(
    orthanc_url: str, study: str, series: str, overlay: str, steps: Sequence[tuple[int, int]]
) -> Scrolled:
    """Shows a series and its overlay beside each other in an OHIF of its own, and scrolls in them.

    A picture of the end is kept in build/ohif/screenshots/overlay.png.

    Args:
        orthanc_url: Of the Orthanc that holds both.
        study: Study Instance UID.
        series: Series Instance UID of the source, on the left.
        overlay: Series Instance UID of the overlay, on the right.
        steps: Where to scroll, 0 for the series and 1 for the overlay, and by how many images.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with serving_viewer(orthanc_url) as viewer_url:
        said = _driven(
            "scroll.mjs",
            {
                "playwright": str(PLAYWRIGHT.folder / "index.js"),
                "chromium": str(require_program("chromium", "chromium")),
                "viewer": viewer_url,
                "study": study,
                "series": series,
                "overlay": overlay,
                "steps": [{"pane": pane, "images": images} for pane, images in steps],
                "screenshot": str(OVERLAY_SCREENSHOT),
            },
        )
    return Scrolled(
        errors=tuple(said["errors"]),
        positions_mm=tuple((tuple(one), tuple(other)) for one, other in said["seen"]),
    )


def _driven(driver: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a driver of the browser, and returns what it printed."""
    done = subprocess.run(
        ["node", HERE / driver, json.dumps(task)],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _segment(shown: dict[str, Any]) -> ShownSegment:
    return ShownSegment(
        voxels=shown["voxels"],
        centre_lps_mm=tuple(shown["centre_lps_mm"]),
        contours_lps_mm=tuple(map(np.array, shown["contours_lps_mm"])),
        rgb=tuple(shown["rgb"]),
    )

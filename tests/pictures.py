"""Makes the pictures of our documents: `python -m tests.pictures [NAME ...]`.

Writes to docs/pictures:

- preview.png: the preview of the demo study
- viewer.png: the SEG of the demo study in OHIF
- overlay.png: the overlay of the demo study beside its CT in OHIF
- dashboard.png: the page of a gateway that segments synthetic studies for an Orthanc

Without a name it makes all. Needs the demo study (`make demo` writes it), Chromium, node, npm,
dcmtk and Orthanc.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom
import pytest
from PIL import Image

from app.run_study import RunRequest, run_application
from gateway.config import GatewaySettings
from gateway.store.job import JobState
from tests.accounts import PASSWORD, add_account_to
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.ohif.packages import PLAYWRIGHT, require_package
from tests.ohif.viewer import (
    OVERLAY_SCREENSHOT,
    SCREENSHOTS,
    ResultToOpen,
    open_results,
    require_viewer,
    scroll_in_step,
)
from tests.phantom.study import FIELD_OF_VIEW_MM, SeriesSpec, write_series
from tests.servers import LOOPBACK, require_program, running_orthanc
from tests.service import Service, running_service
from tests.waiting import wait_until
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.display_names import display_name
from totalmap.settings import USUAL_RESULTS, ResultKind

PICTURES = REPOSITORY / "docs" / "pictures"
PHANTOM = REPOSITORY / "build" / "phantom"
NAMES = ("preview", "viewer", "overlay", "dashboard")
USER = "Demo"
DRIVER = Path(__file__).with_name("pictures.mjs")
COLOURS = 256  # of a palette
MOST_BYTES = 300_000
PREVIEW_WIDTH = 900
TIMEOUT_SECONDS = 180
QUIET_SECONDS = 5.0  # long enough for a study to be seen while it arrives
SCANNER, EMERGENCY = "CT1", "CT_ER"
PIXELS = 192
TRUNK = SeriesSpec(
    rows=PIXELS,
    columns=PIXELS,
    n_slices=150,
    pixel_spacing_mm=(FIELD_OF_VIEW_MM / PIXELS, FIELD_OF_VIEW_MM / PIXELS),
)
TOO_FEW_SLICES = SeriesSpec(n_slices=5)


def segment_demo_study(output: Path) -> None:
    """Segments the demo study with the demo model into an output folder."""
    outcome = run_application(
        RunRequest(
            input_path=PHANTOM,
            output_folder=output,
            models_folder=DEMO_MODELS,
            settings_file=DEFAULT_SETTINGS,
            overrides={"results": {"kinds": [*USUAL_RESULTS, ResultKind.OVERLAY]}},
        )
    )
    if outcome.error is not None:
        sys.exit(str(outcome.error))


def write_preview(output: Path, picture: Path) -> None:
    """Writes a smaller copy of a run's preview."""
    preview = Image.open(output / "results" / "preview.png").convert("RGB")
    preview.thumbnail((PREVIEW_WIDTH, PREVIEW_WIDTH), Image.Resampling.LANCZOS)
    save_small(preview, picture)


def write_viewer(output: Path, folder: Path, picture: Path) -> None:
    """Opens the SEG of a run in OHIF, in front of an Orthanc in a folder, and writes that."""
    require_viewer()
    seg = pydicom.dcmread(output / "results" / "seg.dcm", stop_before_pixels=True)
    with running_orthanc(folder) as orthanc:
        orthanc.stow(*sorted(PHANTOM.rglob("*.dcm")))
        orthanc.stow(*sorted((output / "results").rglob("*.dcm")))
        liver = ResultToOpen(series=seg.SeriesInstanceUID, marker=display_name("liver"))
        open_results(orthanc.url, seg.StudyInstanceUID, {"SEG": liver})
    save_small(Image.open(SCREENSHOTS / "SEG.png").convert("RGB"), picture)


def write_overlay_picture(output: Path, folder: Path, picture: Path) -> None:
    """Shows the overlay of a run beside its CT in OHIF, and writes that."""
    require_viewer()
    images = sorted((output / "results" / "overlay").iterdir())
    image = pydicom.dcmread(images[0], stop_before_pixels=True)
    source = image.SourceImageSequence[0].ReferencedSOPInstanceUID
    headers = (pydicom.dcmread(path) for path in sorted(PHANTOM.rglob("*.dcm")))
    series = next(one.SeriesInstanceUID for one in headers if one.SOPInstanceUID == source)
    with running_orthanc(folder) as orthanc:
        orthanc.stow(*sorted(PHANTOM.rglob("*.dcm")), *images)
        scroll_in_step(
            orthanc.url,
            study=image.StudyInstanceUID,
            series=series,
            overlay=image.SeriesInstanceUID,
            steps=[(0, len(images) // 3)],
        )
    save_small(Image.open(OVERLAY_SCREENSHOT).convert("RGB"), picture)


def write_dashboard(folder: Path, picture: Path) -> None:
    """Runs a gateway in a folder until its page shows studies in every state, and writes that."""
    tools = {
        "chromium": str(require_program("chromium", "chromium")),
        "playwright": str(PLAYWRIGHT.folder / "index.js"),
    }
    require_package(PLAYWRIGHT)
    studies = Studies(folder / "studies")
    with running_gateway(folder) as service:
        for study in (studies.done, studies.also_done):
            service.send(study)
        for study in (studies.done, studies.also_done):
            service.wait_until_delivered(service.job_of(uid_of(study)))
        service.send(studies.too_short)
        service.wait_for(service.job_of(uid_of(studies.too_short)), JobState.DEAD)
        service.send(studies.running, studies.waiting)
        service.send(studies.urgent, title=EMERGENCY)
        wait_until(lambda: any(job.tiles_done for job in service.jobs.unfinished()), "tiles done")
        service.send(studies.arriving)
        web = service.settings.web
        task = {
            **tools,
            "url": f"http://{web.address}:{web.port}",
            "user": USER,
            "password": PASSWORD,
            "screenshot": str(folder / "dashboard.png"),
        }
        node = require_program("node", "nodejs")
        subprocess.run([node, DRIVER, json.dumps(task)], timeout=TIMEOUT_SECONDS, check=True)
    save_small(Image.open(folder / "dashboard.png").convert("RGB"), picture)


class Studies:
    """Folders with one synthetic study each, of patients with invented names."""

    def __init__(self, folder: Path) -> None:
        self.done = _write(folder, 1, "Phantom^Ada", "CT chest and abdomen")
        self.also_done = _write(folder, 2, "Sample^Ben", "CT abdomen")
        self.too_short = _write(folder, 3, "Test^David", "CT calcium score", TOO_FEW_SLICES)
        self.running = _write(folder, 4, "Example^Clara", "CT chest and abdomen")
        self.waiting = _write(folder, 5, "Model^Farid", "CT chest")
        self.urgent = _write(folder, 6, "Trial^Grace", "CT polytrauma")
        self.arriving = _write(folder, 7, "Dummy^Hugo", "CT pelvis")


@contextmanager
def running_gateway(folder: Path) -> Iterator[Service]:
    """Yields a gateway with one rule for each sender, whose destination is an Orthanc."""
    (folder / "storage").mkdir()
    add_account_to(GatewaySettings(storage_folder=folder / "storage"), USER)
    with running_orthanc(folder) as orthanc:
        pacs = {"ae_title": "PACS", "address": LOOPBACK, "port": orthanc.dicom_port}
        rule = {"destinations": ["pacs"]}
        with running_service(
            folder,
            complete={"quiet_seconds": QUIET_SECONDS},
            rules=[
                {"name": "ct", "senders": [SCANNER], **rule},
                {"name": "emergency", "senders": [EMERGENCY], "urgent": True, **rule},
            ],
            destinations=[{"name": "pacs", "dicom": pacs}],
            work={"models_folder": str(DEMO_MODELS)},
        ) as service:
            yield service


def uid_of(study: Path) -> str:
    """Returns the Study Instance UID of a folder's study."""
    return str(pydicom.dcmread(next(study.rglob("*.dcm"))).StudyInstanceUID)


def save_small(image: Image.Image, picture: Path) -> None:
    """Writes an RGB image as a PNG, with a palette where the file would be too large."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    image.save(picture, optimize=True)
    if picture.stat().st_size > MOST_BYTES:
        small = image.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        small.save(picture, optimize=True)


def _write(
    folder: Path, number: int, name: str, description: str, spec: SeriesSpec = TRUNK
) -> Path:
    study = folder / str(number)
    for path in write_series(study, number, spec).paths:
        instance = pydicom.dcmread(path)
        instance.PatientName = name
        instance.PatientID = f"DEMO-{number:02}"
        instance.StudyDescription = description
        instance.save_as(path)
    return study


def main() -> None:
    """Makes the pictures that are named."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.pictures", description="Makes the pictures of our documents."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no picture is called {unknown.pop()}; known: {', '.join(NAMES)}")
    if not PHANTOM.is_dir():
        sys.exit(f"{PHANTOM} holds no study: `make demo` writes it")
    try:
        with TemporaryDirectory() as folder:
            output = Path(folder) / "output"
            if set(names) != {"dashboard"}:
                segment_demo_study(output)
            for name in names:
                _make(name, output)
    except pytest.skip.Exception as missing:
        sys.exit(f"the pictures need it: {missing}")


def _make(name: str, output: Path) -> None:
    """Makes a picture, if need be of a run's output."""
    picture = PICTURES / f"{name}.png"
    with TemporaryDirectory() as folder:
        if name == "dashboard":
            write_dashboard(Path(folder), picture)
        elif name == "preview":
            write_preview(output, picture)
        elif name == "overlay":
            write_overlay_picture(output, Path(folder), picture)
        else:
            write_viewer(output, Path(folder), picture)


if __name__ == "__main__":
    main()

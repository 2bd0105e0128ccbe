"""Tests the page in a real browser, with the keyboard alone, in light and dark colours."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.run_study import RunRequest, run_application
from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.dispatch.study_indexing import StudyIndexing
from gateway.recent_log import RecentLog
from gateway.store.job import Judgement
from gateway.web.server import running_web
from gateway.work.application_settings import write_overlay
from tests.accounts import PASSWORD, USER, add_account
from tests.browser import browse
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.ohif.packages import Package, require_package
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK
from tests.unit.gateway.web.filling import Filled, open_filled
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.finding import Verdict

DRIVER = Path(__file__).parent.parent / "unit" / "gateway" / "web" / "browse.mjs"
SCREENSHOTS = REPOSITORY / "build" / "gateway"
DOUBTS = ("The left kidney lies to the right of the right one.", "The liver is hollow.")
REASON = "no CT series with slices of at most 5 mm; 3 series rejected, see status.json"

AXE = Package(
    name="axe-core",
    version="4.14.1",
    sha512="FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)


@pytest.fixture(scope="module")
def output(phantom_series: WrittenSeries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the application makes of the phantom, be it to be believed or not."""
    folder = tmp_path_factory.mktemp("output")
    settings_file = tmp_path_factory.mktemp("settings") / "app.yaml"
    write_overlay(DEFAULT_SETTINGS, {"quality": {"rejected": "deliver"}}, "auto", settings_file)
    request = RunRequest(
        input_path=phantom_series.folder,
        output_folder=folder,
        models_folder=DEMO_MODELS,
        settings_file=settings_file,
    )
    assert run_application(request).error is None
    return folder


@pytest.fixture
def gateway(tmp_path: Path, phantom_series: WrittenSeries, output: Path) -> Iterator[Filled]:
    """A gateway in the middle of its work."""
    settings = GatewaySettings(
        storage_folder=tmp_path / "storage",
        receive=ReceiveSection(keep_free_gb=0.0),
        web=WebSection(port=0),
    )
    filled = open_filled(settings)
    with filled.database:
        add_account(filled.database)
        _fill(filled, phantom_series.paths, output)
        yield filled


def _fill(gateway: Filled, paths: tuple[Path, ...], output: Path) -> None:
    done = gateway.open_job(gateway.receive_files(paths), destinations=("archive", "pacs"))
    gateway.succeed(done, output)
    pacs, archive = (gateway.deliveries.delivery(done, name) for name in ("pacs", "archive"))
    assert pacs is not None
    assert archive is not None
    gateway.deliveries.delivered(pacs)
    reason = "archive does not answer: connection refused"
    gateway.deliveries.postpone(archive, reason, time.time() + 600)
    for verdict, name in ((Verdict.REVIEW, "Kaya^Deniz"), (Verdict.REJECT, "Moreau^Lucie")):
        study = gateway.receive(paths[0], PatientName=name, PatientID="200")
        is_held = verdict is Verdict.REJECT
        judgement = Judgement(verdict=verdict, reasons=DOUBTS, is_held=is_held)
        gateway.succeed(gateway.open_job(study), output, judgement)
    names = ("Nowak^Piotr", "Müller^Hans", "Fischer^Eva", "山田^太郎", "Berg^Anna Maria")
    studies = [
        gateway.receive(
            paths[0], PatientName=name, PatientID=f"10{n}", StudyDescription="CT thorax, abdomen"
        )
        for n, name in enumerate(names)
    ]
    gateway.die(gateway.open_job(studies[0]), REASON)
    running = gateway.open_job(studies[1])
    gateway.begin(running)
    gateway.jobs.progress(running, "segment", 12, 40)
    gateway.worker_list.see("box-1", "cuda:0", running)
    gateway.open_job(studies[2])
    gateway.open_job(studies[3], is_urgent=True)
    StudyIndexing(gateway.storage, gateway.database).apply(batch_seconds=60.0)
    rejected = {"event": "sender_rejected", "level": "warning", "who": "CT9"}
    log = RecentLog(gateway.settings.storage_folder, "receive")
    log.keep({**rejected, "timestamp": "2026-12-01T10:00:00.5Z"})


def test_a_user_with_only_a_keyboard_sees_results_and_retries_a_job_on_the_gateway_page(
    gateway: Filled,
) -> None:
    said = use_page(gateway)
    seen = said["seen"]
    assert said["errors"] == []
    assert said["foreign"] == [], "requests have left the gateway"
    assert said["wide"] == [], "these have to be scrolled sideways"
    assert seen["focusKept"] == seen["focusBefore"], "the focus is lost when the page is renewed"
    assert seen["focusBefore"].startswith("retry-")
    assert seen["focusAfter"] == "said", "after a button has gone, nobody knows where the focus is"
    assert seen["saidWithoutScripts"] == "No more jobs are started."
    assert seen["reportShown"]
    assert [part for part in said["violations"].values() if part != []] == []
    (retried,) = [job for job in gateway.jobs.jobs(limit=10) if job.attempts == 0 and job.run == 2]
    assert retried.state == "queued"
    assert gateway.worker_list.is_paused()


def use_page(gateway: Filled) -> dict[str, Any]:
    """Uses the page in Chromium; returns what the driver prints. Pictures: build/gateway."""
    require_package(AXE)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with running_web(gateway.settings) as port:
        return browse(
            DRIVER,
            axe=str(AXE.folder / "axe.min.js"),
            url=f"http://{LOOPBACK}:{port}",
            user=USER,
            password=PASSWORD,
            patient="PHANTOM",
            screenshots=str(SCREENSHOTS),
        )

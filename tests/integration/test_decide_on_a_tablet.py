"""Tests in Chromium that a person decides about results on a tablet, one after the other."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config import GatewaySettings, ReceiveSection, ReviewSection, WebSection
from gateway.store.decisions import DecisionList
from gateway.store.job import Judgement
from gateway.web.server import running_web
from tests.accounts import PASSWORD, USER, add_account
from tests.browser import browse
from tests.conftest import REPOSITORY
from tests.phantom.study import write_series
from tests.segmentations import RULE, segmentation_with, volume_of
from tests.servers import LOOPBACK
from tests.service import SMALL
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.viewable_output import write_viewable_output
from totalmap.finding import Verdict
from totalmap.settings import GeometrySection

DRIVER = Path(__file__).parent / "decide.mjs"
PICTURES = REPOSITORY / "build" / "decisions"
REVIEW = Judgement(verdict=Verdict.REVIEW, reasons=("The spleen is small.",))
HELD = Judgement(verdict=Verdict.REJECT, reasons=("The liver is missing.",), is_held=True)
# In CSS pixels: WCAG 2.2, 2.5.5.
SMALLEST_TARGET = 44


def waiting_jobs(gateway: Filled, folder: Path) -> list[str]:
    """Returns jobs with results that wait for review, in the order of the worklist."""
    jobs = []
    for seed, judgement in enumerate((HELD, REVIEW, REVIEW, REVIEW)):
        series = write_series(folder / str(seed), seed, SMALL)
        volume = volume_of(series.folder, GeometrySection(), RULE)
        output = write_viewable_output(
            segmentation_with(volume, series.labels), folder / f"output-{seed}"
        )
        job = gateway.open_job(gateway.receive_files(series.paths))
        gateway.succeed(job, output, judgement=judgement)
        jobs.append(job)
    return jobs


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_decides_or_skips_with_fingers_alone_and_the_next_results_open(
    tmp_path: Path, scheme: str
) -> None:
    settings = GatewaySettings(
        storage_folder=tmp_path / "storage",
        receive=ReceiveSection(keep_free_gb=0.0),
        web=WebSection(port=0),
        review=ReviewSection(verified_reports=True, organization="General Hospital"),
    )
    gateway = open_filled(settings)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with gateway.database, running_web(settings) as port:
        add_account(gateway.database)
        jobs = waiting_jobs(gateway, tmp_path)
        seen = browse(
            DRIVER,
            url=f"http://{LOOPBACK}:{port}",
            user=USER,
            password=PASSWORD,
            first=f"/jobs/{jobs[0]}/view/0?worklist=",
            rejected=f"/jobs/{jobs[3]}/decide",
            pictures=str(PICTURES),
            scheme=scheme,
        )
        stored = [
            [(each.kind.value, each.reason) for each in DecisionList(gateway.database).of_job(job)]
            for job in jobs
        ]
    assert seen["errors"] == []
    assert stored == [
        [("released", "A second spleen.")],
        [("commented", "A rare variant.")],
        [("accepted", None)],
        [
            ("rejected", "The spleen leaks into the stomach."),
            ("withdrawn", "It was the stomach."),
            ("accepted", None),
        ],
    ]
    steps: list[dict[str, Any]] = seen["steps"]
    views = [f"/jobs/{job}/view/0" for job in jobs]
    decided = f"/jobs/{jobs[3]}/decide"
    ways = [*views, "/review", views[1], "/review", decided, decided]
    assert [step["pathname"] for step in steps] == ways
    assert [step["said"] for step in steps[1:5]] == [
        "The results are released.",
        "",
        "The results are accepted.",
        "The results are rejected.",
    ]
    assert all(step["smallest"] >= SMALLEST_TARGET for step in steps if step["smallest"])

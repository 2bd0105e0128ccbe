import asyncio
import json
import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.store.events import EventKind, history
from gateway.web.prepared_views import PreparedViews, ViewFailedError, viewable_series
from gateway.web.result_files import Results
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.web.filling import Filled
from tests.unit.writers.test_viewer_data import seg, series  # noqa: F401
from tests.waiting import wait_until

STATUS = {
    "series": [],
    "structures": [{"name": "liver", "folder": "", "volume_ml": 1500.0, "flags": []}],
    "quality": {
        "findings": [
            {"code": "SMALL", "severity": "review", "sentence": "Small.", "structure": "liver"}
        ]
    },
}


@pytest.fixture
def output(seg: Path, series: WrittenSeries, tmp_path: Path) -> Path:  # noqa: F811
    folder = tmp_path / "output"
    (folder / "results").mkdir(parents=True)
    shutil.copy(seg, folder / "results" / "seg.dcm")
    chosen = {"series_instance_uid": series.series_uid, "chosen": True}
    (folder / "status.json").write_text(json.dumps({**STATUS, "series": [chosen]}))
    return folder


@pytest.fixture
def job(gateway: Filled, series: WrittenSeries, output: Path) -> str:  # noqa: F811
    job_id = gateway.open_job(gateway.receive_files(series.paths))
    gateway.succeed(job_id, output)
    return job_id


def test_the_viewer_gets_its_files_when_they_are_ready_and_the_browser_keeps_none(
    user: httpx.Client,
    job: str,
    series: WrittenSeries,  # noqa: F811
) -> None:
    description = user.get(f"/jobs/{job}/view/0/description.json")
    first = description.json()["blocks"][0]
    block = user.get(f"/jobs/{job}/view/0/{first['name']}")
    part = np.frombuffer(block.content, "<i2").reshape(first["count"], *series.hu.shape[1:])
    assert np.array_equal(part, series.hu[first["first"] : first["first"] + first["count"]])
    assert block.headers["Content-Encoding"] == "gzip"
    assert {description.headers["Cache-Control"], block.headers["Cache-Control"]} == {"no-store"}
    assert user.get(f"/jobs/{job}/view/0/structures.json").json()["structures"]


def test_opening_a_result_in_the_viewer_is_on_record(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    page = user.get(f"/jobs/{job}/view/0")
    assert page.status_code == 200
    assert "AI result, not verified, not for diagnosis" in page.text
    assert 'data-go="liver"' in page.text
    found = gateway.jobs.job(job)
    assert found is not None
    viewed = [
        event
        for event in history(gateway.database, found.study_instance_uid)
        if event.kind is EventKind.VIEWED
    ]
    assert [event.object_name for event in viewed] == ["results/seg.dcm"]


def test_loading_the_images_of_the_viewer_without_its_page_is_on_record(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    assert user.get(f"/jobs/{job}/view/0/description.json").status_code == 200
    found = gateway.jobs.job(job)
    assert found is not None
    events = history(gateway.database, found.study_instance_uid)
    viewed = [event for event in events if event.kind is EventKind.VIEWED]
    assert [event.object_name for event in viewed] == ["results/seg.dcm"]


def test_the_viewer_page_sends_only_files_of_its_view(user: httpx.Client, job: str) -> None:
    for name in ("voxels-999.gz", "status.json", "..%2F..%2Fsettings.yaml", "failed.json"):
        assert user.get(f"/jobs/{job}/view/0/{name}").status_code == 404, name
    assert user.get(f"/jobs/{job}/view/1").status_code == 404
    assert user.get("/jobs/unknown/view/0").status_code == 404


def test_a_stranger_without_login_sees_no_viewer(stranger: httpx.Client, job: str) -> None:
    for path in (f"/jobs/{job}/view/0", f"/jobs/{job}/view/0/description.json"):
        assert stranger.get(path).status_code == 303


def test_the_viewer_says_that_the_images_of_its_view_are_deleted(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    found = gateway.jobs.job(job)
    assert found is not None
    shutil.rmtree(gateway.storage.study_folder(found.study_instance_uid))
    refused = user.get(f"/jobs/{job}/view/0/description.json")
    assert (refused.status_code, refused.text) == (409, "The images of the study are deleted.")


def test_a_viewer_preparation_that_failed_is_tried_again_when_it_is_opened_again(
    user: httpx.Client, gateway: Filled, job: str, output: Path
) -> None:
    seg_file = gateway.storage.output_folder(job) / "results" / "seg.dcm"
    seg_file.write_bytes(b"nothing")
    refused = user.get(f"/jobs/{job}/view/0/description.json")
    assert refused.status_code == 409
    assert refused.text.startswith("SEG file 1 of 1")
    shutil.copy(output / "results" / "seg.dcm", seg_file)
    assert user.get(f"/jobs/{job}/view/0").status_code == 200
    assert user.get(f"/jobs/{job}/view/0/description.json").status_code == 200


def test_a_held_result_can_be_opened_in_the_viewer(
    user: httpx.Client,
    gateway: Filled,
    series: WrittenSeries,  # noqa: F811
    output: Path,
) -> None:
    (output / "results").rename(output / "rejected")
    job_id = gateway.open_job(gateway.receive_files(series.paths))
    gateway.succeed(job_id, output)
    labels = user.get(f"/jobs/{job_id}/view/0/labels.gz").content
    assert np.frombuffer(labels, np.uint8).any()


def test_a_restart_of_the_page_removes_links_of_killed_viewer_preparations(
    gateway: Filled,
) -> None:
    left = gateway.storage.new_viewing_folder()
    PreparedViews(gateway.storage, gateway.ledger)
    assert not left.exists()


def test_no_link_to_images_stays_when_a_view_for_the_viewer_is_prepared(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    assert user.get(f"/jobs/{job}/view/0/finished.json").status_code == 200
    viewing = gateway.settings.storage_folder / "viewing"
    wait_until(lambda: [*viewing.iterdir()] == [], "no link stays")


def test_the_next_viewer_page_of_a_worklist_is_prepared_and_not_on_record_as_viewed(
    user: httpx.Client, gateway: Filled, job: str
) -> None:
    assert user.get(f"/jobs/{job}/view/0/prepare").status_code == 204
    finished = gateway.storage.job_folder(job) / "view" / "0" / "finished.json"
    wait_until(finished.exists, "a prepared view")
    found = gateway.jobs.job(job)
    assert found is not None
    kinds = [event.kind for event in history(gateway.database, found.study_instance_uid)]
    assert EventKind.VIEWED not in kinds


def test_a_viewer_preparation_does_not_bring_back_the_folder_of_a_deleted_job(
    gateway: Filled, job: str
) -> None:
    found, views = gateway.jobs.job(job), PreparedViews(gateway.storage, gateway.ledger)
    assert found is not None
    (shown,) = viewable_series(Results(gateway.jobs, gateway.storage).files(job))
    shutil.rmtree(gateway.storage.job_folder(job))
    with pytest.raises(ViewFailedError):
        asyncio.run(views.file(found, shown, "description.json"))
    assert not gateway.storage.job_folder(job).exists()

import re
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, select

from gateway.store.events import EventKind, history
from gateway.store.job import Judgement
from gateway.store.schema import EVENTS, JOBS
from gateway.web.page_endpoints import REPORT_POLICY
from tests.unit.gateway.store.test_jobs import REJECTED
from tests.unit.gateway.web.browsing import USER, press
from tests.unit.gateway.web.filling import Filled, write_output
from totalmap.finding import Verdict

HOSTILE = '<script>alert("x")</script>'
MANY = 10_000
QUICK_SECONDS = 1.0
TRICKS = (
    "status.json",
    "results/../status.json",
    "results/%2e%2e/status.json",
    "results//seg.dcm",
    "%2e/results/seg.dcm",
    "..%2fsettings.yaml",
    "..%2f..%2f..%2fledger.sqlite",
    "%2fetc%2fpasswd",
    "results%2fsecret",
    "results/seg.dcm%00.html",
    "results",
    "",
)


@pytest.fixture
def done(gateway: Filled, instance: Path) -> str:
    """A job with results."""
    study = gateway.receive(instance, PatientName="Müller^Eva", PatientID="4711")
    job = gateway.open_job(study, destinations=("archive", "pacs"))
    gateway.succeed(job)
    return job


def study_of(gateway: Filled, job_id: str) -> str:
    job = gateway.jobs.job(job_id)
    assert job is not None
    return job.study_instance_uid


def headings(page: httpx.Response) -> list[str]:
    """The names of the studies that are listed."""
    return re.findall(r"<h3><a [^>]*>([^<]*)</a>", page.text)


def test_the_overview_page_of_the_gateway_shows_jobs_workers_and_deliveries(
    user: httpx.Client, gateway: Filled, instance: Path, done: str
) -> None:
    names = ("Waiting^W", "Running^R", "Dead^D", "Arriving^A")
    waiting, running, dead, _ = (gateway.receive(instance, PatientName=name) for name in names)
    gateway.open_job(waiting)
    job = gateway.open_job(running)
    gateway.begin(job)
    gateway.jobs.progress(job, "segment", 12, 40)
    gateway.worker_list.see("box-1", "cuda:0", job)
    gateway.die(gateway.open_job(dead), "too thick: 7 mm, 5 mm are allowed")
    page = user.get("/")
    assert headings(page) == ["Dead, D", "Running, R", "Waiting, W", "Müller, Eva"]
    assert "<b>Arriving, A</b>" in page.text
    assert '<progress max="40" value="12"' in page.text
    assert "too thick: 7 mm, 5 mm are allowed" in page.text
    assert f'src="/jobs/{done}/thumbnail"' in page.text
    assert "pacs: waiting" in page.text
    assert re.search(r"<td>Running, R</td>\s*<td>now</td>", page.text)


def test_html_in_a_patient_name_is_escaped_on_the_gateway_page(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    study = gateway.receive(instance, PatientName=HOSTILE, StudyDescription=HOSTILE)
    job = gateway.open_job(study)
    gateway.worker_list.see(HOSTILE, "cpu", None)
    gateway.die(job, HOSTILE)
    for path in ("/", "/?group=failed", f"/studies/{study}"):
        page = user.get(path).text
        assert "<script>alert" not in page
        assert page.count("&lt;script&gt;alert(") >= 2


def test_a_long_list_of_jobs_on_the_gateway_page_is_split_into_pages(
    user: httpx.Client, gateway: Filled
) -> None:
    for n in range(30):
        gateway.open_job(f"1.2.{n:02}")
    first = user.get("/?group=waiting")
    second = user.get("/?group=waiting&page=2")
    found = [*headings(first), *headings(second)]
    assert found == [f"…1.2.{n:02}" for n in range(30)]
    assert len(headings(first)) == 25
    assert "Page 2 of 2" in second.text
    assert headings(user.get("/?group=done")) == []
    for page in ("99", "9" * 5000):
        assert headings(user.get(f"/?group=waiting&page={page}")) == []
    for page in ("-1", "0", "x", "²", ""):
        assert headings(user.get(f"/?group=waiting&page={page}")) == headings(first)
    assert user.get("/?group=nothing").status_code == 404


def test_a_gateway_page_refreshes_itself_with_the_same_list(
    user: httpx.Client, gateway: Filled
) -> None:
    gateway.open_job("1.2.3")
    page = user.get("/?group=waiting&page=1&automatic=1&said=retried").text
    assert 'hx-get="/?group=waiting&amp;page=1&amp;automatic=1"' in page
    assert 'name="next" value="/?group=waiting&amp;page=1"' in page
    assert "The job is queued again." in page


def test_the_gateway_page_shows_ten_thousand_jobs_quickly(
    user: httpx.Client, gateway: Filled
) -> None:
    job: dict[str, object] = {
        **{column.name: None for column in JOBS.c},
        "study_instance_uid": "1.2",
        "rule": "ct",
    }
    job |= {"sender": "CT1", "content_digest": "a", "content_until": 0.0, "n_images": 1}
    job |= {"is_urgent": False, "application": "{}", "destinations": "{}", "attempts": 1}
    job |= {"run": 1, "not_before": 0.0, "is_enqueued": True, "state": "segmented"}
    rows = [
        {**job, "job_id": f"{n}", "created_at": n, "started_at": n, "ended_at": n + 45}
        for n in range(MANY)
    ]
    with gateway.database.transaction() as connection:
        connection.execute(insert(JOBS), rows)
    for path in ("/", "/?group=done&page=400", "/metrics"):
        began = time.process_time()  # of us alone, however busy the machine is
        page = user.get(path)
        assert page.status_code == 200
        assert time.process_time() - began < QUICK_SECONDS
    assert 'totalmap_jobs{state="segmented"} 10000.0' in page.text


def test_the_study_page_of_the_gateway_shows_results_deliveries_and_events(
    user: httpx.Client, gateway: Filled, done: str
) -> None:
    study = study_of(gateway, done)
    archive = gateway.deliveries.delivery(done, "archive")
    assert archive is not None
    gateway.deliveries.die(archive, "refused for 7 days")
    page = user.get(f"/studies/{study}").text
    assert "<h1>Müller, Eva</h1>" in page
    assert "<dd>4711</dd>" in page
    assert "Eva" not in page.partition("<title>")[2].partition("</title>")[0]  # browsers keep it
    assert re.search(
        r'<th scope="row">Left kidney</th><td class="number">&gt; 102</td>'
        r"<td>incomplete, several pieces</td>",
        page,
    )
    assert "refused for 7 days" in page
    assert f'action="/jobs/{done}/deliveries/archive/0/retry"' in page
    assert f'action="/jobs/{done}/deliveries/pacs/0/retry"' not in page
    assert f'href="/jobs/{done}/files/results/seg.dcm"' in page
    assert "<td>segmented</td>" in page


def test_a_folder_with_many_results_is_one_line_of_the_study_page(
    user: httpx.Client, gateway: Filled, instance: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    write_output(output)
    (output / "results" / "overlay").mkdir()
    for number in range(30):
        (output / "results" / "overlay" / f"image_{number:04}.dcm").write_bytes(bytes(2000))
    job = gateway.open_job(gateway.receive(instance))
    gateway.succeed(job, output)
    page = user.get(f"/studies/{study_of(gateway, job)}").text
    assert "image_0007.dcm" not in page
    assert re.search(r'<li>overlay <span class="more">30 files, 60\S* kB</span></li>', page)
    assert f'href="/jobs/{job}/files/results/seg.dcm"' in page


def test_views_of_a_study_and_its_results_on_the_gateway_page_are_recorded(
    user: httpx.Client, gateway: Filled, done: str
) -> None:
    study = study_of(gateway, done)
    user.get(f"/studies/{study}")
    user.get(f"/studies/{study}?automatic=1")
    user.get(f"/jobs/{done}/thumbnail")
    user.get(f"/jobs/{done}/files/results/preview.png")
    user.get(f"/jobs/{done}/files/results/seg.dcm")
    statement = select(EVENTS.c.study_instance_uid, EVENTS.c.who, EVENTS.c.object_name)
    with gateway.database.transaction() as connection:
        found = connection.execute(statement.where(EVENTS.c.kind == EventKind.VIEWED)).all()
    assert [tuple(row) for row in found] == [
        (study, "Dr. Example", None),
        (study, "Dr. Example", "results/seg.dcm"),
    ]


def test_result_files_can_be_downloaded_from_the_gateway_page(
    user: httpx.Client, gateway: Filled, done: str
) -> None:
    folder = gateway.storage.output_folder(done)
    seg = user.get(f"/jobs/{done}/files/results/seg.dcm")
    assert seg.content == b"a segmentation"
    assert seg.headers["content-type"] == "application/dicom"
    assert seg.headers["content-disposition"] == 'attachment; filename="seg.dcm"'
    preview = user.get(f"/jobs/{done}/files/results/preview.png")
    assert preview.content == (folder / "results" / "preview.png").read_bytes()
    thumbnail = user.get(f"/jobs/{done}/thumbnail")
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert len(thumbnail.content) < len(preview.content) or len(thumbnail.content) < 4000


def test_the_study_page_shows_results_that_are_held_back_with_the_reason(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    job = gateway.open_job(gateway.receive(instance))
    gateway.succeed(job, judgement=replace(REJECTED, is_held=True))
    page = user.get(f"/studies/{study_of(gateway, job)}").text
    assert "held back" in page
    assert "Left and right are swapped." in page
    assert "not delivered" in page
    assert f'src="/jobs/{job}/files/rejected/preview.png"' in page
    assert user.get(f"/jobs/{job}/files/rejected/report.html").status_code == 200
    assert user.get(f"/jobs/{job}/thumbnail").headers["content-type"] == "image/jpeg"


def test_the_study_page_shows_results_that_need_review_with_the_reason(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    job = gateway.open_job(gateway.receive(instance))
    gateway.succeed(job, judgement=Judgement(verdict=Verdict.REVIEW, reasons=("A hole.",)))
    page = user.get(f"/studies/{study_of(gateway, job)}").text
    assert "needs review" in page
    assert "Needs review: A hole." in page


def test_the_gateway_page_shows_a_report_in_a_sandbox(user: httpx.Client, done: str) -> None:
    report = user.get(f"/jobs/{done}/files/results/report.html")
    assert report.headers["content-security-policy"] == REPORT_POLICY
    assert "content-disposition" not in report.headers


def test_files_that_are_no_results_can_not_be_downloaded_from_the_gateway_page(
    user: httpx.Client, gateway: Filled, done: str
) -> None:
    results = gateway.storage.output_folder(done) / "results"
    (results / "secret").write_text("not on the list")
    gateway.storage.job_folder(done).joinpath("settings.yaml").write_text("secret")
    for path in TRICKS:
        raw_path = f"/jobs/{done}/files/{path}".encode()
        assert user.get(user.base_url.copy_with(raw_path=raw_path)).status_code == 404, path
    raw_path = f"/jobs/{done}/files/results%2fseg.dcm".encode()
    assert user.get(user.base_url.copy_with(raw_path=raw_path)).status_code == 200


def test_a_linked_result_outside_its_folder_can_not_be_downloaded_from_the_page(
    user: httpx.Client, gateway: Filled, done: str
) -> None:
    seg = gateway.storage.output_folder(done) / "results" / "seg.dcm"
    seg.unlink()
    seg.symlink_to(gateway.settings.storage_folder / "ledger.sqlite")
    assert user.get(f"/jobs/{done}/files/results/seg.dcm").status_code == 404


def test_the_web_server_answers_unknown_paths_with_404(user: httpx.Client) -> None:
    for path in ("/studies/9.9", "/jobs/9/thumbnail", "/jobs/%2e%2e/thumbnail", "/nothing"):
        assert user.get(path).status_code == 404


def test_every_response_of_the_web_server_has_security_headers(
    stranger: httpx.Client, done: str
) -> None:
    for path in ("/login", "/health", "/metrics", "/", f"/jobs/{done}/thumbnail", "/nothing"):
        headers = stranger.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; base-uri 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
    assert stranger.get("/static/style.css").headers["cache-control"] == "no-cache"


def test_no_page_of_the_gateway_has_inline_scripts_or_styles(
    user: httpx.Client, gateway: Filled, done: str
) -> None:
    for path in ("/", "/login", "/nothing", f"/studies/{study_of(gateway, done)}"):
        page = user.get(path).text
        assert not re.search(r"<script(?! src)|<style|\son\w+=|\sstyle=", page)
        assert not re.search(r'(src|href)="(?!/[^/]|#)', page)


def last_event(gateway: Filled, study: str) -> tuple[str, str | None]:
    event = history(gateway.database, study)[-1]
    return event.kind, event.who


def test_the_retry_button_of_the_page_queues_a_failed_job_again(
    user: httpx.Client, gateway: Filled
) -> None:
    job = gateway.open_job("1.2")
    gateway.die(job, "too thick")
    answer = press(user, f"/jobs/{job}/retry", next="/?group=failed")
    assert answer.headers["location"] == "/?group=failed&said=retried"
    assert gateway.state(job) == "queued"
    assert last_event(gateway, "1.2") == ("retried", USER)


@pytest.mark.parametrize("is_running", [False, True])
def test_the_cancel_button_cancels_a_gateway_job(
    user: httpx.Client, gateway: Filled, is_running: bool
) -> None:
    job = gateway.open_job("1.2")
    if is_running:
        gateway.begin(job)
    assert press(user, f"/jobs/{job}/cancel").headers["location"] == "/?said=cancelled"
    assert gateway.state(job) == "cancelled"
    assert last_event(gateway, "1.2") == ("cancelled", USER)


def test_the_urgent_button_makes_a_gateway_job_urgent(user: httpx.Client, gateway: Filled) -> None:
    gateway.open_job("1.1")
    job = gateway.open_job("1.2")
    press(user, f"/jobs/{job}/urgent")
    made = gateway.jobs.job(job)
    assert made is not None
    assert made.is_urgent
    assert last_event(gateway, "1.2") == ("made urgent", USER)


def test_the_retry_button_of_a_delivery_tries_it_at_once(
    user: httpx.Client, gateway: Filled
) -> None:
    job = gateway.open_job("1.2")
    gateway.succeed(job)
    delivery = gateway.deliveries.delivery(job, "pacs")
    assert delivery is not None
    gateway.deliveries.postpone(delivery, "refused", time.time() + 600)
    answer = press(user, f"/jobs/{job}/deliveries/pacs/0/retry")
    assert answer.headers["location"] == "/?said=delivering"
    tried = gateway.deliveries.delivery(job, "pacs")
    assert tried is not None
    assert tried.not_before == 0.0
    assert last_event(gateway, "1.2") == ("retried", USER)
    assert press(user, f"/jobs/{job}/deliveries/nowhere/0/retry").status_code == 404


def test_the_pause_button_stops_jobs_until_they_are_resumed(
    user: httpx.Client, gateway: Filled
) -> None:
    press(user, "/pause")
    assert gateway.worker_list.is_paused()
    assert "No more jobs are started." in user.get("/").text
    press(user, "/resume")
    assert not gateway.worker_list.is_paused()


def test_the_page_of_a_drained_gateway_says_so_and_can_resume_it(
    user: httpx.Client, gateway: Filled
) -> None:
    gateway.worker_list.drain("anna")
    assert "Nothing is received, until somebody resumes the gateway." in user.get("/").text
    press(user, "/resume")
    assert not gateway.worker_list.is_draining()
    assert "drained" not in user.get("/").text


def test_a_page_button_of_a_finished_job_changes_nothing_and_says_so(
    user: httpx.Client, gateway: Filled
) -> None:
    job = gateway.open_job("1.2")
    gateway.succeed(job)
    for action in ("retry", "cancel", "urgent"):
        assert press(user, f"/jobs/{job}/{action}").headers["location"] == "/?said=unchanged"
    assert gateway.state(job) == "segmented"
    assert "Nothing was changed" in user.get("/?said=unchanged").text


def test_a_button_of_the_gateway_page_never_leads_to_another_server(user: httpx.Client) -> None:
    answer = press(user, "/pause", next="//evil.example/")
    assert answer.headers["location"] == "/?said=paused"

import json
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trustme

from gateway.config import DestinationSection, GatewaySettings, RuleSection, WebSection
from gateway.recent_log import RecentLog
from gateway.store.destination_states import DestinationStates
from gateway.web.describe_rule_in_words import rule_sentences
from gateway.web.server import running_web
from tests.servers import LOOPBACK
from tests.unit.gateway.web.browsing import log_in
from tests.unit.gateway.web.filling import STATUS, Filled
from tests.waiting import WAIT_SECONDS, wait_until

AN_HOUR = 3600.0
FINDINGS = [
    {
        "folder": "",
        "code": "LEVEL",
        "severity": severity,
        "structure": structure,
        "value": 1.0,
        "limit": 2.0,
        "unit": "",
        "sentence": sentence,
    }
    for severity, structure, sentence in (
        ("information", None, "The patient is a child."),
        ("reject", "kidney_left", "The kidneys have changed sides."),
        ("review", "liver", "25 % of the liver is below 20 HU."),
    )
]


def destination(name: str) -> DestinationSection:
    dicom = {"ae_title": name.upper(), "address": LOOPBACK}
    return DestinationSection.model_validate({"name": name, "dicom": dicom})


def page_of(gateway: Filled, path: str, **settings: object) -> str:
    """Returns a page of the gateway with other settings, as a user sees it."""
    changed = gateway.settings.model_copy(update=settings)
    with (
        running_web(changed) as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as client,
    ):
        log_in(client)
        return " ".join(client.get(path).text.split())


def test_the_page_shows_a_destination_with_its_last_test_and_never_as_good_without_one(
    gateway: Filled,
) -> None:
    states, now = DestinationStates(gateway.database), time.time()
    states.save("answers", None, now - 5)
    states.save("away", "AWAY at 127.0.0.1:104 can't be reached", now - 5)
    states.save("old", None, now - AN_HOUR)
    names = ("answers", "away", "never", "old")
    page = page_of(gateway, "/", destinations=tuple(map(destination, names)))
    _, *rows = page.partition('id="destinations"')[2].partition("</section>")[0].split("<li>")
    shown = dict(zip(names, rows, strict=True))
    assert 'chip good">answers<' in shown["answers"]
    assert "tested 5 s ago" in shown["answers"] or "tested 6 s ago" in shown["answers"]
    assert 'chip bad">away<' in shown["away"]
    assert "can&#39;t be reached" in shown["away"]
    assert 'chip warn">not known<' in shown["never"]
    assert 'chip warn">not known<' in shown["old"]


def test_the_overview_page_of_the_gateway_shows_studies_an_hour_and_the_load(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    study = gateway.receive(instance)
    for _ in range(2):  # one study
        gateway.succeed(gateway.open_job(study))
    running = gateway.open_job("1.2.3")
    gateway.begin(running)
    gateway.open_job("1.2.4")
    gateway.worker_list.see("box-1", "cpu", running)
    gateway.worker_list.see("box-2", "cpu", None)
    page = user.get("/").text
    for name, value in (
        ("Studies, last hour", "1"),
        ("Studies, last 24 h", "1"),
        ("Workers busy", "1 of 2"),
        ("Jobs waiting", "1"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page


def test_the_page_of_a_study_shows_all_findings_the_most_severe_first(
    user: httpx.Client, gateway: Filled, instance: Path
) -> None:
    study = gateway.receive(instance, AccessionNumber="A-100")
    job = gateway.open_job(study)
    gateway.succeed(job)
    status = {**STATUS, "warnings": ["One series was left out."]}
    status["quality"] = {"verdict": "reject", "findings": FINDINGS}
    (gateway.storage.output_folder(job) / "status.json").write_text(json.dumps(status))
    page = user.get(f"/studies/{study}").text
    places = [page.index(str(FINDINGS[n]["sentence"])) for n in (1, 2, 0)]
    assert places == sorted(places)
    assert "2 findings of quality control" in page
    assert "1 finding for information" in page
    assert "One series was left out." in page
    assert "<dd>A-100</dd>" in page
    assert f'href="/rules?study={study}"' in page


def test_the_rules_page_compares_a_study_with_each_rule(gateway: Filled, instance: Path) -> None:
    study = gateway.receive(instance, StudyDescription="<i>Trauma</i>")
    rules = (
        RuleSection(name="fitting"),
        RuleSection(name="other", modalities=("MR",), min_instances=5),
    )
    page = page_of(gateway, f"/rules?study={study}", rules=rules)
    assert "1 rule would fit this study: fitting." in page
    assert "The number of images is 1, the rule wants at least 5." in page
    assert "The modality is CT, the rule wants MR." in page
    assert "<i>Trauma" not in page


def test_the_rules_page_shows_the_rules_without_a_study_and_for_one_without_images(
    user: httpx.Client,
) -> None:
    page = user.get("/rules").text
    assert "Applies to every study that has a series of modality CT." in page
    assert "fits" not in page.partition('id="live"')[2]
    assert "This study has no images here" in user.get("/rules?study=1.2.3").text
    assert user.get(f"/rules?study={'1' * 65}").status_code == 404


def test_the_rules_page_writes_a_rule_in_words() -> None:
    rule = RuleSection(
        senders=("CT1", "CT2"),
        body_parts=("chest",),
        descriptions=("trauma",),
        min_instances=20,
        urgent=True,
        application={
            "segmentation": {"task": "total", "variant": "fast"},
            "results": {"kinds": ["seg", "sr"]},
        },
        destinations=("pacs", "sender"),
        review_destinations=("archive",),
        reject_destinations=(),
    )
    assert rule_sentences(rule, GatewaySettings()) == [
        "Applies to every study from CT1 or CT2 that has a series of modality CT in which Body "
        "Part Examined matches “chest” and the description of the study or series matches "
        "“trauma”.",
        "The study needs at least 20 images.",
        "Segments with the task total, fast, and writes seg, sr.",
        "Its jobs start before all jobs that are not urgent.",
        "Sends the results to pacs and the sender.",
        "Results that need review go to archive.",
        "Results that quality control rejects are held back.",
    ]


def test_the_log_page_shows_the_newest_lines_of_the_log(
    user: httpx.Client, gateway: Filled
) -> None:
    assert "No process has logged a warning" in user.get("/log").text
    event = {"event": "sender_rejected", "level": "warning", "who": "<b>CT9</b>"}
    log = RecentLog(gateway.settings.storage_folder, "receive")
    log.keep({**event, "timestamp": "2026-12-01T10:00:00.5Z"})
    page = user.get("/log").text
    assert "<td>sender rejected</td>" in page
    assert "&lt;b&gt;CT9&lt;/b&gt;" in page


def test_the_page_names_a_certificate_that_expires_soon_and_the_gateway_stays_healthy(
    gateway: Filled, tmp_path: Path
) -> None:
    expires = datetime.now(UTC) + timedelta(days=12)
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    issued = authority.issue_cert(LOOPBACK, not_after=expires)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    web = WebSection(port=0, certificate_file=certificate, key_file=key)
    gateway.worker_list.see("box-1", "cpu", None)
    with (
        running_web(gateway.settings.model_copy(update={"web": web})) as port,
        httpx.Client(
            base_url=f"https://{LOOPBACK}:{port}", verify=trust, timeout=WAIT_SECONDS
        ) as client,
    ):
        wait_until(lambda: client.get("/health").json()["warnings"], "the certificate is read")
        said = client.get("/health")
        log_in(client)
        page = client.get("/").text
    (warning,) = said.json()["warnings"]
    assert warning.startswith("the certificate in web.certificate_file expires on ")
    assert (said.status_code, said.json()["reasons"]) == (200, [])
    assert "The certificate in web.certificate_file expires on" in page


@pytest.mark.parametrize("path", ["/search", "/rules", "/log"])
def test_only_users_who_are_logged_in_see_the_pages_of_search_rules_and_log(
    stranger: httpx.Client, path: str
) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next=%2F{path[1:]}")
    assert stranger.post(path, data={}).status_code in (303, 405)

"""Tests that docs/monitoring.md lists the metrics and alarms of the gateway, and no others."""

import json
import re
from pathlib import Path

import httpx
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from gateway.alarm.message_text import MessageWriter
from gateway.config import AlarmKind, GatewaySettings
from gateway.store.destination_states import DestinationStates
from gateway.web.server import running_web
from tests.dashboard import PAGE, DocumentedMetric, documented_metrics
from tests.servers import LOOPBACK
from tests.unit.gateway.alarm.test_message_text import alarms, message
from tests.unit.gateway.web.filling import open_filled
from tests.waiting import WAIT_SECONDS

DOCUMENT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[DocumentedMetric]:
    """The metrics of a gateway that has at least one of everything."""
    folder = tmp_path_factory.mktemp("gateway")
    settings = filled_settings(folder)
    gateway = open_filled(settings)
    with gateway.database, running_web(settings) as port:
        gateway.open_job("1.2")
        gateway.succeed(gateway.open_job("1.3"))
        gateway.worker_list.see("box-1", "cpu", None)
        DestinationStates(gateway.database).save("pacs", None, 1.0)
        text = httpx.get(f"http://{LOOPBACK}:{port}/metrics", timeout=WAIT_SECONDS).text
    return [
        DocumentedMetric(
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels),
        )
        for family in text_string_to_metric_families(text)
    ]


def filled_settings(folder: Path) -> GatewaySettings:
    """Returns settings with a destination, a certificate and a webhook."""
    authority, secret = folder / "ca.pem", folder / "secret"
    trustme.CA().cert_pem.write_to_path(authority)
    secret.write_text("a secret")
    node = {"ae_title": "PACS", "address": LOOPBACK, "ca_file": authority}
    webhook = {"name": "pager", "url": "https://pager.example", "secret_file": secret}
    return GatewaySettings.model_validate(
        {
            "storage_folder": folder / "storage",
            "receive": {"keep_free_gb": 0.001},
            "destinations": [{"name": "pacs", "dicom": node}],
            "web": {"port": 0},
            "alarms": {"webhooks": [webhook]},
        }
    )


def test_the_documented_table_of_metrics_has_each_metric_with_its_type_and_labels(
    shown: list[DocumentedMetric],
) -> None:
    assert set(documented_metrics()) == set(shown)
    assert len(documented_metrics()) == len(shown)


def test_names_of_metrics_follow_the_conventions_of_prometheus(
    shown: list[DocumentedMetric],
) -> None:
    for metric in shown:
        assert metric.name.startswith("totalmap_")
        assert not re.search(r"_(ms|minutes|hours|days|kb|mb|gb)$", metric.name), "base units only"


def test_the_documented_table_of_alarms_has_each_kind() -> None:
    _, _, section = DOCUMENT.partition("## Alarms")
    table, _, _ = section.partition("## Metrics")
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [*AlarmKind]


def test_the_documented_json_of_an_alarm_webhook_has_the_keys_that_are_sent() -> None:
    example = re.search(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    assert example
    documented = json.loads(example[1])
    kind = AlarmKind.JOB_DEAD
    sent = MessageWriter(GatewaySettings(), "box").write(message(kind, alarms(kind, "1"))).document
    assert [*documented] == [*sent]
    assert [*documented["begun"]["alarms"][0]] == [*sent["begun"]["alarms"][0]]

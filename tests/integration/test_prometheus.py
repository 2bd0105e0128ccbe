"""A real Prometheus scrapes a gateway: it answers the dashboard and evaluates the alert rules."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.store.destination_states import DestinationStates
from gateway.web.server import running_web
from tests.dashboard import RULES, dashboard_queries, rules
from tests.servers import LOOPBACK, free_port, require_program
from tests.unit.gateway.test_monitoring_documented import filled_settings
from tests.unit.gateway.web.filling import open_filled
from tests.waiting import WAIT_SECONDS, wait_until

SCRAPE = "200ms"


@contextmanager
def running_prometheus(folder: Path, target_port: int) -> Iterator[httpx.Client]:
    """Yields a client of a Prometheus that scrapes a gateway; it is killed at the end."""
    program, port = require_program("prometheus", "prometheus"), free_port()
    settings = {
        "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "totalmap",
                "static_configs": [{"targets": [f"{LOOPBACK}:{target_port}"]}],
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings))
    command = [
        *(str(program), f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address={LOOPBACK}:{port}",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as client:
                wait_until(lambda: is_ready(client), "Prometheus up")
                yield client
        finally:
            process.kill()
            process.wait()


def is_ready(client: httpx.Client) -> bool:
    with suppress(httpx.HTTPError):
        return client.get("/-/ready").is_success
    return False


def answer(client: httpx.Client, query: str) -> list[Any]:
    """Returns the series with which Prometheus answers a query."""
    found = client.get("/api/v1/query", params={"query": query}).json()
    assert found["status"] == "success", f"{query}: {found}"
    series: list[Any] = found["data"]["result"]
    return series


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("scraped")
    settings = filled_settings(folder)
    gateway = open_filled(settings)
    with gateway.database, running_web(settings) as port:
        gateway.succeed(gateway.open_job("1.2"))
        gateway.worker_list.see("box-1", "cpu", None)
        DestinationStates(gateway.database).save("pacs", None, 1.0)
        with running_prometheus(folder, port) as client:
            # Rates need two values.
            wait_until(lambda: bool(answer(client, "rate(totalmap_faults[5m])")), "scraped twice")
            yield client


def test_prometheus_answers_each_query_of_the_monitoring_dashboard(
    prometheus: httpx.Client,
) -> None:
    assert answer(prometheus, 'up{job="totalmap"}')[0]["value"][1] == "1"
    queries = dashboard_queries()
    assert len(queries) > 20
    assert [query for query in queries if not answer(prometheus, query)] == []


def test_prometheus_evaluates_each_alert_rule(prometheus: httpx.Client) -> None:
    def evaluated() -> list[dict[str, Any]]:
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] != "unknown" for rule in evaluated()), "evaluated")
    assert [rule["lastError"] for rule in evaluated() if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in evaluated()] == [rule["alert"] for rule in rules()]

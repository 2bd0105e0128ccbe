"""Tests the alert rules and the dashboard: promtool accepts them, and they name real metrics."""

import subprocess
from pathlib import Path

import yaml

from tests.dashboard import (
    DASHBOARD,
    RULES,
    dashboard,
    dashboard_queries,
    documented_metrics,
    metrics_in,
    rules,
)
from tests.servers import require_program

TESTS = Path(__file__).with_name("prometheus_rules_test.yml")


def promtool(*arguments: object) -> str:
    program = require_program("promtool", "prometheus")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_alert_rules() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", RULES)


def test_each_prometheus_alert_fires_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS)


def test_each_prometheus_alert_rule_has_a_test_a_severity_and_a_remedy() -> None:
    tested = {
        case["alertname"]
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tested == {rule["alert"] for rule in rules()}
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_alert_rules_and_monitoring_dashboard_name_only_documented_metrics() -> None:
    known = {metric.name for metric in documented_metrics()}
    queries = [*dashboard_queries(), *(rule["expr"] for rule in rules())]
    assert set().union(*map(metrics_in, queries)) <= known


def test_each_documented_metric_is_in_the_monitoring_dashboard_or_in_an_alert_rule() -> None:
    queries = [*dashboard_queries(), *(rule["expr"] for rule in rules())]
    used = set().union(*map(metrics_in, queries))
    assert {metric.name for metric in documented_metrics()} - used == set()


def test_the_panels_of_the_monitoring_dashboard_have_titles_places_and_a_data_source() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, "Grafana has 24 columns"
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert DASHBOARD.read_text().count('"uid": "totalmap-gateway"') == 1

"""Reads the dashboard and the alert rules for Prometheus, and the table of metrics in the docs."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from tests.conftest import REPOSITORY

RULES = REPOSITORY / "deploy" / "prometheus" / "totalmap-rules.yml"
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "totalmap.json"
PAGE = REPOSITORY / "docs" / "monitoring.md"
_ROW = re.compile(r"^\| `(totalmap_\w+)` \| (\w+) \| ([^|]*) \|", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DocumentedMetric:
    """A metric, as the docs have it.

    Attributes:
        name: With `_total` for a counter.
        kind: `counter`, `gauge` or `histogram`.
    """

    name: str
    kind: str
    labels: frozenset[str]


def documented_metrics() -> list[DocumentedMetric]:
    """Returns the rows of the table of metrics."""
    return [
        DocumentedMetric(name, kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in _ROW.findall(PAGE.read_text(encoding="utf-8"))
    ]


def dashboard() -> dict[str, Any]:
    """Returns the dashboard for Grafana."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def dashboard_queries() -> list[str]:
    """Returns the queries of all panels, for all gateways, as Grafana sends them."""
    return [
        target["expr"].replace("$instance", ".*")
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    ]


def rules() -> list[dict[str, Any]]:
    """Returns the alert rules."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(query: str) -> set[str]:
    """Returns the metrics of this gateway that a query names."""
    names = re.findall(r"\btotalmap_\w+", query)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}

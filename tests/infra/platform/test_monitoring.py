"""Alerts, dashboard and scrape: they name metrics that the transformer has, and fire when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from serving.telemetry.metrics import Metrics
from tests.helpers.crds import ROOT
from tests.infra.platform.conftest import OVERLAYS, Platform
from tests.infra.serving.conftest import render

FOLDER = ROOT / "infra" / "base" / "monitoring"
PROMTOOL = shutil.which("promtool")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["spec"]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> dict[str, str]:
    """Every expression of alerts and dashboard, by what it is for."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in json.loads((FOLDER / "dashboard.json").read_text("utf-8"))["panels"]:
        found |= {f"{panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    return found


def real_metrics() -> dict[str, set[str]]:
    """Labels of every series that the transformer shows, by name."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    labels: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        (described,) = metric.describe()
        names = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[described.type]
        for ending in names:
            labels[described.name + ending] = set(metric._labelnames) | ({"le"} if ending == "_bucket" else set())
    return labels


@pytest.mark.parametrize("purpose", expressions())
def test_an_expression_names_real_metrics_and_labels(purpose: str) -> None:
    expression, real = expressions()[purpose], real_metrics()
    names = re.findall(r"covidctnet_\w+", expression)
    assert names
    allowed: set[str] = set()
    for name in names:
        assert name in real, f"{name} is no metric of serving/telemetry/metrics.py"
        allowed |= real[name]
    used = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression))
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        used |= {label.strip() for label in grouped.split(",")}
    assert used <= allowed


def test_every_metric_is_on_the_dashboard() -> None:
    shown = (FOLDER / "dashboard.json").read_text("utf-8")
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in real_metrics()}
    assert {name for name in families if name not in shown} == set()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed; infra/local/install-debian.sh does")
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    # A test would have to repeat every annotation word by word.
    plain = [{name: value for name, value in rule.items() if name != "annotations"} for rule in rules()]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "covidctnet", "rules": plain}]}))
    shutil.copy(FOLDER / "alerts_test.yaml", tmp_path)
    result = subprocess.run(
        [str(PROMTOOL), "test", "rules", "alerts_test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_tested_to_fire_and_has_an_entry_in_the_runbook() -> None:
    tested = {
        case["alertname"]
        for test in yaml.safe_load((FOLDER / "alerts_test.yaml").read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE)
    for rule in rules():
        assert rule["alert"] in tested
        assert rule["alert"] in headings
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_prometheus_finds_the_transformers_and_has_a_token(overlay: str) -> None:
    platform = Platform(overlay, render(OVERLAYS / overlay))
    monitor = platform.one("ServiceMonitor")
    (service,) = (
        item
        for item in platform.of("Service")
        if monitor["spec"]["selector"]["matchLabels"].items() <= item["metadata"].get("labels", {}).items()
    )
    assert service["metadata"]["namespace"] == monitor["metadata"]["namespace"]
    (endpoint,) = monitor["spec"]["endpoints"]
    ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    (container,) = platform.transformer["containers"]
    assert ports[endpoint["port"]] in {port["containerPort"] for port in container["ports"]}
    assert service["spec"]["selector"] == {
        "serving.kserve.io/inferenceservice": "covidctnet",
        "component": "transformer",
    }
    secret = endpoint["authorization"]["credentials"]
    made = {item["metadata"]["name"]: item for item in platform.of("ExternalSecret")}
    assert secret["key"] in {entry["secretKey"] for entry in made[secret["name"]]["spec"]["data"]}

"""Alerts and dashboard: every expression is one, asks for metrics the daemons have, and every alert fires when it should."""

import json
import re
import shutil
import subprocess

import chart
import pytest
import yaml

# What does not come from Gitward's own code.
FOREIGN = {
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """The rules with the chart's defaults, as a file of Prometheus."""
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rendered_rules()))
    return path


def test_prometheus_accepts_the_rules(rules):
    assert "SUCCESS: 14 rules found" in promtool("check", "rules", str(rules))


def test_every_alert_fires_when_it_should_and_only_then(rules):
    (rules.parent / "alerts.yaml").write_text((chart.ROOT / "tests/chart/alerts.yaml").read_text())
    promtool("test", "rules", str(rules.parent / "alerts.yaml"))


def test_every_alert_has_a_test_and_a_page_of_the_runbook():
    tested = (chart.ROOT / "tests/chart/alerts.yaml").read_text()
    runbook = (chart.CHART / "README.md").read_text()
    for alert in alerts(rendered_rules()):
        assert f"alertname: {alert}\n" in tested, alert
        assert re.search(rf"^#+ {alert}$", runbook, re.MULTILINE), alert


def test_alerts_can_be_switched_off_and_labelled():
    found = chart.one(chart.objects("monitoring"), "PrometheusRule")["spec"]
    assert "GitwardQueueing" not in alerts(found) and "GitwardAbsent" in alerts(found)
    assert all(alert["labels"]["team"] == "git" for alert in alerts(found).values())
    assert alerts(found)["GitwardDecisionsSlow"]["expr"].endswith("> 0.5")


def test_every_expression_of_the_dashboard_is_one(tmp_path):
    found = [{"record": f"panel:{n}", "expr": e} for n, e in enumerate(expressions())]
    (tmp_path / "dashboard.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": found}]}))
    assert f"SUCCESS: {len(found)} rules found" in promtool("check", "rules", str(tmp_path / "dashboard.yaml"))


def test_every_metric_is_one_that_the_daemons_have():
    known = known_metrics()
    wanted = expressions() + [rule["expr"] for group in rendered_rules()["groups"] for rule in group["rules"]]
    for expression in wanted:
        names = set(re.findall(r"\b((?:gitward|process|kubelet)_[a-z_]+)(?=[{\[ )])", expression))
        assert names and {re.sub("_bucket$", "", name) for name in names} <= known, expression


def test_every_metric_of_the_daemons_is_somewhere_to_be_seen():
    shown = " ".join(expressions())
    unseen = {name for name in known_metrics() - FOREIGN if name not in shown}
    # Differences of a shadow policy are looked at while one is tried; what is built shows in the variables.
    assert unseen <= {"gitward_shadow_differences_total", "gitward_build_info"}, unseen


def test_the_dashboard_works_with_any_data_source():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}" and panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)


def test_monitors_read_ports_that_pods_have():
    for case, kind, endpoints in [("monitoring", "ServiceMonitor", "endpoints"), ("podmonitor", "PodMonitor", "podMetricsEndpoints")]:
        found = chart.objects(case)
        ports = {p["name"] for pod in chart.pods(found) for c in chart.containers(pod) for p in c.get("ports", [])}
        spec = chart.one(found, kind)["spec"]
        assert {e["port"] for e in spec[endpoints]} == {"authd-admin", "runner-admin"} <= ports
        selected = spec["selector"]["matchLabels"].items()
        labels = chart.one(found, "Service", "g-gitward-metrics")["metadata"]["labels"].items()
        assert kind == "PodMonitor" or selected <= labels


def rendered_rules() -> dict:
    return chart.one(chart.objects(monitoring__prometheusRule__enabled=True), "PrometheusRule")["spec"]


def alerts(spec: dict) -> dict[str, dict]:
    return {rule["alert"]: rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule}


def dashboard() -> dict:
    return json.loads(chart.one(chart.objects("monitoring"), "ConfigMap", "g-gitward-dashboard")["data"]["gitward.json"])


def expressions() -> list[str]:
    """Everything the dashboard asks Prometheus, with Grafana's own variables filled in."""
    found = dashboard()
    asked = [target["expr"] for panel in found["panels"] for target in panel.get("targets", [])]
    asked += [annotation["expr"] for annotation in found["annotations"]["list"]]
    return [e.replace("$__rate_interval", "5m").replace("$namespace", "git").replace("$pod", ".*") for e in asked]


def known_metrics() -> set[str]:
    """The names that the daemons register."""
    sources = [chart.ROOT / "authd/src/metrics.rs", chart.ROOT / "backend-runner/src/metrics.rs"]
    return FOREIGN | {n for s in sources for n in re.findall(r'"(gitward_[a-z_]+)"', s.read_text())}


def promtool(*arguments: str) -> str:
    done = subprocess.run([shutil.which("promtool"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

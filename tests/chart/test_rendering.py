"""Every example renders to what a Kubernetes API server would take, the same with both Helms."""

import functools
import json
import re
import subprocess

import chart
import kubernetes_validate
import pytest

CUSTOM = {"gateway.envoyproxy.io", "gateway.networking.k8s.io", "monitoring.coreos.com", "traefik.io"}


@pytest.mark.parametrize("version", chart.HELMS)
def test_lint_has_nothing_to_say(version):
    chart.helm(version, "lint", "--strict", str(chart.CHART))


@pytest.mark.parametrize("kubernetes", chart.KUBERNETES)
@pytest.mark.parametrize("case", chart.CASES)
def test_both_helms_render_the_same(case, kubernetes):
    assert without_random(chart.text(case, "helm4", kubernetes)) == without_random(chart.text(case, "helm3", kubernetes))


@pytest.mark.parametrize("kubernetes", chart.KUBERNETES)
@pytest.mark.parametrize("case", chart.CASES)
def test_every_object_is_one_that_kubernetes_knows(case, kubernetes):
    for found in chart.objects(case, kubernetes=kubernetes):
        if not custom(found):
            validate(json.dumps(found, sort_keys=True), kubernetes.rsplit(".", 1)[0])


def test_custom_resources_follow_their_definitions():
    # The filter ExternalAuth is experimental and in no schema there is; without it that route is like the others.
    found = [without_experiments(o) for case in chart.CASES for o in chart.objects(case) if custom(o)]
    assert {o["kind"] for o in found} == {"HTTPRoute", "Middleware", "PodMonitor", "PrometheusRule", "SecurityPolicy", "ServiceMonitor"}
    assert complaints(found) == [None] * len(found)


def test_the_check_of_custom_resources_finds_mistakes():
    broken = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "spec": {"endpoints": [{"port": 1}]}}
    unknown = {"apiVersion": "example.org/v1", "kind": "Thing"}
    assert all(complaints([broken, unknown]))


@pytest.mark.parametrize("case", chart.CASES)
def test_everything_is_labelled_and_no_selector_changes_with_a_version(case):
    for found in chart.objects(case):
        if found["metadata"]["name"] == "g-note":
            continue
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "g" and labels["helm.sh/chart"].startswith("gitward-")
        assert found["metadata"]["namespace"] == "git"
        selector = found.get("spec", {}).get("selector", {})
        assert "helm.sh/chart" not in str(selector) and "version" not in str(selector)


def test_names_stay_within_the_limit_however_long_the_release_is_called():
    rendered = chart.helm("helm4", "template", "a" * 53, str(chart.CHART), "--set", "shards.count=2")
    names = re.findall(r"^  name: (\S+)$", rendered, re.MULTILINE)
    assert names and max(map(len, names)) <= 63


def test_a_packaged_chart_is_whole(tmp_path):
    chart.helm("helm4", "package", str(chart.CHART), "--destination", str(tmp_path))
    [package] = tmp_path.iterdir()
    assert chart.helm("helm4", "template", "g", str(package)) == chart.helm("helm4", "template", "g", str(chart.CHART))


@functools.cache
def validate(found: str, kubernetes: str) -> None:
    """Remembered, since most objects are the same in most examples."""
    kubernetes_validate.validate(json.loads(found), kubernetes, strict=True)


def custom(found: dict) -> bool:
    return found["apiVersion"].split("/")[0] in CUSTOM


def without_experiments(found: dict) -> dict:
    for rule in found["spec"].get("rules", []):
        rule["filters"] = [f for f in rule.get("filters", []) if f["type"] != "ExternalAuth"]
    return found


def complaints(resources: list[dict]) -> list[str | None]:
    command = ["node", chart.ROOT / "tests/chart/crds.mjs", chart.TOOLS / "node_modules"]
    done = subprocess.run(command, input=json.dumps(resources), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def without_random(text: str) -> str:
    return re.sub(r"signing\.key: \S{44}$", "signing.key: KEY", text, flags=re.MULTILINE)

"""The files the daemons get: what they accept, and what happens to running pods when one of them changes."""

import base64
import json
import os
import subprocess

import chart
import jsonschema
import pytest
import yaml

SCHEMAS = {"authd.yaml": "authd", "backend-runner.yaml": "backend-runner", "policy.yaml": "policy", "users.yaml": "users"}
DEBUG = chart.TOOLS.parent / "debug"


@pytest.mark.parametrize("case", chart.CASES)
def test_the_files_of_the_daemons_follow_their_schemas(case):
    files = configuration(chart.objects(case))
    assert files
    for name, text in files.items():
        if name in SCHEMAS:
            schema = json.loads((chart.ROOT / f"config/schema/{SCHEMAS[name]}.schema.json").read_text())
            jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


@pytest.mark.parametrize("case", ["default", "users", "ephemeral", "autoscaling"])
def test_the_daemons_themselves_accept_their_files(case, tmp_path):
    if not (DEBUG / "authd").exists() or not (DEBUG / "backend-runner").exists():
        pytest.skip("the daemons are not built")
    (tmp_path / "git").mkdir()
    for name, text in configuration(chart.objects(case)).items():
        (tmp_path / name).write_text(text.replace("/srv/git", str(tmp_path / "git")).replace("/run/gitward", str(tmp_path)))
    for daemon in ("authd", "backend-runner"):
        command = [DEBUG / daemon, "check", "--config", tmp_path / f"{daemon}.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
        assert done.returncode == 0, done.stdout + done.stderr


def test_texts_arrive_as_they_were_written():
    files = configuration(chart.objects("users"))
    assert files["policy.yaml"].startswith("# the restrictions before the grants\nversion: 1\nbranches:")
    assert "argon2id" in files["users.yaml"]
    assert yaml.safe_load(files["authd.yaml"])["cache"]["capacity"] == 1000000


def test_directories_are_asked_in_order_files_first():
    found = chart.objects("ldap", users__existingSecret="people")
    directories = yaml.safe_load(configuration(found)["authd.yaml"])["directories"]
    assert [d.get("name", d["type"]) for d in directories] == ["users", "ldap", "partners"]
    assert directories[1]["bind_password_file"] == "/etc/gitward/ldap/password"
    assert directories[1]["tls"] == {
        "ca_file": "/etc/gitward/ldap/ca.pem",
        "certificate_file": "/etc/gitward/ldap/tls.crt",
        "key_file": "/etc/gitward/ldap/tls.key",
    }


FRONTS = {
    "nginx": "nginx",
    "ingress-nginx": "ingress-nginx",
    "gateway-fabric": "gateway-fabric",
    "traefik": "forward",
    "envoy-gateway": "envoy",
}


@pytest.mark.parametrize("kind", FRONTS)
def test_authd_alone_answers_one_kind_of_proxy_only(kind):
    found = chart.objects("auth-only", front__kind=kind)
    settings = yaml.safe_load(configuration(found)["authd.yaml"])
    assert settings["endpoints"] == [FRONTS[kind]] and settings["trusted_proxies"] == ["10.0.0.0/8"]


@pytest.mark.parametrize("kind", sorted(FRONTS.keys() - {"nginx"}))
def test_git_alone_is_published_through_a_proxy_that_asks(kind):
    found = [o for o in chart.objects(f"front-{kind}") if o["kind"] not in ("ConfigMap", "NetworkPolicy")]
    assert "auth-gitward" in str(found) and "X-Gitward-Decision" in str(found)
    published = [o for o in found if o["kind"] in ("Ingress", "HTTPRoute")]
    assert len(published) == 1 and "/git/" in str(published)


def test_pages_for_browsers_are_published_with_their_style_sheet():
    [rule] = chart.one(chart.objects("web"), "Ingress")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/git/", "/gitweb-static/"]


RELOADED = {
    "policy.text": "version: 1\naccess: { 'a/': { read: [joe] } }",
    "policy.shadow": "version: 1\naccess: { 'b/': { read: [joe] } }",
    "users.text": "version: 1\nusers: {}",
    "authd.config": {"realm": "other", "cache": {"capacity": 1000000}},
    "runner.config": {"push_options": False},
}
RESTARTED = {
    "nginx.workers": 3,
    "trustedProxies": ["192.0.2.1"],
    "authd.config": {"cache": {"capacity": 7}},
    "listenAddress": "[::]",
    "audit.enabled": False,
    "stop.drainSeconds": 7200,
}


@pytest.mark.parametrize("key", RELOADED)
def test_a_changed_setting_restarts_nothing(key):
    assert template("users", **{key: RELOADED[key]}) == template("users")


@pytest.mark.parametrize("key", RESTARTED)
def test_what_is_read_at_the_start_only_makes_new_pods(key):
    assert template("users", **{key: RESTARTED[key]}) != template("users")


@pytest.mark.parametrize("case", chart.CASES)
def test_a_request_may_not_last_longer_than_its_pod_waits(case):
    found = chart.objects(case)
    limits = yaml.safe_load(configuration(found).get("backend-runner.yaml", "limits: { request: 1s }"))["limits"]
    seconds = int(limits["request"][:-1]) * {"s": 1, "m": 60, "h": 3600}[limits["request"][-1]]
    for pod in chart.pods([o for o in found if o["kind"] != "Pod"]):
        assert pod["terminationGracePeriodSeconds"] > seconds


def test_the_daemons_start_before_nginx_and_stop_after_it():
    pod = chart.pods(chart.objects())[0]
    assert [c["name"] for c in pod["initContainers"]] == ["authd", "backend-runner"]
    for sidecar in pod["initContainers"]:
        assert sidecar["restartPolicy"] == "Always" and sidecar["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert [c["name"] for c in pod["containers"]] == ["nginx"]


def test_waiting_before_stopping_is_left_to_kubernetes_where_it_can():
    newer, older = (chart.pods(chart.objects(kubernetes=v))[0] for v in ("1.30.0", "1.29.0"))
    assert newer["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 10}}
    assert "lifecycle" not in older["containers"][0]


@pytest.mark.parametrize("case", chart.CASES)
def test_every_mount_has_its_volume_and_every_volume_its_object(case):
    found = chart.objects(case)
    there = {(o["kind"], o["metadata"]["name"]) for o in found}
    for pod in chart.pods(found):
        volumes = {v["name"]: v for v in pod["volumes"]}
        claims = {"repositories"} if any(o["kind"] == "StatefulSet" for o in found) else set()
        for container in chart.containers(pod):
            for mount in container.get("volumeMounts", []):
                assert mount["name"] in volumes.keys() | claims
        for kind, name in references(volumes.values()):
            assert (kind, name) in there or not name.startswith("g-gitward"), f"{kind} {name} is made by nobody"


def test_a_volume_for_one_node_is_let_go_before_the_next_pod_starts():
    strategies = {c: chart.one(chart.objects(c), "Deployment")["spec"]["strategy"]["type"] for c in ("default", "replicas")}
    assert strategies == {"default": "Recreate", "replicas": "RollingUpdate"}


def test_an_autoscaler_is_not_overruled_by_a_number():
    found = chart.objects("autoscaling")
    assert "replicas" not in chart.one(found, "Deployment")["spec"]
    assert len(chart.one(found, "HorizontalPodAutoscaler")["spec"]["metrics"]) == 2


def test_a_budget_is_only_for_what_can_do_without_a_pod():
    budgets = {c: [o for o in chart.objects(c) if o["kind"] == "PodDisruptionBudget"] for c in ("default", "replicas", "shards")}
    assert [len(found) for found in budgets.values()] == [0, 1, 2]


def test_a_digest_wins_over_a_tag_and_the_global_registry_over_the_other():
    images = [c["image"] for c in chart.containers(chart.pods(chart.objects("images", images__registry="other"))[0])]
    assert images == [
        "registry.example.org/mirror/gitward/authd@sha256:" + "0123456789abcdef" * 4,
        "registry.example.org/mirror/gitward/backend-runner:0.1.0",
        "registry.example.org/mirror/base/nginx:1.30.1",
    ]


def test_scripts_get_an_image_with_a_shell_and_nothing_else_does():
    image = "gitward/backend-runner:0.1.0"
    for case, runner in [("default", image), ("audit", image + "-shell")]:
        found = {c["name"]: c["image"] for pod in chart.pods(chart.objects(case)) for c in chart.containers(pod)}
        assert (found["backend-runner"], found["git"]) == (runner, image + "-shell")


def test_the_key_that_the_chart_makes_has_the_right_length():
    [key] = chart.one(chart.objects("signing-key"), "Secret")["data"].values()
    assert len(base64.b64decode(key)) == 32


def configuration(found: list[dict]) -> dict[str, str]:
    """Every file that ConfigMaps and Secrets of the release hold, by name."""
    files = {}
    for o in found:
        if o["kind"] == "ConfigMap":
            files |= o["data"]
        if o["kind"] == "Secret":
            files |= {n: base64.b64decode(v).decode(errors="replace") for n, v in o["data"].items()}
    return files


def template(case: str, **settings: object) -> dict:
    return chart.one(chart.objects(case, **settings), "Deployment")["spec"]["template"]


def references(volumes) -> list[tuple[str, str]]:
    found = []
    for volume in volumes:
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            if "configMap" in source:
                found.append(("ConfigMap", source["configMap"]["name"]))
            if "secret" in source:
                found.append(("Secret", source["secret"].get("secretName") or source["secret"]["name"]))
            if "persistentVolumeClaim" in source:
                found.append(("PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"]))
    return found

"""What every pod of every example must keep, whatever it is for."""

import re

import chart
import pytest

ALL = pytest.mark.parametrize("case", chart.CASES)


@ALL
def test_pods_follow_the_restricted_standard(case):
    for pod in chart.pods(chart.objects(case)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys()
        for volume in pod["volumes"]:
            assert volume.keys() - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


@ALL
def test_containers_may_become_nothing_more_and_write_to_volumes_only(case):
    for pod in chart.pods(chart.objects(case)):
        for container in chart.ours(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert not any("hostPort" in port for port in container.get("ports", []))


@ALL
def test_no_pod_has_a_token_of_the_api(case):
    for pod in chart.pods(chart.objects(case)):
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False


@ALL
def test_no_image_is_latest_and_every_container_has_a_limit_of_memory(case):
    for pod in chart.pods(chart.objects(case)):
        for container in chart.ours(pod):
            assert re.search(r":[^:/]*[0-9][^:/]*$|@sha256:", container["image"]), container["image"]
            assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"]


@ALL
def test_secrets_are_files_and_never_environment_or_parts_of_paths(case):
    for pod in chart.pods(chart.objects(case)):
        for container in chart.containers(pod):
            assert not container.get("envFrom") and not any("valueFrom" in v for v in container.get("env", []))
            assert not any("subPath" in mount for mount in container.get("volumeMounts", [])), "would never change"


@ALL
def test_nobody_but_the_daemons_has_the_signing_key(case):
    for pod in chart.pods(chart.objects(case)):
        holders = {c["name"] for c in chart.containers(pod) for m in c.get("volumeMounts", []) if m["name"] == "signing-key"}
        assert holders <= {"authd", "backend-runner"}


@ALL
def test_hooks_neither_reach_authd_nor_can_take_its_place(case):
    for pod in chart.pods(chart.objects(case)):
        mounts = [(c["name"], m["name"], m.get("readOnly")) for c in chart.containers(pod) for m in c.get("volumeMounts", [])]
        sockets = {mount for mount in mounts if mount[1].endswith("-socket")}
        nginx = {("nginx", "authd-socket", True), ("nginx", "runner-socket", True)}
        daemons = {("authd", "authd-socket", None), ("backend-runner", "runner-socket", None)}
        assert not sockets or sockets == nginx | daemons


def test_only_authd_has_the_secrets_of_ldap_and_of_users():
    pod = chart.pods(chart.objects("ldap"))[0]
    secret = {v["name"] for v in pod["volumes"] if "secret:" in str(v) or "'secret'" in str(v)}
    assert secret == {"authd-config"}
    holders = {c["name"] for c in chart.containers(pod) for m in c["volumeMounts"] if m["name"] in secret}
    assert holders == {"authd"}


def test_passwords_of_users_are_in_a_secret_and_nowhere_else():
    for found in chart.objects("users"):
        assert found["kind"] == "Secret" or "argon2id" not in str(found)


@ALL
def test_daemons_are_reached_through_their_sockets_when_they_share_a_pod(case):
    for pod in chart.pods(chart.objects(case)):
        names = {c["name"] for c in chart.containers(pod)}
        if "nginx" in names:
            ports = {p["containerPort"] for c in chart.containers(pod) for p in c.get("ports", [])}
            assert not ports & {9180, 9183}, "nothing but nginx answers git"


def test_the_service_for_clients_never_leads_to_a_daemon_behind_nginx():
    service = chart.one(chart.objects(), "Service", "g-gitward")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]


def test_by_default_connections_are_limited_to_what_is_needed():
    policy = chart.one(chart.objects(), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    git, metrics = policy["ingress"]
    assert "from" not in git and [p["port"] for p in git["ports"]] == [8080]
    assert metrics["from"] == [{"podSelector": {}}] and [p["port"] for p in metrics["ports"]] == [9181, 9182]
    assert [p["port"] for rule in policy["egress"] for p in rule["ports"]] == [53, 53]


def test_the_ldap_servers_can_be_reached_on_their_ports_and_at_their_addresses():
    egress = chart.one(chart.objects("ldap"), "NetworkPolicy")["spec"]["egress"][1]
    assert sorted(p["port"] for p in egress["ports"]) == [389, 636, 3269]
    assert egress["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def test_only_the_router_reaches_a_shard():
    found = chart.objects("shards")
    git = chart.one(found, "NetworkPolicy", "g-gitward")["spec"]["ingress"][0]
    [source] = git["from"]
    assert source["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "router"


@pytest.mark.parametrize("mode, port", [("auth-only", 9180), ("git-only", 9183)])
def test_a_daemon_alone_is_for_its_namespace_unless_somebody_is_named(mode, port):
    found = chart.objects(mode=mode, signingKey__existingSecret="key")
    git = chart.one(found, "NetworkPolicy")["spec"]["ingress"][0]
    assert git == {"ports": [{"port": port, "protocol": "TCP"}], "from": [{"podSelector": {}}]}


@ALL
def test_nginx_has_no_configuration_of_the_daemons_and_repositories_only_to_read_where_asked(case):
    for pod in chart.pods(chart.objects(case)):
        for nginx in (c for c in pod["containers"] if c["name"] == "nginx"):
            mounted = {m["name"] for m in nginx["volumeMounts"]}
            assert mounted <= {"nginx-config", "nginx-temp", "authd-socket", "runner-socket", "tls"} | ({"repositories", "cache"} if case == "service" else set())
            assert all(m["readOnly"] for m in nginx["volumeMounts"] if m["name"] in ("repositories", "cache"))


def test_uninstalling_keeps_repositories_and_the_key():
    claim = chart.one(chart.objects(), "PersistentVolumeClaim")
    key = chart.one(chart.objects("signing-key"), "Secret")
    for kept in (claim, key):
        assert kept["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    retention = chart.one(chart.objects("shards"), "StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert retention == {"whenDeleted": "Retain", "whenScaled": "Retain"}

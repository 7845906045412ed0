"""What the chart refuses, with both Helms: misspelt or impossible values, and values that contradict each other."""

import json

import chart
import pytest

# Values that are wrong by themselves: the schema refuses them.
WRONG = {
    "a key that does not exist": {"polcy": {"text": "x"}},
    "a misspelt key further in": {"ldap": {"enable": True}},
    "an unknown mode": {"mode": "everything"},
    "a number where a text belongs": {"logLevel": 3},
    "a tag that moves": {"images": {"nginx": {"tag": "latest"}}},
    "a digest that is none": {"images": {"authd": {"digest": "sha256:abc"}}},
    "root": {"podSecurity": {"runAsUser": 0}},
    "an audit log outside its volume": {"audit": {"path": "/etc/gitward/audit.jsonl"}},
    "a password in the values": {"ldap": {"config": {"bind_password": "secret"}}},
    "a setting that belongs to the chart": {"authd": {"config": {"listen": "127.0.0.1:1"}}},
    "the drain, which stop.drainSeconds sets": {"runner": {"config": {"limits": {"drain": "1s"}}}},
    "a network that breaks out of nginx.conf": {"trustedProxies": ["10.0.0.0/8; allow all"]},
    "a network with a line break": {"trustedProxies": ["10.0.0.0/8\nallow all"]},
    "a repository that breaks out of nginx.conf": {"shards": {"count": 1, "pinned": {'a.git" x; "': 0}}},
    "a repository that breaks out of the test": {"tests": {"user": "joe", "repository": "$(id).git"}},
    "a host that breaks out": {"ingress": {"enabled": True, "hosts": ['a"; b']}},
    "the name of a secret with a line break": {"users": {"existingSecret": "a\nb"}},
    "a hook git does not have": {"runner": {"externalHooks": {"post-update": "x"}}},
    "no access mode": {"persistence": {"accessModes": []}},
}

# Values that contradict each other, and a word of the answer.
CONTRADICTIONS = {
    "several pods on a volume for one node": ({"replicas": 2}, "ReadWriteMany"),
    "autoscaling on a volume for one node": ({"autoscaling": {"enabled": True}}, "ReadWriteMany"),
    "several pods without a volume": ({"replicas": 2, "persistence": {"enabled": False}}, "persistence"),
    "shards and replicas": ({"shards": {"count": 2}, "replicas": 2}, "exclude"),
    "shards and autoscaling": ({"shards": {"count": 2}, "autoscaling": {"enabled": True}}, "exclude"),
    "shards without a volume": ({"shards": {"count": 2}, "persistence": {"enabled": False}}, "persistence"),
    "shards on one claim": ({"shards": {"count": 2}, "persistence": {"existingClaim": "a"}}, "existingClaim"),
    "shards of authd alone": ({"shards": {"count": 2}, "mode": "auth-only"}, "all-in-one"),
    "a repository on a shard that is not there": ({"shards": {"count": 2, "pinned": {"a.git": 2}}}, "no shard 2"),
    "an alias that may be elsewhere than its repository": (
        {"shards": {"count": 2}, "runner": {"config": {"aliases": {"a.git": {"repository": "b.git"}}}}},
        "pin a.git and b.git",
    ),
    "an alias and its repository on two shards": (
        {
            "shards": {"count": 2, "pinned": {"a.git": 0, "b.git": 1}},
            "runner": {"config": {"aliases": {"a.git": {"repository": "b.git"}}}},
        },
        "different shards",
    ),
    "pages that authd knows nothing of": ({"runner": {"config": {"web": "gitweb"}}}, "must be the same"),
    "pages of shards": (
        {"shards": {"count": 2}, "authd": {"config": {"web": "gitweb"}}, "runner": {"config": {"web": "gitweb"}}},
        "one shard's",
    ),
    "two policies": ({"policy": {"text": "version: 1", "existingConfigMap": "a"}}, "exclude"),
    "two sets of users": ({"users": {"text": "version: 1", "existingSecret": "a"}}, "exclude"),
    "two keys": ({"signingKey": {"create": True, "existingSecret": "a"}}, "exclude"),
    "git without the key of its authd": ({"mode": "git-only"}, "signingKey"),
    "several authds with a key each": ({"mode": "auth-only", "replicas": 2}, "signingKey"),
    "LDAP without servers": ({"ldap": {"enabled": True}}, "urls"),
    "LDAP without the password": (
        {"ldap": {"enabled": True, "config": {"urls": ["ldaps://a"], "bind_dn": "cn=a"}}},
        "bindPassword",
    ),
    "TLS without nginx": ({"mode": "auth-only", "tls": {"existingSecret": "a"}}, "all-in-one"),
    "an Ingress for authd": ({"mode": "auth-only", "ingress": {"enabled": True, "hosts": ["a.b"]}}, "nothing to publish"),
    "git published without anybody who decides": (
        {"mode": "git-only", "signingKey": {"existingSecret": "a"}, "ingress": {"enabled": True, "hosts": ["a.b"]}},
        "nobody would be asked",
    ),
    "a kind of proxy that an Ingress cannot tell to ask": (
        {
            "mode": "git-only",
            "signingKey": {"existingSecret": "a"},
            "ingress": {"enabled": True, "hosts": ["a.b"]},
            "front": {"kind": "envoy-gateway", "authd": {"service": "a"}},
        },
        "cannot be told",
    ),
    "an Ingress for no host": ({"ingress": {"enabled": True}}, "hosts"),
    "a route through no Gateway": ({"httpRoute": {"enabled": True}}, "parentRefs"),
    "tests without a password": ({"tests": {"user": "joe"}}, "existingSecret"),
    "two monitors": ({"monitoring": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}}, "twice"),
    "requests longer than a pod waits": (
        {"stop": {"drainSeconds": 600}, "runner": {"config": {"limits": {"request": "1h"}}}},
        "cut",
    ),
    "a mount that the pod's own nginx does not serve": ({"authd": {"config": {"mount": "/code/"}}}, "/git/ only"),
}


@pytest.mark.parametrize("version", chart.HELMS)
@pytest.mark.parametrize("what", WRONG)
def test_the_schema_refuses(what, version, tmp_path):
    answer = refusal(version, WRONG[what], tmp_path)
    assert "specifications of the schema" in answer


@pytest.mark.parametrize("version", chart.HELMS)
@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_the_chart_refuses(what, version, tmp_path):
    values, word = CONTRADICTIONS[what]
    answer = refusal(version, values, tmp_path)
    assert "execution error" in answer and word in answer, answer


@pytest.mark.parametrize("version", chart.HELMS)
def test_a_cluster_without_native_sidecars_is_refused(version):
    with pytest.raises(chart.Refused, match="1.28"):
        chart.text(version=version, kubernetes="1.28.0")


def test_values_of_other_charts_may_be_among_the_global_ones():
    chart.objects(global__storageClass="fast")


def refusal(version: str, values: dict, place) -> str:
    file = place / "values.json"
    file.write_text(json.dumps(values))
    with pytest.raises(chart.Refused) as refused:
        chart.helm(version, "template", "g", str(chart.CHART), "--values", str(file))
    return str(refused.value)

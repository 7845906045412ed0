"""Changes of the configuration: they act in running containers, and a broken one changes nothing."""

import time

import pytest
import yaml
from client import status
from mini.cluster import until
from release import JOE, USERS, policy

DAEMONS = ["authd", "backend-runner"]
ONLY_JOE = {"text": policy(team={"read": ["joe"], "write": ["joe"]})}
BROKEN = {"text": policy() + '\n  "public/": { read: [everybody\n'}


def may_read(release, user):
    return status(release.url("team/test.git/info/refs?service=git-upload-pack"), user, f"{user}-demo") == 200


def test_a_new_policy_acts_without_a_restart_and_so_does_a_rollback(release):
    before = release.containers
    assert may_read(release, "james")
    revision = release.revision
    release.upgrade(policy=ONLY_JOE)
    upgraded = time.monotonic()
    until(lambda: not may_read(release, "james"), 10, "the new policy acts")
    print(f"\nfrom the end of helm upgrade to the new policy: {time.monotonic() - upgraded:.1f} s")
    assert may_read(release, "joe")
    release.helm.rollback(release.name, revision)
    until(lambda: may_read(release, "james"), 10, "the old policy acts again")
    assert release.containers == before


def test_a_user_who_is_removed_is_refused_without_a_restart(release):
    before = release.containers
    assert may_read(release, "james")
    release.upgrade(users={"text": yaml.safe_dump({"version": 1, "users": {"joe": {"password": JOE}}})})
    until(lambda: not may_read(release, "james"), 10, "james is gone")
    assert release.containers == before
    assert "james" in USERS["users"]


def test_a_malformed_policy_changes_nothing_and_can_be_seen(release):
    before = release.containers
    release.upgrade(policy=BROKEN)
    for daemon in DAEMONS:
        until(lambda: reload_success(release, daemon) == 0, 10, f"{daemon} has noticed")
        code, report = release.readyz(daemon)
        assert code == 200 and b"policy.yaml" in report
    assert may_read(release, "joe") and may_read(release, "james")
    assert not may_read(release, "nobody")
    release.upgrade()
    for daemon in DAEMONS:
        until(lambda: reload_success(release, daemon) == 1, 10, f"{daemon} is content again")
    assert release.containers == before


def test_an_alert_fires_for_a_policy_that_cannot_be_used(release):
    release.upgrade(monitoring={"prometheusRule": {"enabled": True}})
    rules = release.cluster.store.find_by("PrometheusRule", release.name)
    expressions = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert any("gitward_config_last_reload_success" in expression for expression in expressions)


def reload_success(release, daemon):
    return release.metric(daemon, "gitward_config_last_reload_success")


@pytest.fixture(autouse=True)
def everybody_is_as_at_first(release):
    yield
    release.restore()
    until(lambda: may_read(release, "james"), 20, "the first policy acts")

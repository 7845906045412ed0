"""LDAP from a pod: over TLS, with a password from a Secret that is changed while everything runs."""

import pytest
from client import status
from mini.cluster import until
from release import Release
from slapd import NAME, SERVICE, SUFFIX, Slapd


@pytest.fixture(scope="module")
def slapd(cluster, tmp_path_factory):
    slapd = Slapd(tmp_path_factory.mktemp("slapd"), cluster.network.gateway)
    cluster.names.others[NAME] = cluster.network.gateway
    yield slapd
    slapd.close()


@pytest.fixture(scope="module")
def with_ldap(cluster, helm, slapd):
    put_password(cluster, "first-password")
    cluster.store.apply({"kind": "ConfigMap", "metadata": {"name": "our-ca"}, "data": {"ca.crt": slapd.authority}})
    release = Release(cluster, helm, "ldap-gitward")
    config = {
        "preset": "openldap",
        "urls": [f"ldaps://{NAME}:{slapd.port}"],
        "bind_dn": SERVICE,
        "users": {"base": SUFFIX},
        "groups": {"base": SUFFIX},
    }
    ldap = {"enabled": True, "config": config, "bindPassword": {"existingSecret": "ldap-bind"}}
    release.install(ldap=ldap | {"ca": {"existingConfigMap": "our-ca"}})
    yield release
    release.uninstall()


def put_password(cluster, password):
    cluster.store.apply({"kind": "Secret", "metadata": {"name": "ldap-bind"}, "stringData": {"password": password}})


def answer(release, user):
    return status(release.url("team/test.git/info/refs?service=git-upload-pack"), user, f"{user}-demo")


def test_a_person_of_the_directory_can_clone_and_groups_count(with_ldap, git):
    git.clone(with_ldap.url("team/test.git", "alice"), "work")
    assert answer(with_ldap, "carol") == 403
    assert answer(with_ldap, "nobody") == 401


def test_a_rotated_password_is_used_without_a_restart(cluster, slapd, with_ldap):
    before = with_ldap.containers
    assert answer(with_ldap, "alice") == 200
    slapd.change_password(SERVICE, "second-password")
    slapd.restart()
    # Who is remembered goes on, a new login cannot be judged now, and is not told that its password is wrong.
    assert answer(with_ldap, "alice") == 200
    assert answer(with_ldap, "bob") == 503
    put_password(cluster, "second-password")
    until(lambda: answer(with_ldap, "bob") == 200, 20, "the new password is used")
    assert with_ldap.containers == before

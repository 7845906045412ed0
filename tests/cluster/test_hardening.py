"""What the containers of a pod may do: as little as their settings say, seen from outside them."""

import re
from pathlib import Path

import pytest

CONTAINERS = ["authd", "backend-runner", "nginx"]


@pytest.fixture(params=CONTAINERS)
def container(request, shared):
    return shared.container(request.param)


def test_no_process_has_a_privilege(container):
    for process in processes(container):
        state = (Path("/proc") / process / "status").read_text()
        fields = dict(line.split(":\t", 1) for line in state.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == ["65532"] * 4
        assert fields["Gid"].split() == ["65532"] * 4
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(fields[kind], 16) == 0, kind
        assert fields["NoNewPrivs"] == "1"
        assert fields["Seccomp"] == "2"


def test_the_root_directory_cannot_be_written(container):
    mounts = (Path("/proc") / processes(container)[0] / "mountinfo").read_text()
    root = next(line.split() for line in mounts.splitlines() if line.split()[4] == "/")
    assert "ro" in root[5].split(",")


def test_only_what_has_to_be_is_writable(container):
    mounts = (Path("/proc") / processes(container)[0] / "mountinfo").read_text()
    places = {line.split()[4] for line in mounts.splitlines() if "rw" in line.split()[5].split(",")}
    ours = {place for place in places if not re.match(r"/(proc|sys|dev|etc/(hosts|hostname|resolv\.conf)|run/\.containerenv)", place)}
    assert ours == {
        "authd": {"/run/gitward-authd", "/run/gitward-key"},
        "backend-runner": {"/run/gitward", "/run/gitward-key", "/srv/git", "/tmp", "/var/cache/gitward"},
        "nginx": {"/var/lib/nginx"},
    }[container.name]


def test_there_is_no_shell(container):
    for shell in ("/bin/sh", "/bin/bash", "/usr/bin/dash", "/bin/busybox"):
        assert container.execute([shell, "-c", "true"]).returncode in (126, 127)


def test_nginx_does_not_have_the_key(shared):
    mounts = (Path("/proc") / processes(shared.container("nginx"))[0] / "mountinfo").read_text()
    assert "gitward-key" not in mounts
    assert shared.container("nginx").execute(["/usr/sbin/nginx", "-t", "-q"]).returncode == 0


def processes(container):
    done = container.pod.podman.run("top", container.identity, "hpid")
    return done.stdout.split()[1:]

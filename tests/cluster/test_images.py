"""The images by themselves: what is in them, how they stop, and that the same content is the same image."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from mini.cluster import until
from release import VERSION, policy

IMAGES = {
    "authd": f"gitward/authd:{VERSION}",
    "backend-runner": f"gitward/backend-runner:{VERSION}",
    "nginx": f"gitward/nginx:{VERSION}",
}
CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture(params=IMAGES)
def image(request, cluster):
    return cluster.podman.inspect("image", IMAGES[request.param])[0]


def test_every_image_says_what_it_is_and_is_not_root(image):
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == VERSION
    assert labels["org.opencontainers.image.licenses"] == "MIT OR Apache-2.0"
    assert image["Config"]["User"] == "65532:65532"
    assert image["Created"].startswith("1970-01-01")


def test_no_image_has_a_shell_a_package_manager_or_a_program_that_changes_its_user(cluster, image):
    programs = {Path(line).name for line in files(cluster, image["Id"]) if "bin/" in line}
    assert not programs & {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "perl", "curl", "su", "sudo"}
    with_shell = [name for name in files(cluster, f"gitward/backend-runner:{VERSION}-shell") if name.endswith("bin/sh")]
    assert with_shell


def test_scanners_can_read_which_packages_are_in_it(cluster):
    names = files(cluster, IMAGES["backend-runner"])
    for package in ("git", "libc6", "openssh-client", "zlib1g"):
        assert f"var/lib/dpkg/status.d/{package}" in names


def test_a_daemon_is_well_and_ends_at_once_as_the_first_process(cluster, tmp_path):
    configure(tmp_path)
    for name in ("authd", "backend-runner"):
        mounts = ["--volume", f"{tmp_path}:/etc/gitward", "--tmpfs", "/run/gitward:mode=0777", "--tmpfs", "/srv/git:mode=0777"]
        alone = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        cluster.podman.run("run", "--detach", "--name", name, *alone, *mounts, "--tmpfs", "/tmp", IMAGES[name])
        ask = lambda *more: cluster.podman.run("exec", name, name, "health", *more, check=False)
        until(lambda: ask().returncode == 0, 20, f"{name} is ready")
        assert ask("--live").stdout == "ok\n"
        begun = time.monotonic()
        cluster.podman.run("stop", "--time", 20, name)
        print(f"\n{name} stopped within {time.monotonic() - begun:.2f} s")
        assert cluster.podman.inspect("container", name)[0]["State"]["ExitCode"] == 0
        cluster.podman.run("rm", name)


def test_the_same_content_is_the_same_image(cluster):
    known = cluster.podman.inspect("image", IMAGES["authd"])[0]
    labels = known["Config"]["Labels"]
    arguments = {
        "BASE": "localhost/gitward-tests/debian:bookworm",
        "VERSION": VERSION,
        "REVISION": labels["org.opencontainers.image.revision"],
    }
    words = ["build", "--quiet", "--layers", "--no-cache", "--network", "host", "--timestamp", "0", "--file", "authd/Containerfile"]
    for name, value in arguments.items():
        words += ["--build-arg", f"{name}={value}"]
    built = subprocess.run(
        [*os.environ["GITWARD_BUILDER"].split(), *words, "."], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert built.stdout.split()[-1] == known["Id"]


def configure(place):
    (place / "policy.yaml").write_text(policy())
    (place / "users.yaml").write_text("version: 1\nusers: {}\n")
    (place / "authd.yaml").write_text("version: 1\ndirectories: [{ type: users, file: users.yaml }]\n")
    (place / "backend-runner.yaml").write_text("version: 1\nadmin: 127.0.0.1:9182\nrepositories: /srv/git\n")
    place.chmod(0o755)


def files(cluster, image):
    """Names of everything in an image."""
    name = cluster.podman.run("create", "--pull", "never", image).stdout.strip()
    tar = subprocess.Popen(
        cluster.podman.command("export", name), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    listing = subprocess.run(["tar", "--list"], stdin=tar.stdout, capture_output=True, text=True, check=True).stdout
    tar.wait()
    cluster.podman.run("rm", name)
    return listing.splitlines()

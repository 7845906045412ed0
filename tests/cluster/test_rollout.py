"""What only a new pod can bring: the old one finishes what it has begun."""

import os
import threading
import time

from client import SlowLine, status
from mini.cluster import until

SIZE = 6 * 2**20


def test_a_push_survives_the_replacement_of_its_pod(release, git):
    git.clone(release.url("team/test.git", "joe"), "work")
    commit = git.commit("work", os.urandom(SIZE), branch="long")
    old = release.pod
    line = SlowLine(release.cluster.address(release.name), 80, rate=SIZE / 6)
    slow = release.url("team/test.git", "joe", line.port, "127.0.0.1")
    pushed = []
    push = threading.Thread(target=lambda: pushed.append(git.run("push", slow, "long", cwd=git.home / "work", check=False)))
    push.start()
    until(lambda: line.passed > SIZE / 6, 30, "the push is under way")
    # nginx cannot reload by itself, so another number of workers is another pod.
    upgrade = threading.Thread(target=release.upgrade, kwargs={"nginx": {"workers": 1}})
    upgrade.start()
    until(lambda: old.is_told_to_end, 30, "the old pod is told to end")
    assert push.is_alive()
    push.join()
    upgrade.join()
    line.close()
    assert pushed[0].returncode == 0, pushed[0].stderr
    assert release.pod is not old and old.is_over
    assert commit in git.run("ls-remote", release.url("team/test.git", "joe")).stdout


def test_hooks_from_a_config_map_judge_pushes(release, git):
    hook = '#!/bin/sh\necho "closed until the release, $GITWARD_USER" >&2\nexit 1\n'
    release.cluster.store.apply({"kind": "ConfigMap", "metadata": {"name": "our-hooks"}, "data": {"10-closed": hook}})
    shell = {"backendRunner": {"shell": True}}
    release.upgrade(runner={"externalHooks": {"pre-receive": "our-hooks"}}, images=shell)
    git.clone(release.url("team/test.git", "joe"), "work")
    git.commit("work", branch="refused")
    push = git.push("work", "refused", check=False)
    assert push.returncode != 0
    assert "closed until the release, joe" in push.stderr


def test_a_pod_without_requests_stops_at_once(release):
    old = release.pod
    asked = time.monotonic()
    release.cluster.delete_pod(old)
    until(lambda: old.is_over, 30, "the pod is gone")
    seconds = time.monotonic() - asked
    print(f"\nan idle pod was gone after {seconds:.1f} s, 1 s of it waiting for the Service")
    assert seconds < 10
    until(lambda: release.cluster.live_pods(instance=release.name, component="server"), 10, "there is a new pod")
    until(lambda: release.cluster.is_ready(release.pod.name), 30, "the new pod is ready")


def test_a_container_that_is_killed_comes_back(release):
    runner = release.container("backend-runner")
    before, restarts = release.containers, runner.restarts
    release.pod.podman.run("kill", "--signal", "KILL", runner.identity)
    until(lambda: runner.restarts > restarts, 20, "it is started again")
    until(lambda: release.cluster.is_ready(release.pod.name), 20, "the pod is ready again")
    until(lambda: ask(release) == 200, 10, "requests are answered")
    after = release.containers
    assert after.pop("backend-runner") != before.pop("backend-runner")
    assert after == before


def ask(release):
    return status(release.url("team/test.git/info/refs?service=git-upload-pack"), "joe", "joe-demo")

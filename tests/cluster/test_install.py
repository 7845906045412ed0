"""From nothing to the first push, and back to nothing but the repositories."""

import time

import pytest
from client import Watching, status
from release import Release


class Installed(Release):
    """A release that is watched from before its first moment."""

    REPOSITORIES = ("team/test.git",)

    def __init__(self, cluster, helm):
        super().__init__(cluster, helm, "first-gitward")
        self.watching = Watching(self._first_answer)
        asked = time.monotonic()
        self.install()
        self.seconds = time.monotonic() - asked

    def _first_answer(self):
        """What nginx says, asked past the Service, which knows the pod only when it is ready."""
        pods = [pod for pod in self.cluster.live_pods(instance=self.name) if pod.address]
        return status(self.url("team/test.git/info/refs?service=git-upload-pack", None, 8080, pods[0].address)) if pods else None


@pytest.fixture(scope="module")
def installed(cluster, helm):
    installed = Installed(cluster, helm)
    yield installed
    installed.uninstall()


def test_a_repository_can_be_cloned_and_pushed_to_after_the_install(installed, git):
    asked = time.monotonic()
    git.clone(installed.url("team/test.git", "joe"), "work")
    print(f"\nfrom helm install to a clone: {installed.seconds + time.monotonic() - asked:.1f} s")
    commit = git.commit("work")
    git.push("work")
    assert commit in git.run("ls-remote", installed.url("team/test.git", "james")).stdout


def test_no_request_gets_an_error_while_the_pod_starts(installed):
    # Nobody listens, then nginx asks who it is: nothing in between.
    assert installed.watching.stop() == [None, 401]


def test_helm_test_clones_pushes_and_is_refused(cluster, installed):
    cluster.store.apply({"kind": "Secret", "metadata": {"name": "joe"}, "stringData": {"password": "joe-demo"}})
    user = {"user": "joe", "existingSecret": "joe", "repository": "team/test.git", "forbidden": "secret/plans.git"}
    installed.upgrade(tests=user)
    said = installed.helm.test(installed.name)
    assert "ok: cloned and pushed team/test.git" in said
    assert "FAILED" not in said


def test_what_was_pushed_is_there_after_uninstall_and_a_new_install(installed, git):
    git.clone(installed.url("team/test.git", "joe"), "before")
    commit = git.commit("before", branch="kept")
    git.push("before", "kept")
    installed.helm.uninstall(installed.name)
    assert installed.cluster.live_pods(instance=installed.name) == []
    assert installed.claims() == ["first-gitward-repositories"]
    installed.helm.install(installed.name, installed.values)
    assert commit in git.run("ls-remote", installed.url("team/test.git", "joe")).stdout

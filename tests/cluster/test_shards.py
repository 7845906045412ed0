"""Repositories divided among pods: each is on one of them, and the router knows which."""

import pytest
from client import metrics, status
from release import Release


class Sharded(Release):
    REPOSITORIES = ()

    def shards(self):
        return self.cluster.live_pods(instance=self.name, component="server")

    def holder(self, repository):
        """The pod that the router sends the requests for a repository to, by asking each for its count of them."""
        asked = self.url(f"{repository}/info/refs?service=git-upload-pack")
        before = {pod.name: decisions(pod) for pod in self.shards()}
        assert status(asked, "joe", "joe-demo") == 403
        (holder,) = [pod for pod in self.shards() if decisions(pod) > before[pod.name]]
        return holder


def decisions(pod):
    found = metrics(pod.address, Release.ADMIN["authd"])
    return sum(value for name, value in found.items() if name.startswith("gitward_auth_decisions_total"))


@pytest.fixture(scope="module")
def sharded(cluster, helm):
    release = Sharded(cluster, helm, "sharded-gitward")
    release.install(shards={"count": 3, "pinned": {"team/pinned.git": 2}, "router": {"replicas": 1}})
    yield release
    release.uninstall()


def test_every_repository_is_served_by_one_shard(sharded, git):
    names = [f"team/r{number}.git" for number in range(6)]
    holders = {name: sharded.holder(name) for name in names}
    assert len({pod.name for pod in holders.values()}) > 1
    for name, pod in holders.items():
        sharded.create_repository(name, pod)
        git.clone(sharded.url(name, "joe"), name)
        commit = git.commit(name)
        git.push(name)
        assert commit in git.run("ls-remote", sharded.url(name, "james")).stdout


def test_a_pinned_repository_is_where_it_was_pinned(sharded):
    assert sharded.holder("team/pinned.git").name == "sharded-gitward-2"


def test_each_shard_has_a_claim_of_its_own_that_stays(sharded):
    claims = [f"repositories-sharded-gitward-{number}" for number in range(3)]
    assert sorted(sharded.claims()) == claims

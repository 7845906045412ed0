"""What the tests share: one cluster and one release for all of them, git for each."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from client import Git  # noqa: E402
from helm import Helm  # noqa: E402
from mini.cluster import Cluster  # noqa: E402
from release import Release  # noqa: E402

# What .ci/cluster has prepared: images and Helm.
IMAGES = Path(os.environ["GITWARD_CLUSTER"])
HELM = os.environ["GITWARD_HELM"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), IMAGES)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def helm(cluster):
    return Helm(HELM, HERE.parent.parent / "helm", cluster.api, cluster.place / "helm")


@pytest.fixture(scope="session")
def shared(cluster, helm):
    """A release that most tests use, with the repositories of `release.py`."""
    release = Release(cluster, helm, "gitward")
    release.install()
    yield release
    release.uninstall()


@pytest.fixture
def release(shared):
    """The shared one, and afterwards as it was."""
    yield shared
    shared.restore()


@pytest.fixture
def git(tmp_path):
    return Git(tmp_path / "home")

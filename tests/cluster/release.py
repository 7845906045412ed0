"""A release of the chart as the tests install it: its policy, its users, and how to reach it."""

import copy

import yaml
from client import fetch, metrics
from mini.resources import BY_KIND

VERSION = "0.1.0"

# Passwords are the names with "-demo" behind them, as in the sample files.
JAMES = "$argon2id$v=19$m=19456,t=2,p=1$kVwpjDxHIR2fLg1nlosBmw$uhf1g/7HNBxZf76jQENwmfpBRnJ6y+CR6u/GEF2Gd74"
JOE = "$argon2id$v=19$m=19456,t=2,p=1$VMsk4SV3vuLAN31Aczrp/Q$yY7ulNt/iqMhaOzMhuz51v3S4UBaRQrdzDLKHxB7TmA"

USERS = {
    "version": 1,
    "users": {
        "james": {"password": JAMES, "groups": ["developers"]},
        "joe": {"password": JOE, "groups": ["developers"]},
    },
}

POLICY = {
    "version": 1,
    "access": {
        "public/": {"read": ["anonymous"]},
        "team/": {"read": ["@developers"], "write": ["joe"]},
        "secret/": {"read": ["@board"]},
    },
}


def policy(**access):
    """The policy with other grants: `policy(team={"read": ["joe"]})`."""
    changed = copy.deepcopy(POLICY)
    changed["access"] |= {f"{name}/": grant for name, grant in access.items()}
    return yaml.safe_dump(changed)


def values(**changed):
    """Values for Helm. Pods end within seconds here, where they wait for an hour in earnest."""
    return {
        "policy": {"text": policy()},
        "users": {"text": yaml.safe_dump(USERS)},
        "stop": {"delaySeconds": 1, "drainSeconds": 60},
        "persistence": {"size": "1Gi"},
    } | changed


def url(address, repository, user=None, port=80):
    login = f"{user}:{user}-demo@" if user else ""
    return f"http://{login}{address}:{port}/git/{repository}"


class Release:
    """One release, whose name must contain "gitward": all its objects are then called as it is."""

    REPOSITORIES = ("team/test.git", "public/hello.git", "secret/plans.git")
    ADMIN = {"authd": 9181, "backend-runner": 9182}

    def __init__(self, cluster, helm, name):
        self.cluster, self.helm, self.name = cluster, helm, name
        self.values = None
        self._changed = False

    def install(self, **changed):
        self.values = values(**changed)
        self.helm.install(self.name, self.values)
        for repository in self.REPOSITORIES:
            self.create_repository(repository)

    def upgrade(self, **changed):
        self._changed = True
        return self.helm.upgrade(self.name, self.values | changed)

    def restore(self):
        """As it was installed, if somebody has changed it."""
        if self._changed:
            self.upgrade()
            self._changed = False

    def uninstall(self):
        """All of it, the claims that Helm keeps included."""
        self.helm.uninstall(self.name)
        for claim in self.claims():
            self.cluster.store.remove(BY_KIND["PersistentVolumeClaim"], "default", claim)

    def claims(self):
        found = self.cluster.store.list(BY_KIND["PersistentVolumeClaim"], "default")
        return [claim["metadata"]["name"] for claim in found if self.name in claim["metadata"]["name"]]

    @property
    def revision(self):
        history = yaml.safe_load(self.helm.run("history", self.name, "--output", "yaml"))
        return history[-1]["revision"]

    @property
    def pod(self):
        return self.cluster.pod(component="server", instance=self.name)

    @property
    def containers(self):
        """Name of each container to its identity and number of restarts: unchanged means nothing was restarted."""
        return {container.name: (container.identity, container.restarts) for container in self.pod.containers}

    def container(self, name, pod=None):
        return next(container for container in (pod or self.pod).containers if container.name == name)

    def create_repository(self, name, pod=None):
        done = self.container("backend-runner", pod).execute(["backend-runner", "create-repo", name])
        assert done.returncode == 0, done.stderr

    def url(self, repository, user=None, port=80, address=None):
        return url(address or self.cluster.address(self.name), repository, user, port)

    def metric(self, container, name):
        return metrics(self.pod.address, self.ADMIN[container])[name]

    def readyz(self, container):
        return fetch(self.pod.address, self.ADMIN[container], "/readyz")

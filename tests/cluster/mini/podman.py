"""podman, with images and containers of its own, and a pod's security settings as its options."""

import json
import os
import subprocess
from pathlib import Path

CONFIGURATION = Path(__file__).parent.parent / "containers.conf"


class PodmanFailed(Exception):
    """podman said no; the message is its own."""


class Podman:
    """Everything it makes is below `place`, apart from what anybody else on the machine has."""

    def __init__(self, place):
        self._options = ["podman", "--root", str(place / "storage"), "--runroot", str(place / "run")]
        self._options += ["--network-config-dir", str(place / "networks")]
        (place / "networks").mkdir(parents=True, exist_ok=True)

    def command(self, *arguments):
        return [*self._options, *map(str, arguments)]

    def run(self, *arguments, check=True, timeout=None):
        done = subprocess.run(
            self.command(*arguments),
            env=os.environ | {"CONTAINERS_CONF": str(CONFIGURATION)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise PodmanFailed(f"podman {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done

    def inspect(self, what, name):
        return json.loads(self.run(what, "inspect", name).stdout)

    def clear(self):
        """Removes pods, containers, volumes and networks, as tests that were interrupted leave them; images stay."""
        self.run("pod", "rm", "--force", "--all", "--time", 0, check=False)
        self.run("rm", "--force", "--all", "--time", 0, check=False)
        self.run("volume", "rm", "--force", "--all", check=False)
        self.run("network", "prune", "--force", check=False)


def security_options(pod, container, image_user):
    """What a container may do. Refuses as a kubelet does what the pod promised not to be."""
    settings = (pod.get("securityContext") or {}) | (container.get("securityContext") or {})
    user, group = settings.get("runAsUser"), settings.get("runAsGroup")
    effective = str(user if user is not None else image_user or "0").split(":")[0]
    if settings.get("runAsNonRoot") and (not effective.isdigit() or effective == "0"):
        raise PodmanFailed(f"container {container['name']} has runAsNonRoot and would run as {effective!r}")
    options = []
    if user is not None:
        options += ["--user", f"{user}:{group}" if group is not None else str(user)]
    for extra in [settings.get("fsGroup"), *settings.get("supplementalGroups", [])]:
        options += ["--group-add", str(extra)] if extra is not None else []
    if settings.get("allowPrivilegeEscalation") is False:
        options += ["--security-opt", "no-new-privileges"]
    if settings.get("readOnlyRootFilesystem"):
        # Kubernetes gives no writable /tmp and /run to such a container, so podman may not either.
        options += ["--read-only", "--read-only-tmpfs=false"]
    capabilities = settings.get("capabilities") or {}
    for direction in ("drop", "add"):
        for capability in capabilities.get(direction, []):
            options += [f"--cap-{direction}", capability]
    return options + limits(container)


def limits(container):
    wanted = (container.get("resources") or {}).get("limits") or {}
    options = ["--memory", str(amount(wanted["memory"]))] if "memory" in wanted else []
    return options + (["--cpus", str(amount(wanted["cpu"]))] if "cpu" in wanted else [])


def amount(text):
    """A quantity of Kubernetes: 500m, 64Mi, 2."""
    units = {"m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    text = str(text)
    number = text.rstrip("kmMGTi")
    value = float(number) * units.get(text[len(number) :], 1)
    return int(value) if value == int(value) else value

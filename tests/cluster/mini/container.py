"""One container: how it is started, whether it runs, what its probes say."""

import json
import time

from .podman import PodmanFailed, security_options
from .probes import Probe, ask


class Container:
    def __init__(self, pod, settings, sidecar=False, once=False):
        self.pod, self.settings, self.sidecar, self.once = pod, settings, sidecar, once
        self.name = settings["name"]
        self.identity = None
        self.restarts = 0
        self.exit_code = None
        self.started = self.ready = False
        self._again_at = 0
        self._process = None
        self._probes = {}

    @property
    def is_running(self):
        return self._process is not None and is_alive(self._process)

    def start(self):
        podman, place = self.pod.podman, f"{self.pod.name}-{self.name}"
        image = podman.inspect("image", self.settings["image"])[0]["Config"]
        words = ["create", "--pull", "never", "--pod", self.pod.name, "--name", place, "--replace"]
        words += security_options(self.pod.spec, self.settings, image.get("User"))
        for mount in self.settings.get("volumeMounts", []):
            source = self.pod.volumes.path(mount["name"])
            words += ["--volume", f"{source}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}"]
        for name, value in self._environment().items():
            words += ["--env", f"{name}={value}"]
        if "command" in self.settings:
            words += ["--entrypoint", json.dumps(self.settings["command"])]
        arguments = self.settings.get("args", [] if "command" in self.settings else image.get("Cmd") or [])
        self.identity = podman.run(*words, self.settings["image"], *arguments).stdout.strip()
        podman.run("start", place)
        self._process = podman.inspect("container", place)[0]["State"]["Pid"]
        self.started = self.ready = False
        self.exit_code = None
        self._probes = {kind: Probe(self.settings[kind], self._ask) for kind in KINDS if kind in self.settings}

    def look(self):
        """Starts it again when it ended and should not have, asks its probes, draws the conclusions."""
        if not self.is_running:
            return self._look_after_end()
        if not self.started:
            self.started = self._verdict("startupProbe", otherwise=True)
        if self.started:
            self.ready = self._verdict("readinessProbe", otherwise=True)
            if self._verdict("livenessProbe", otherwise=True, unknown=True) is False:
                self.stop(5)
        return None

    def stop(self, seconds):
        """Asks it to end as its image says, and ends it after that time."""
        self.pod.podman.run("stop", "--time", max(int(seconds), 1), self.identity, check=False)
        self.ready = False

    def execute(self, command, seconds=60):
        return self.pod.podman.run("exec", self.identity, *command, check=False, timeout=seconds)

    def logs(self):
        done = self.pod.podman.run("logs", self.identity, check=False)
        return done.stdout + done.stderr

    def status(self):
        return {
            "name": self.name,
            "image": self.settings["image"],
            "containerID": f"podman://{self.identity}",
            "ready": self.ready or (self.once and self.exit_code == 0),
            "started": self.started,
            "restartCount": self.restarts,
            "state": {"running": {}} if self.is_running else {"terminated": {"exitCode": self.exit_code or 0}},
        }

    def _look_after_end(self):
        self.ready = False
        if self.exit_code is None:
            self.exit_code = self.pod.podman.inspect("container", self.identity)[0]["State"]["ExitCode"]
            self._again_at = time.monotonic() + min(2**self.restarts / 2, 10)
        policy = "Always" if self.sidecar else self.pod.spec.get("restartPolicy", "Always")
        done = self.once or policy == "Never" or (policy == "OnFailure" and self.exit_code == 0)
        if not done and time.monotonic() >= self._again_at:
            self.restarts += 1
            self.start()

    def _verdict(self, kind, otherwise, unknown=False):
        probe = self._probes.get(kind)
        if probe is None:
            return otherwise
        probe.look()
        return unknown if probe.settled is None else probe.settled

    def _ask(self, settings):
        ports = {port.get("name"): port["containerPort"] for port in self.settings.get("ports", [])}
        succeeds = lambda command, seconds: self.execute(command, seconds).returncode == 0
        return ask(settings, self.pod.address, ports, succeeds)

    def _environment(self):
        known = {}
        for variable in self.settings.get("env", []):
            known[variable["name"]] = variable["value"] if "value" in variable else self._looked_up(variable["valueFrom"])
        return known

    def _looked_up(self, source):
        if "fieldRef" in source:
            return self.pod.field(source["fieldRef"]["fieldPath"])
        if "secretKeyRef" in source:
            return self.pod.secret(source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
        raise PodmanFailed(f"a variable from {source} is not understood")


KINDS = ("startupProbe", "readinessProbe", "livenessProbe")


def is_alive(process):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

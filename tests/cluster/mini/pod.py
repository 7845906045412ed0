"""One pod, from its first volume to its last container's end, on a thread of its own."""

import threading
import time

from .container import Container
from .podman import PodmanFailed
from .resources import BY_KIND
from .store import now
from .volumes import MissingSource, Volumes, contents

PODS = BY_KIND["Pod"]


class Ended(Exception):
    """The pod is to be deleted, or is done."""


class Pod:
    def __init__(self, node, value):
        self.name = value["metadata"]["name"]
        self.store, self.podman, self.network = node.store, node.podman, node.network
        self.namespace, self.spec = value["metadata"]["namespace"], value["spec"]
        self._value = value
        self.volumes = Volumes(self.store, node.place / "pods" / self.name, node.claims, value)
        self.address = None
        self.containers = []
        self._thread = threading.Thread(target=self._run, daemon=True, name=self.name)
        self.grace = self.spec.get("terminationGracePeriodSeconds", 30)

    def start(self):
        self._thread.start()

    @property
    def is_over(self):
        return not self._thread.is_alive()

    @property
    def is_told_to_end(self):
        value = self.store.find(PODS, self.namespace, self.name)
        return value is None or "deletionTimestamp" in value["metadata"]

    def wait(self, seconds):
        self._thread.join(seconds)

    def _run(self):
        try:
            self._wait_for_volumes()
            self._make_sandbox()
            self._start_in_order()
            while True:
                self._look()
        except Ended:
            pass
        except PodmanFailed as error:
            self._report("Failed", str(error))
            self._wait_for_deletion()
        finally:
            self._stop_in_order()
            self.podman.run("pod", "rm", "--force", "--time", 0, self.name, check=False)
            self.volumes.remove()
            self.store.remove(PODS, self.namespace, self.name)

    def field(self, path):
        value = {"status.podIP": self.address, "spec.nodeName": "mini"}.get(path)
        if value is None:
            value = self._value
            for word in path.split("."):
                value = value[word]
        return value

    def secret(self, name, key):
        value = self.store.find(BY_KIND["Secret"], self.namespace, name)
        if value is None:
            raise PodmanFailed(f"secret {name} is not there")
        return contents(value)[key].decode()

    def refresh_volumes(self):
        """New content of ConfigMaps and Secrets; one that is gone or incomplete changes nothing, as with a kubelet."""
        try:
            self.volumes.refresh()
        except MissingSource:
            pass

    # --- starting ---

    def _wait_for_volumes(self):
        while True:
            try:
                return self.volumes.make()
            except MissingSource as missing:
                self._report("Pending", f"waiting for {missing}")
                self.volumes.remove()
                self._pause()

    def _make_sandbox(self):
        metadata = self._value["metadata"]
        words = ["pod", "create", "--name", self.name, "--hostname", self.spec.get("hostname", self.name)]
        words += self.network.pod_options(metadata["namespace"])
        for alias in self.spec.get("hostAliases", []):
            words += [option for name in alias["hostnames"] for option in ("--add-host", f"{name}:{alias['ip']}")]
        if self.spec.get("shareProcessNamespace"):
            words += ["--share", "ipc,net,uts,pid"]
        self.podman.run(*words)
        self.podman.run("pod", "start", self.name)
        infra = self.podman.inspect("pod", self.name)["InfraContainerID"]
        networks = self.podman.inspect("container", infra)[0]["NetworkSettings"]["Networks"]
        self.address = networks[self.network.name]["IPAddress"]

    def _start_in_order(self):
        """Sidecars one after the other, each when the one before has started; init containers to their end."""
        for settings in self.spec.get("initContainers", []):
            sidecar = settings.get("restartPolicy") == "Always"
            container = self._launch(Container(self, settings, sidecar=sidecar, once=not sidecar))
            while not (container.started if sidecar else container.exit_code == 0):
                self._look()
                if container.once and container.exit_code:
                    raise PodmanFailed(f"init container {container.name} failed: {container.logs()[-500:]}")
        for settings in self.spec["containers"]:
            self._launch(Container(self, settings))

    def _launch(self, container):
        container.start()
        self.containers.append(container)
        return container

    # --- running ---

    def _look(self):
        for container in self.containers:
            container.look()
        self._finish_when_done()
        self._report("Running")
        self._pause()

    def _pause(self):
        if self.is_told_to_end:
            raise Ended
        time.sleep(0.2)

    def _finish_when_done(self):
        """A pod that is not restarted has an outcome, once its main containers have ended."""
        names = {settings["name"] for settings in self.spec["containers"]}
        mains = [container for container in self.containers if container.name in names]
        if self.spec.get("restartPolicy") != "Never" or len(mains) < len(names) or any(c.is_running for c in mains):
            return
        for container in mains:
            container.look()
        failed = any(container.exit_code for container in mains)
        self._report("Failed" if failed else "Succeeded")
        self._wait_for_deletion()

    def _wait_for_deletion(self):
        while not self.is_told_to_end:
            time.sleep(0.1)
        raise Ended

    def _report(self, phase, message=""):
        ready = phase == "Running" and bool(self.containers) and all(c.ready or c.once for c in self.containers)
        ready = ready and len(self.containers) == len(self.spec["containers"]) + len(self.spec.get("initContainers", []))
        initial = {settings["name"] for settings in self.spec.get("initContainers", [])}
        statuses = [container.status() for container in self.containers]
        status = {
            "phase": phase,
            "message": message,
            "podIP": self.address,
            "conditions": [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")],
            "initContainerStatuses": [status for status in statuses if status["name"] in initial],
            "containerStatuses": [status for status in statuses if status["name"] not in initial],
        }

        def change(value):
            before = value.get("status", {})
            value["status"] = status | {"startTime": before.get("startTime", now())}

        self.store.change(PODS, self.namespace, self.name, change)

    # --- stopping ---

    def _stop_in_order(self):
        """Main containers together, then sidecars from the last to the first, all before one deadline."""
        deadline = time.monotonic() + self.grace
        mains = [container for container in self.containers if not container.sidecar]
        threads = [threading.Thread(target=self._stop, args=(container, deadline)) for container in mains]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for container in reversed([container for container in self.containers if container.sidecar]):
            self._stop(container, deadline)

    def _stop(self, container, deadline):
        if not container.is_running:
            return
        before = (container.settings.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in before:
            time.sleep(before["sleep"]["seconds"])
        if "exec" in before:
            container.execute(before["exec"]["command"], max(deadline - time.monotonic(), 1))
        container.stop(max(deadline - time.monotonic(), 2))

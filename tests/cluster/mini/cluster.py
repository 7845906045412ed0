"""Everything together: one node, its network, the controllers and the API, until it is closed."""

import threading
import time
import traceback

from .api import Api, delete
from .network import Names, Network, Services, is_ready
from .pod import PODS, Pod
from .podman import Podman
from .resources import BY_KIND, Target
from .store import Store
from .workloads import Workloads


class Cluster:
    def __init__(self, place, images):
        """`place` is for what this cluster makes, `images` is where podman has the images."""
        self.place, self.claims = place, place / "claims"
        self.store = Store()
        self.podman = Podman(images)
        self.podman.clear()
        self.network = Network(self.podman)
        self._hold_network()
        self.names = Names(self.store, self.network)
        self.pods = {}
        self.api = Api(self.store, self.logs)
        self._services = Services(self.store, self.network)
        self._workloads = Workloads(self.store)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._reconcile, daemon=True)
        self._thread.start()

    def close(self):
        """Ends every pod at once and removes what was made, except images."""
        self._closing.set()
        self._thread.join()
        for pod in list(self.pods.values()):
            pod.grace = 1
            self.store.remove(PODS, pod.namespace, pod.name)
        for pod in list(self.pods.values()):
            pod.wait(30)
        self.names.close()
        self.api.close()
        self.podman.clear()
        self.network.close()

    # --- what tests look at ---

    def pod(self, **labels):
        """The one pod that has these parts of `app.kubernetes.io/` labels and is not going away."""
        found = self.live_pods(**labels)
        assert len(found) == 1, f"{[pod.name for pod in found]} are not one pod"
        return found[0]

    def live_pods(self, **labels):
        wanted = {f"app.kubernetes.io/{name}": value for name, value in labels.items()}

        def fits(value):
            have = value["metadata"].get("labels", {})
            return "deletionTimestamp" not in value["metadata"] and wanted.items() <= have.items()

        names = sorted(value["metadata"]["name"] for value in self.store.list(PODS, None, fits))
        return [self.pods[name] for name in names if name in self.pods]

    def delete_pod(self, pod):
        delete(self.store, Target(PODS, pod.namespace, pod.name, None))

    def is_ready(self, name):
        value = self.store.find(PODS, "default", name)
        return value is not None and is_ready(value)

    def address(self, service):
        """Of a Service, as soon as it has one."""

        def found():
            value = self.store.find(BY_KIND["Service"], "default", service)
            return value and value["spec"].get("clusterIP")

        return until(found, 10, f"service {service} has an address")

    def logs(self, _namespace, pod, container=None):
        containers = self.pods[pod].containers if pod in self.pods else []
        return "".join(known.logs() for known in containers if container in (None, known.name))

    # --- the inside ---

    def _hold_network(self):
        """A container that does nothing: the bridge is there as long as somebody is on it."""
        self.podman.run(
            *("run", "--detach", "--pull", "never", "--network", self.network.name, "--name", "hold"),
            *("--entrypoint", '["/usr/bin/sleep", "infinity"]', "gitward-tests/debian:bookworm"),
        )

    def _reconcile(self):
        version = 0
        while not self._closing.is_set():
            try:
                self._services.reconcile()
                self._workloads.reconcile()
                self._keep_pods()
                for pod in list(self.pods.values()):
                    pod.refresh_volumes()
            except Exception:
                traceback.print_exc()
            version = self.store.wait(version, 0.5)

    def _keep_pods(self):
        for name in [name for name, pod in self.pods.items() if pod.is_over]:
            del self.pods[name]
        for value in self.store.list(PODS):
            if value["metadata"]["name"] not in self.pods and "deletionTimestamp" not in value["metadata"]:
                pod = self.pods[value["metadata"]["name"]] = Pod(self, value)
                pod.start()


def until(condition, seconds, what):
    """Waits for a condition, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(0.05)
    return value

"""The cluster's network: a bridge of its own, an address for each Service, and the names Kubernetes gives them."""

import itertools
import random
import socket
import subprocess
import threading

from .resources import BY_KIND
from .store import labels_match

DOMAIN = "svc.cluster.local"


class Network:
    """Pods get addresses from the lower half, Services from the upper half, which this machine answers for itself."""

    def __init__(self, podman):
        self._podman = podman
        self.name = f"mini{random.randrange(10**6)}"
        self.prefix = free_prefix()
        self.gateway = f"{self.prefix}.1"
        self._numbers = itertools.count(129)
        podman.run(
            *("network", "create", "--disable-dns", "--subnet", f"{self.prefix}.0/24"),
            *("--ip-range", f"{self.prefix}.0/25", "--gateway", self.gateway, self.name),
        )
        self._bridge = podman.inspect("network", self.name)[0]["network_interface"]

    def pod_options(self, namespace):
        options = ["--network", self.name, "--dns", self.gateway]
        for domain in (f"{namespace}.{DOMAIN}", DOMAIN):
            options += ["--dns-search", domain]
        return options

    def new_address(self):
        address = f"{self.prefix}.{next(self._numbers)}"
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", self._bridge], check=True)
        return address

    def close(self):
        self._podman.run("network", "rm", "--force", self.name, check=False)
        # podman has been seen to leave the bridge behind, with the addresses of the Services on it.
        subprocess.run(["ip", "link", "delete", self._bridge], check=False, stderr=subprocess.DEVNULL)


def free_prefix():
    """Of a network nobody on this machine has, as far as its routes tell."""
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    while True:
        prefix = f"10.{random.randrange(100, 250)}.{random.randrange(256)}"
        if prefix.rsplit(".", 1)[0] + "." not in routes:
            return prefix


class Balancer:
    """One port of one Service: a TCP proxy that asks for each connection which pods are ready."""

    def __init__(self, address, port, endpoints):
        self._endpoints = endpoints
        self._turn = itertools.count()
        self._listener = socket.create_server((address, port), backlog=256)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        # A thread in accept() keeps the port; a shutdown wakes it up.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client):
        endpoints = self._endpoints()
        try:
            server = socket.create_connection(endpoints[next(self._turn) % len(endpoints)], 5)
        except (OSError, ZeroDivisionError):
            # As without endpoints: refused, as far as a proxy can.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return client.close()
        server.settimeout(None)
        back = threading.Thread(target=copy, args=(server, client), daemon=True)
        back.start()
        copy(client, server)
        back.join()
        server.close()
        return client.close()


def copy(source, sink):
    """Until one of the two is done; an end is passed on as one."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Services:
    """Keeps addresses and proxies as the Services say."""

    def __init__(self, store, network):
        self._store, self._network = store, network
        self._balancers = {}

    def reconcile(self):
        wanted = {}
        for service in self._store.list(BY_KIND["Service"]):
            if service["spec"].get("clusterIP") == "None":
                continue
            address = service["spec"].get("clusterIP") or self._give_address(service)
            for port in service["spec"]["ports"]:
                wanted[address, port["port"]] = (service, port)
        for key in self._balancers.keys() - wanted.keys():
            self._balancers.pop(key).close()
        for (address, number), (service, port) in wanted.items():
            if (address, number) not in self._balancers:
                self._balancers[address, number] = Balancer(address, number, self._finder(service, port))

    def _give_address(self, service):
        address = self._network.new_address()
        metadata = service["metadata"]

        def change(value):
            value["spec"]["clusterIP"] = address

        self._store.change(BY_KIND["Service"], metadata["namespace"], metadata["name"], change)
        return address

    def _finder(self, service, port):
        def find():
            pods = endpoints(self._store, service)
            return [(pod["status"]["podIP"], port_of(pod, port.get("targetPort", port["port"]))) for pod in pods]

        return find


def endpoints(store, service):
    """The pods a Service stands for now."""
    every = service["spec"].get("publishNotReadyAddresses", False)
    selector = service["spec"].get("selector") or {}
    found = store.list(
        BY_KIND["Pod"], service["metadata"]["namespace"], lambda pod: bool(selector) and labels_match(selector, pod)
    )
    return [pod for pod in found if (pod.get("status") or {}).get("podIP") and (every or is_ready(pod))]


def is_ready(pod):
    conditions = (pod.get("status") or {}).get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def port_of(pod, port):
    if isinstance(port, int):
        return port
    containers = pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
    return next(known["containerPort"] for c in containers for known in c.get("ports", []) if known.get("name") == port)


class Names:
    """A name server for the pods: Services, the pods behind headless ones, and `others`; nothing else exists."""

    def __init__(self, store, network):
        self._store = store
        self.others = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((network.gateway, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._socket.close()

    def addresses(self, name):
        """None for a name that there is not."""
        name = name.lower().rstrip(".")
        if name in self.others:
            return [self.others[name]]
        if not name.endswith("." + DOMAIN):
            return None
        words = name[: -len(DOMAIN) - 1].split(".")
        host, service = (None, words) if len(words) == 2 else (words[0], words[1:])
        if len(service) != 2:
            return None
        found = self._store.find(BY_KIND["Service"], service[1], service[0])
        if found is None:
            return None
        if found["spec"].get("clusterIP") not in (None, "None"):
            return [found["spec"]["clusterIP"]] if host is None else None
        pods = endpoints(self._store, found)
        if host is not None:
            pods = [pod for pod in pods if pod["spec"].get("hostname", pod["metadata"]["name"]) == host]
        return [pod["status"]["podIP"] for pod in pods] or None

    def _serve(self):
        while True:
            try:
                query, client = self._socket.recvfrom(4096)
                self._socket.sendto(self._answer(query), client)
            except OSError:
                return
            except (IndexError, UnicodeDecodeError):
                continue

    def _answer(self, query):
        """RFC 1035, 4.1: one question, addresses of version 4 or nothing."""
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii"))
            at += 1 + query[at]
        question = query[12 : at + 5]
        found = self.addresses(".".join(labels))
        records = found or [] if question[-4:-2] == b"\0\1" else []
        flags = b"\x85\x80" if found is not None else b"\x85\x83"
        head = query[:2] + flags + b"\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        body = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address) for address in records)
        return head + question + body

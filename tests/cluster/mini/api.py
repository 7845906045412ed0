"""The API server: as much of Kubernetes' HTTP interface as Helm and kubectl use."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import yaml

from . import openapi, protobuf
from .resources import RESOURCES, groups, target
from .store import Conflict, now

VERSION = {"major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "linux/amd64"}


class Api:
    """Serves a store on a loopback port of its own."""

    def __init__(self, store, logs=lambda namespace, pod, container: ""):
        handler = type("Bound", (Handler,), {"store": store, "logs": staticmethod(logs)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = None
    logs = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        found = discovery(self.path_only) or openapi.document(self.path_only)
        if found is not None:
            return self.answer(200, found)
        wanted = target(self.path_only)
        if wanted is None:
            return self.refuse(404, "NotFound")
        if wanted.part == "log":
            return self.answer_text(self.logs(wanted.namespace, wanted.name, self.query.get("container")))
        if wanted.name:
            value = self.store.find(wanted.resource, wanted.namespace, wanted.name)
            return self.answer(200, value) if value else self.refuse(404, "NotFound")
        if self.query.get("watch") in ("1", "true"):
            return self.watch(wanted)
        version, items = self.store.version, self.store.list(wanted.resource, wanted.namespace, self.selected())
        return self.answer(200, listed(wanted.resource, version, items))

    def do_POST(self):
        wanted, value = target(self.path_only), self.read_object()
        if wanted is None:
            return self.refuse(404, "NotFound")
        if wanted.resource.namespaced:
            value["metadata"].setdefault("namespace", wanted.namespace)
        if self.is_rehearsal():
            return self.answer(201, value)
        try:
            return self.answer(201, self.store.create(wanted.resource, value))
        except Conflict:
            return self.refuse(409, "AlreadyExists")

    def do_PUT(self):
        wanted, value = target(self.path_only), self.read_object()
        self.answer(200, value if self.is_rehearsal() else self.store.put(wanted.resource, value))

    def do_PATCH(self):
        wanted, change = target(self.path_only), self.read_object()
        before = self.store.find(wanted.resource, wanted.namespace, wanted.name)
        applied = "apply-patch" in self.headers["Content-Type"]
        if before is None and not applied:
            return self.refuse(404, "NotFound")
        value = change if applied else merged(before, change)
        if wanted.resource.namespaced:
            value["metadata"].setdefault("namespace", wanted.namespace)
        return self.answer(200, value if self.is_rehearsal() else self.store.put(wanted.resource, value))

    def do_DELETE(self):
        self.read_body()
        wanted = target(self.path_only)
        value = self.store.find(wanted.resource, wanted.namespace, wanted.name)
        if value is None:
            return self.refuse(404, "NotFound")
        if not self.is_rehearsal():
            delete(self.store, wanted)
        return self.answer(200, value)

    # --- parts ---

    def watch(self, wanted):
        """Sends events as they come, until the client goes; first what there is, if that is asked for."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.send_events(wanted, self.selected())
        except OSError:
            self.close_connection = True

    def send_events(self, wanted, matches):
        version = int(self.query.get("resourceVersion") or 0) or self.store.version
        if self.query.get("sendInitialEvents") == "true":
            version = self.store.version
            for value in self.store.list(wanted.resource, wanted.namespace, matches):
                self.send_event("ADDED", value)
            self.send_event("BOOKMARK", bookmark(wanted.resource, version))
        while True:
            seen = self.store.version
            for version, _, event, value in self.store.events_after(version, wanted.resource):
                if wanted.namespace in (None, value["metadata"].get("namespace")) and matches(value):
                    self.send_event(event, value)
            self.store.wait(seen, 5)

    def send_event(self, event, value):
        self.send_chunk(json.dumps({"type": event, "object": value}) + "\n")

    def send_chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    @property
    def path_only(self):
        return urlsplit(self.path).path

    @property
    def query(self):
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def selected(self):
        return selection(self.query.get("labelSelector", ""), self.query.get("fieldSelector", ""))

    def is_rehearsal(self):
        return self.query.get("dryRun") == "All"

    def read_body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def read_object(self):
        body = self.read_body()
        if "protobuf" in self.headers.get("Content-Type", ""):
            return protobuf.secret(body)
        return json.loads(body) if body[:1] == b"{" else yaml.safe_load(body)

    def answer(self, status, value):
        self.send_body(status, "application/json", json.dumps(value).encode())

    def answer_text(self, text):
        self.send_body(200, "text/plain", text.encode())

    def send_body(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, reason):
        words = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status, "reason": reason}
        self.answer(status, words | {"message": f"{reason}: {self.path_only}"})


def delete(store, wanted):
    """A pod is told to end and goes when it has ended; everything else goes at once."""
    if wanted.resource.kind == "Pod":
        mark = lambda pod: pod["metadata"].setdefault("deletionTimestamp", now())
        store.change(wanted.resource, wanted.namespace, wanted.name, mark)
    else:
        store.remove(wanted.resource, wanted.namespace, wanted.name)


def discovery(path):
    """What there is, or None when the path is about objects."""
    path = path.rstrip("/")
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [described(*names) for names in groups()]}
    if path == "/api/v1":
        return resource_list("", "v1")
    match = re.fullmatch(r"/apis/([^/]+)/([^/]+)", path)
    return resource_list(*match.groups()) if match and match.groups() in groups() else None


def described(group, version):
    both = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [both], "preferredVersion": both}


def resource_list(group, version):
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    resources = [
        {
            "name": kind.plural,
            "singularName": kind.kind.lower(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs,
            "shortNames": list(kind.short),
        }
        for kind in RESOURCES
        if (kind.group, kind.version) == (group, version)
    ]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}


def bookmark(resource, version):
    """Ends the list of what there is, in a watch that began with it."""
    metadata = {"resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def listed(resource, version, items):
    metadata = {"resourceVersion": str(version)}
    return {"apiVersion": resource.api_version, "kind": resource.kind + "List", "metadata": metadata, "items": items}


def merged(before, change):
    """RFC 7396."""
    if not isinstance(change, dict) or not isinstance(before, dict):
        return change
    result = dict(before)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name, {}), value)
    return result


def selection(labels, fields):
    """A predicate from a label selector and a field selector on the name."""
    tests = [label_test(word) for word in re.split(r",(?![^(]*\))", labels) if word]
    name = re.fullmatch(r"metadata\.name=(.+)", fields)

    def matches(value):
        if name and value["metadata"]["name"] != name[1]:
            return False
        return all(test(value["metadata"].get("labels") or {}) for test in tests)

    return matches


def label_test(word):
    among = re.fullmatch(r"\s*(\S+) (in|notin) \((.*)\)\s*", word)
    if among:
        values = [value.strip() for value in among[3].split(",")]
        return lambda labels: (labels.get(among[1]) in values) == (among[2] == "in")
    name, operator, value = re.fullmatch(r"([^!=]+)(!=|==|=)(.*)", word).groups()
    return lambda labels: (labels.get(name) == value) == (operator != "!=")

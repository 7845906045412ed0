"""The objects of the cluster, in memory. Every change has a number, and whoever waits for changes is told."""

import copy
import threading
import time
import uuid

from .resources import BY_KIND


class Conflict(Exception):
    """An object of that name is there already."""


class Store:
    def __init__(self):
        self._changed = threading.Condition(threading.RLock())
        self._objects = {}
        self._events = []
        self._version = 1

    @property
    def version(self):
        return self._version

    def create(self, resource, value):
        with self._changed:
            if self._key(resource, value) in self._objects:
                raise Conflict(value["metadata"]["name"])
            return self.put(resource, value)

    def put(self, resource, value):
        """Creates or replaces; what the API server keeps by itself (uid, status ...) stays."""
        with self._changed:
            value = copy.deepcopy(value)
            value.setdefault("apiVersion", resource.api_version)
            value.setdefault("kind", resource.kind)
            metadata = value["metadata"]
            key = self._key(resource, value)
            before = self._objects.get(key)
            if before is None:
                metadata.setdefault("creationTimestamp", now())
                metadata.update(uid=str(uuid.uuid4()), generation=1)
            else:
                metadata["uid"] = before["metadata"]["uid"]
                metadata["creationTimestamp"] = before["metadata"]["creationTimestamp"]
                same = before.get("spec") == value.get("spec")
                metadata["generation"] = before["metadata"]["generation"] + (0 if same else 1)
                if "status" in before:
                    value.setdefault("status", before["status"])
                metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
                if value == before:
                    return copy.deepcopy(before)
            return self._record("ADDED" if before is None else "MODIFIED", resource, key, value)

    def apply(self, value):
        """Puts an object whose kind says what it is."""
        value["metadata"].setdefault("namespace", "default")
        return self.put(BY_KIND[value["kind"]], value)

    def change(self, resource, namespace, name, change):
        """Lets `change` work on an object, if it is still there."""
        with self._changed:
            before = self._objects.get((resource.plural, namespace, name))
            if before is None:
                return None
            value = copy.deepcopy(before)
            change(value)
            return copy.deepcopy(before) if value == before else self.put(resource, value)

    def remove(self, resource, namespace, name):
        with self._changed:
            key = (resource.plural, namespace, name)
            value = self._objects.pop(key, None)
            if value is not None:
                self._record("DELETED", resource, key, value, keep=False)
            return value

    def find(self, resource, namespace, name):
        with self._changed:
            return copy.deepcopy(self._objects.get((resource.plural, namespace, name)))

    def find_by(self, kind, name):
        return self.find(BY_KIND[kind], "default", name)

    def list(self, resource, namespace=None, matches=lambda value: True):
        with self._changed:
            found = [
                value
                for (plural, place, _), value in self._objects.items()
                if plural == resource.plural and namespace in (None, place) and matches(value)
            ]
            return copy.deepcopy(found)

    def wait(self, version, seconds):
        """Waits until there is a change after `version`, for so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._version > version, seconds)
            return self._version

    def events_after(self, version, resource):
        with self._changed:
            events = [event for event in self._events if event[0] > version and event[1] == resource.plural]
            return copy.deepcopy(events)

    def _record(self, event, resource, key, value, keep=True):
        self._version += 1
        value["metadata"]["resourceVersion"] = str(self._version)
        if keep:
            self._objects[key] = value
        self._events.append((self._version, resource.plural, event, copy.deepcopy(value)))
        self._changed.notify_all()
        return copy.deepcopy(value)

    @staticmethod
    def _key(resource, value):
        metadata = value["metadata"]
        return (resource.plural, metadata.get("namespace") if resource.namespaced else None, metadata["name"])


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def labels_match(selector, value):
    """Whether an object has all labels of a map."""
    labels = value["metadata"].get("labels") or {}
    return all(labels.get(name) == wanted for name, wanted in selector.items())

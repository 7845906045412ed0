"""Volumes of a pod, as directories of this machine.

ConfigMaps and Secrets appear as kubelet writes them: files are links through `..data`, which is replaced by one rename
when the object changes, so that whoever reads sees all old or all new files.
"""

import base64
import os
import shutil
import subprocess
import threading
import uuid
from pathlib import Path

from .podman import amount
from .resources import BY_KIND


class MissingSource(Exception):
    """A ConfigMap, Secret or claim is not there (yet); the pod has to wait for it."""


class Volumes:
    def __init__(self, store, place, claims, pod):
        self._store, self._place, self._claims, self._pod = store, place, claims, pod
        self._namespace = pod["metadata"]["namespace"]
        self._group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        self._mounted = []
        self._lock = threading.Lock()
        self._made = False

    def make(self):
        with self._lock:
            self._make()
            self._made = True

    def refresh(self):
        """Writes what changed in ConfigMaps and Secrets, as long as the volumes are there."""
        with self._lock:
            if self._made:
                self._write_files()

    def remove(self):
        with self._lock:
            self._made = False
            while self._mounted:
                subprocess.run(["umount", "--lazy", self._mounted.pop()], check=False)
            shutil.rmtree(self._place, ignore_errors=True)

    def path(self, name):
        return (self._place / name).resolve()

    def _make(self):
        for volume in self._pod["spec"].get("volumes", []):
            path = self._place / volume["name"]
            path.mkdir(parents=True)
            if "emptyDir" in volume:
                self._make_empty(path, volume["emptyDir"] or {})
            elif "persistentVolumeClaim" in volume:
                path.rmdir()
                path.symlink_to(self._claim(volume["persistentVolumeClaim"]["claimName"]))
        self._write_files()

    def _write_files(self):
        for volume in self._pod["spec"].get("volumes", []):
            files = self._files(volume)
            if files is not None:
                write_atomically(self._place / volume["name"], files, self._group)

    def _make_empty(self, path, settings):
        if settings.get("medium") == "Memory":
            size = amount(settings.get("sizeLimit", "64Mi"))
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", path], check=True)
            self._mounted.append(path)
        give(path, self._group, 0o777)

    def _claim(self, name):
        if self._store.find(BY_KIND["PersistentVolumeClaim"], self._namespace, name) is None:
            raise MissingSource(f"persistentvolumeclaim {name}")
        path = self._claims / self._namespace / name
        path.mkdir(parents=True, exist_ok=True)
        # fsGroupChangePolicy OnRootMismatch: looks at the root directory only.
        if self._group is not None and path.stat().st_gid != self._group:
            give(path, self._group, 0o770)
        return path

    def _files(self, volume):
        """Path to (content, mode); None when the volume has no files from objects."""
        if "configMap" in volume:
            source = volume["configMap"]
            return self._object("ConfigMap", source["name"], source, source.get("defaultMode", 0o644))
        if "secret" in volume:
            source = volume["secret"]
            return self._object("Secret", source["secretName"], source, source.get("defaultMode", 0o644))
        if "projected" in volume:
            mode, files = volume["projected"].get("defaultMode", 0o644), {}
            for source in volume["projected"]["sources"]:
                for kind, key in (("ConfigMap", "configMap"), ("Secret", "secret")):
                    if key in source:
                        files |= self._object(kind, source[key]["name"], source[key], mode)
            return files
        return None

    def _object(self, kind, name, source, mode):
        value = self._store.find(BY_KIND[kind], self._namespace, name)
        if value is None:
            if source.get("optional"):
                return {}
            raise MissingSource(f"{kind} {name}")
        content = contents(value)
        items = source.get("items") or [{"key": key, "path": key} for key in content]
        missing = [item["key"] for item in items if item["key"] not in content]
        if missing and not source.get("optional"):
            raise MissingSource(f"{kind} {name} has no {missing[0]}")
        return {item["path"]: (content[item["key"]], item.get("mode", mode)) for item in items if item["key"] in content}


def contents(value):
    """The files a ConfigMap or Secret holds."""
    plain = {key: text.encode() for key, text in (value.get("stringData") or {}).items()}
    encoded = {key: base64.b64decode(text) for key, text in (value.get("binaryData") or {}).items()}
    if value["kind"] == "ConfigMap":
        return {key: text.encode() for key, text in (value.get("data") or {}).items()} | encoded
    return {key: base64.b64decode(text) for key, text in (value.get("data") or {}).items()} | plain


def write_atomically(path, files, group):
    """What kubelet's AtomicWriter does. Nothing happens when the files are as they should be."""
    current = path / "..data"
    if current.exists() and read_all(current.resolve()) == {name: content for name, (content, _) in files.items()}:
        return False
    fresh = path / f"..{uuid.uuid4().hex}"
    for name, (content, mode) in files.items():
        file = fresh / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
    fresh.mkdir(exist_ok=True)
    for directory, _, names in os.walk(fresh):
        give(directory, group, 0o755 if group is None else 0o750)
        for name in names:
            file = Path(directory, name)
            give(file, group, file.stat().st_mode & 0o777 | (0o440 if group is not None else 0), inherit=False)
    old = current.resolve() if current.exists() else None
    (path / "..data_tmp").symlink_to(fresh.name)
    (path / "..data_tmp").rename(current)
    for name in {Path(name).parts[0] for name in files}:
        if not (path / name).is_symlink():
            (path / name).symlink_to(f"..data/{name}")
    if old:
        shutil.rmtree(old)
    give(path, group, 0o777)
    return True


def read_all(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def give(path, group, mode, inherit=True):
    """To the pod's group, new files in it too."""
    if group is not None:
        os.chown(path, -1, group)
        mode |= 0o2000 if inherit else 0
    os.chmod(path, mode)

"""Helm, as an administrator uses it: install, upgrade, rollback, test, uninstall."""

import os
import subprocess

import yaml


class HelmFailed(Exception):
    """Helm said no; the message is its own."""


class Helm:
    def __init__(self, program, chart, api, place):
        self._program, self._chart, self._place = program, chart, place
        place.mkdir(parents=True, exist_ok=True)
        self._kubeconfig = place / "kubeconfig"
        self._kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "mini", "cluster": {"server": api.url}}],
                    "users": [{"name": "admin", "user": {}}],
                    "contexts": [{"name": "mini", "context": {"cluster": "mini", "user": "admin"}}],
                    "current-context": "mini",
                }
            )
        )

    def install(self, name, values, wait=True):
        return self._change("install", name, values, wait)

    def upgrade(self, name, values, wait=True):
        return self._change("upgrade", name, values, wait)

    def rollback(self, name, revision):
        return self.run("rollback", name, revision, "--wait", "--timeout", "120s")

    def uninstall(self, name):
        return self.run("uninstall", name, "--wait", "--timeout", "120s")

    def test(self, name):
        return self.run("test", name, "--logs", "--timeout", "120s")

    def run(self, *arguments):
        homes = {kind: str(self._place / kind.lower()) for kind in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        done = subprocess.run(
            [self._program, *map(str, arguments)],
            env=os.environ | homes | {"KUBECONFIG": str(self._kubeconfig)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode != 0:
            raise HelmFailed(f"helm {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
        return done.stdout

    def _change(self, what, name, values, wait):
        file = self._place / f"{name}-values.yaml"
        file.write_text(yaml.safe_dump(values))
        words = [what, name, self._chart, "--values", file, "--timeout", "120s"]
        return self.run(*words, *(["--wait"] if wait else []))

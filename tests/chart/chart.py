"""Renders the chart: the one place that knows where Helm is and how it is called. Renders are remembered, since most
tests look at the same ones."""

import functools
import json
import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
TOOLS = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "chart"
HELMS = ("helm4", "helm3")
# The oldest that the chart takes, one between, and the newest there are schemas for.
KUBERNETES = ("1.29.0", "1.33.0", "1.37.0")
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))


class Refused(Exception):
    """Helm did not render; the text is what it said."""


def helm(version: str, *arguments: str) -> str:
    done = subprocess.run([TOOLS / version, *arguments], capture_output=True, text=True, env={"HOME": str(TOOLS), "PATH": ""})
    if done.returncode != 0:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


@functools.cache
def text(case: str = "default", version: str = "helm4", kubernetes: str = "1.33.0", settings: str = "{}") -> str:
    """The manifests of one file of ci/, with further values as JSON."""
    arguments = ["--namespace", "git", "--kube-version", kubernetes, "--values", CHART / f"ci/{case}-values.yaml"]
    for key, value in json.loads(settings).items():
        arguments += ["--set-json", f"{key}={json.dumps(value)}"]
    return helm(version, "template", "g", str(CHART), *map(str, arguments))


def objects(case: str = "default", version: str = "helm4", kubernetes: str = "1.33.0", **settings: object) -> list[dict]:
    """The objects of one file of ci/. Further values by keyword, a double underscore for a dot."""
    values = {key.replace("__", "."): value for key, value in settings.items()}
    rendered = text(case, version, kubernetes, json.dumps(values, sort_keys=True))
    return [document for document in yaml.safe_load_all(rendered) if document]


def one(found: list[dict], kind: str, name: str | None = None) -> dict:
    """The only object of a kind, or of a kind and a name."""
    matching = [o for o in found if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(matching) == 1, f"{len(matching)} objects are {kind} {name or ''}"
    return matching[0]


def pods(found: list[dict]) -> list[dict]:
    """The specifications of all pods that would come into being."""
    templates = [o["spec"]["template"]["spec"] for o in found if o["kind"] in ("Deployment", "StatefulSet")]
    return templates + [o["spec"] for o in found if o["kind"] == "Pod"]


def containers(pod: dict) -> list[dict]:
    return pod.get("initContainers", []) + pod["containers"]


def ours(pod: dict) -> list[dict]:
    """Without what a user added."""
    return [c for c in containers(pod) if c["name"] in ("authd", "backend-runner", "nginx", "git")]

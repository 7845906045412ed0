"""A pod without Kubernetes: nginx and both daemons run with exactly the files the chart renders, and are asked what `helm test`
asks. Only paths, ports and the engine's wait for endpoints are this machine's."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import chart
import pytest

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
AUTHD, RUNNER = chart.TOOLS.parent / "debug/authd", chart.TOOLS.parent / "debug/backend-runner"
POLICY = """version: 1
access:
  "team/": { write: [joe] }
  "secret/": { write: [ann] }
"""


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    """Everything a pod of the default values would run, with a user and two repositories."""
    if not AUTHD.exists() or not RUNNER.exists():
        pytest.skip("the daemons are not built")
    with Pod(tmp_path_factory.mktemp("pod")) as running:
        running.create("team/test.git")
        running.create("secret/plans.git")
        yield running


def test_helm_test_passes_where_everything_works(pod):
    answer = pod.helm_test()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.count("ok: refused") == 5 and "ok: cloned and pushed team/test.git" in answer.stdout


def test_helm_test_without_a_user_only_knocks(pod):
    answer = pod.helm_test(GITWARD_USER="")
    assert answer.returncode == 0 and "nothing was cloned" in answer.stdout, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "what",
    [
        {"GITWARD_FORBIDDEN": "team/test.git"},
        {"GITWARD_REPOSITORY": "secret/plans.git"},
        {"GITWARD_URL": "http://127.0.0.1:9/git"},
    ],
)
def test_helm_test_fails_when_something_is_open_closed_or_down(pod, what):
    answer = pod.helm_test(**what)
    assert answer.returncode != 0 and "FAILED" in answer.stdout


def test_probes_and_metrics_answer_on_their_ports(pod):
    for name, path in [("authd", "readyz"), ("backend-runner", "readyz"), ("authd", "healthz"), ("nginx", "healthz")]:
        with urllib.request.urlopen(f"http://127.0.0.1:{pod.ports[name]}/{path}", timeout=10) as answer:
            assert answer.status == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{pod.ports['authd']}/metrics", timeout=10) as answer:
        assert b"gitward_config_last_reload_success 1" in answer.read()


def test_audit_records_come_out_of_the_container(pod):
    pod.helm_test()
    records = [json.loads(line) for line in (pod.place / "backend-runner.out").read_text().splitlines()]
    assert any(r["user"] == "joe" and r["service"] == "receive-pack" and r["outcome"] == "ok" for r in records)


class Pod:
    """The processes of one pod, in the order in which the pod starts them."""

    def __init__(self, place):
        self.place = place
        self.ports = {name: free_port() for name in ("http", "authd", "backend-runner", "nginx")}
        self.running = []

    def __enter__(self):
        for name in ("etc", "etc-nginx", "run", "key", "git", "nginx", "tmp"):
            (self.place / name).mkdir()
        (self.place / "password").write_text("joe-test")
        self.unpack()
        self.start("authd", [AUTHD, "serve", "--config", self.place / "etc/authd.yaml"], self.ports["authd"])
        self.start("backend-runner", [RUNNER, "serve", "--config", self.place / "etc/backend-runner.yaml"], self.ports["backend-runner"])
        prefix = self.place / "etc-nginx"
        # In a pod all three are one user; root's workers would be somebody else and could not open the sockets.
        settings = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        self.start("nginx", [NGINX, "-e", "stderr", "-p", prefix, "-c", prefix / "nginx.conf", "-g", settings], self.ports["http"])
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.terminate()
            process.wait(timeout=30)

    def unpack(self) -> None:
        hashed = subprocess.run([AUTHD, "hash-password"], input="joe-test\n", capture_output=True, text=True, check=True)
        users = {"version": 1, "users": {"joe": {"password": hashed.stdout.strip()}, "ann": {}}}
        found = chart.objects(policy__text=POLICY, users__text=users, runner__config={"hooks": {"scratch": "/tmp/scratch"}})
        files = {}
        for o in found:
            files |= o["data"] if o["kind"] == "ConfigMap" else {}
        (self.place / "etc/users.yaml").write_text(json.dumps(users))
        for name, text in files.items():
            where = "etc" if name.endswith(".yaml") else "etc-nginx"
            (self.place / where / name).write_text(self.moved(text))

    def moved(self, text: str) -> str:
        moves = {
            "/run/gitward-key/": f"{self.place}/key/",
            "/run/gitward/": f"{self.place}/run/",
            "/run/gitward-authd/": f"{self.place}/run/",
            "/srv/git": f"{self.place}/git",
            "/tmp/scratch": f"{self.place}/tmp",
            "/var/lib/nginx/": f"{self.place}/nginx/",
            "/var/cache/gitward": f"{self.place}/tmp/cache",
            "/dev/stdout gitward;": f"{self.place}/access.log gitward;",
            "worker_rlimit_nofile 16384;": "",
            "0.0.0.0:9181": f"127.0.0.1:{self.ports['authd']}",
            "0.0.0.0:9182": f"127.0.0.1:{self.ports['backend-runner']}",
            "listen 8080;": f"listen 127.0.0.1:{self.ports['http']};",
            "listen 8081;": f"listen 127.0.0.1:{self.ports['nginx']};",
        }
        for old, new in moves.items():
            text = text.replace(old, new)
        return text

    def start(self, name: str, command: list, port: int) -> None:
        out, err = ((self.place / f"{name}.{stream}").open("w") for stream in ("out", "err"))
        process = subprocess.Popen(command, stdout=subprocess.PIPE if name == "backend-runner" else out, stderr=err)
        if name == "backend-runner":
            # A pipe, as a container has it; /dev/stdout of a file would be opened at its beginning again.
            self.running.append(subprocess.Popen(["tee", self.place / "backend-runner.out"], stdin=process.stdout, stdout=subprocess.DEVNULL))
            process.stdout.close()
        self.running.append(process)
        until = time.monotonic() + 30
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError((self.place / f"{name}.err").read_text())

    def create(self, repository: str) -> None:
        command = [RUNNER, "create-repo", repository, "--config", self.place / "etc/backend-runner.yaml"]
        subprocess.run(command, check=True, capture_output=True)

    def helm_test(self, **changed: str) -> subprocess.CompletedProcess:
        """Runs the script of the test pod in a directory of its own."""
        [container] = chart.one(chart.objects("tests"), "Pod")["spec"]["containers"]
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        environment |= {"GITWARD_URL": f"http://127.0.0.1:{self.ports['http']}/git", "PATH": "/usr/bin:/bin", **changed}
        work = self.place / f"work{time.monotonic_ns()}"
        work.mkdir()
        script = container["args"][0].replace("/tmp", str(work)).replace("/etc/gitward-test", str(self.place))
        return subprocess.run([*container["command"], script], env=environment, capture_output=True, text=True, timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

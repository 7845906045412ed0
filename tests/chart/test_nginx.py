"""nginx as the chart configures it, run: the files are accepted, and the router of shards sends what belongs together to one
place."""

import contextlib
import http.client
import http.server
import shutil
import socket
import subprocess
import threading
import time

import chart
import pytest

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.mark.parametrize("case", chart.CASES)
def test_nginx_accepts_what_the_chart_writes(case, tmp_path):
    for number, files in enumerate(configurations(chart.objects(case))):
        place = tmp_path / str(number)
        unpack(files, place, {})
        command = [NGINX, "-t", "-q", "-e", "stderr", "-p", place, "-c", place / "nginx.conf"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_files_that_security_rests_on_are_the_shipped_ones():
    [files], [sending] = configurations(chart.objects("ingress")), configurations(chart.objects("service"))
    for shipped in (chart.ROOT / "nginx").glob("gitward-*.conf"):
        expected = lines(shipped.read_text().replace("/run/gitward/authd.sock", "/run/gitward-authd/authd.sock"))
        assert lines(files[shipped.name]) == [line for line in expected if "X-Gitward-Accel    yes" not in line], shipped.name
        assert lines(sending[shipped.name]) == expected


def test_with_tls_nothing_answers_in_the_clear():
    for case in ("tls", "shards-tls"):
        text = "".join(files["nginx.conf"] + files.get("tls.conf", "") for files in configurations(chart.objects(case)))
        assert "8443 ssl;" in text
    [files] = configurations(chart.objects("tls"))
    assert "listen 8080" not in files["nginx.conf"].split("worker_processes")[1]


def test_every_request_for_a_repository_goes_to_one_shard(tmp_path):
    with cluster(tmp_path, 3) as (ask, shards):
        for name in ("team/test.git", "a.git", "home/joe/x.y.git"):
            for method, rest in [
                ("GET", "/info/refs?service=git-upload-pack"),
                ("POST", "/git-upload-pack"),
                ("POST", "/git-receive-pack"),
                ("GET", ""),
                ("GET", "?a=b"),
                ("GET", "/HEAD"),
                ("GET", "/tree/x.git/y"),
            ]:
                assert ask(method, f"/git/{name}{rest}").status == 200
            asked = {shard for shard, _, target, _ in shards if target.startswith(f"/git/{name}")}
            assert len(asked) == 1, name


def test_repositories_are_spread_and_few_of_them_move_when_a_shard_is_added(tmp_path):
    names = [f"team{n % 7}/repository-{n}.git" for n in range(300)]
    places = []
    with shards_running(4) as (ports, _):
        for count in (3, 4):
            with router(tmp_path / str(count), ports[:count]) as ask:
                places.append([ask("GET", f"/git/{name}/HEAD").read().decode() for name in names])
    assert all(places[0].count(shard) > 40 for shard in ("0", "1", "2"))
    moved = sum(before != after for before, after in zip(*places))
    assert 0 < moved < 300 * 0.45, f"{moved} of 300 moved"
    assert {after for before, after in zip(*places) if before != after} == {"3"}, "nothing moves between old shards"


def test_a_pinned_repository_is_where_it_was_pinned(tmp_path):
    with cluster(tmp_path, 3) as (ask, _):
        assert {ask("GET", f"/git/{n}/HEAD").read() for n in ("team/big.git", "pub/big.git")} == {b"2"}


def test_a_shard_that_is_down_is_said_to_be_and_no_other_is_asked(tmp_path):
    with cluster(tmp_path, 3, down={2}) as (ask, shards):
        answer = ask("GET", "/git/team/big.git/HEAD")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert shards == []


def test_targets_arrive_as_they_were_sent_and_the_address_cannot_be_made_up(tmp_path):
    with cluster(tmp_path, 3) as (ask, shards):
        ask("GET", "/git/a%2fb.git/../c//d.git/HEAD?x=%20", {"X-Gitward-Client": "6.6.6.6", "Authorization": "Basic eA=="})
        [(_, method, target, headers)] = shards
        assert (method, target) == ("GET", "/git/a%2fb.git/../c//d.git/HEAD?x=%20")
        assert headers.get_all("X-Gitward-Client") == ["127.0.0.1"] and headers["Authorization"] == "Basic eA=="


def test_the_router_says_which_shard_holds_a_repository(tmp_path):
    with cluster(tmp_path, 3) as (ask, _):
        assert ask("GET", "/_shard/git/team/big.git").read() == b"shard-2\n"
        assert "X-Gitward-Shard" not in ask("GET", "/git/team/big.git/HEAD").headers
        for target in ("/", "/other", "/git"):
            assert ask("GET", target).status in (301, 404)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def configurations(found: list[dict]) -> list[dict[str, str]]:
    return [o["data"] for o in found if o["kind"] == "ConfigMap" and "nginx.conf" in o["data"]]


def unpack(files: dict[str, str], place, replaced: dict[str, str]) -> None:
    """Writes the files of a ConfigMap where nginx can run with them on this machine."""
    place.mkdir(parents=True, exist_ok=True)
    moved = {"/var/lib/nginx/": f"{place}/", "/run/gitward/": f"{place}/", "/run/gitward-authd/": f"{place}/", "/etc/nginx-tls": str(place)}
    for name, text in files.items():
        for old, new in {**moved, **replaced}.items():
            text = text.replace(old, new)
        for number in range(8):
            text = text.replace(f"g-gitward-shard-{number}:8080", "127.0.0.1:9")
        (place / name).write_text(text)


@contextlib.contextmanager
def cluster(place, count: int, down: frozenset[int] = frozenset()):
    """The router before as many shards."""
    with shards_running(count, down) as (ports, seen), router(place, ports) as ask:
        yield ask, seen


@contextlib.contextmanager
def shards_running(count: int, down: frozenset[int] = frozenset()):
    """As many shards, which note what they are asked and answer with their number."""
    with contextlib.ExitStack() as stack:
        seen: list[tuple] = []
        yield [stack.enter_context(shard(n, seen)) if n not in down else 9 for n in range(count)], seen


@contextlib.contextmanager
def router(place, ports: list[int]):
    """The router as the chart configures it, with the shards at these ports."""
    port = free_port()
    found = chart.objects("shards", shards__count=len(ports))
    files = chart.one(found, "ConfigMap", "g-gitward-router")["data"]
    names = {f"g-gitward-shard-{n}:8080": f"127.0.0.1:{at}" for n, at in enumerate(ports)}
    own = {"listen 8080;": f"listen 127.0.0.1:{port};", "listen 8081;": f"listen unix:{place}/status;"}
    own |= {"/dev/stdout": f"{place}/access.log", "worker_processes 2;": "worker_processes 1; daemon off;"}
    unpack(files, place, {**names, **own, "worker_rlimit_nofile 16384;": ""})
    nginx = subprocess.Popen([NGINX, "-e", "stderr", "-p", place, "-c", place / "nginx.conf"])
    try:
        wait_for(port, nginx)
        yield lambda method, target, headers=None: asked(port, method, target, headers or {})
    finally:
        nginx.terminate()
        nginx.wait()


@contextlib.contextmanager
def shard(number: int, seen: list[tuple]):
    class Shard(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            seen.append((number, self.command, self.path, self.headers))
            self.send_response(200 if self.path.startswith("/git/") else 404)
            self.send_header("X-Gitward-Shard", f"shard-{number}")
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.write(str(number).encode())

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shard) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server.server_port
        server.shutdown()


def asked(port: int, method: str, target: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, target, headers=headers)
    return connection.getresponse()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("nginx does not answer")

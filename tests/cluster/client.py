"""Who uses the service: real git, single requests, and a slow line."""

import base64
import http.client
import os
import re
import socket
import subprocess
import threading
import time
from urllib.parse import urlsplit

WORDS = re.compile(rb"^(\w+)(\{.*\})? ([0-9.e+-]+)$", re.M)


class Git:
    """git with a home of its own, that asks nobody anything."""

    def __init__(self, home):
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    def run(self, *arguments, cwd=None, check=True, timeout=120):
        identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in IDENTITY}
        alone = {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run(
            ["git", *map(str, arguments)],
            cwd=cwd or self.home,
            env=os.environ | identity | alone,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"git {arguments}: {done.stdout}{done.stderr}"
        return done

    def clone(self, url, name, check=True):
        return self.run("clone", url, self.home / name, check=check)

    def commit(self, name, content="", branch="dev"):
        """A commit in a clone, and its id."""
        work = self.home / name
        self.run("checkout", "-q", "-B", branch, cwd=work)
        if content:
            (work / "content").write_bytes(content)
            self.run("add", "content", cwd=work)
        self.run("commit", "-q", "--allow-empty", "-m", f"in {name}", cwd=work)
        return self.run("rev-parse", "HEAD", cwd=work).stdout.strip()

    def push(self, name, branch="dev", check=True):
        return self.run("push", "origin", branch, cwd=self.home / name, check=check)

    def may_read(self, url):
        return self.run("ls-remote", url, check=False).returncode == 0


IDENTITY = (("NAME", "Test"), ("EMAIL", "test@example.org"))


def status(url, user=None, password=None, timeout=10):
    """The status of a GET; None when nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)
    headers = {}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    try:
        connection.request("GET", parts.path + ("?" + parts.query if parts.query else ""), headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def fetch(address, port, path):
    """Status and body of an admin listener."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def metrics(address, port):
    """Every sample, by its name with its labels."""
    _, body = fetch(address, port, "/metrics")
    return {(name + labels).decode(): float(value) for name, labels, value in WORDS.findall(body)}


class SlowLine:
    """A relay that lets so many bytes a second through to the server; the other direction is free."""

    def __init__(self, address, port, rate):
        self._target, self._rate = (address, port), rate
        self.passed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for pair in ((client, server, self._rate), (server, client, None)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, sink, rate):
        try:
            while data := source.recv(16384):
                sink.sendall(data)
                if rate:
                    self.passed += len(data)
                    time.sleep(len(data) / rate)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Watching:
    """Asks for a URL again and again, and remembers every answer that differs from the one before."""

    def __init__(self, ask):
        self.answers = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ask,), daemon=True)
        self._thread.start()

    def stop(self):
        self._done.set()
        self._thread.join()
        return self.answers

    def _run(self, ask):
        while not self._done.is_set():
            answer = ask()
            if not self.answers or self.answers[-1] != answer:
                self.answers.append(answer)
            time.sleep(0.01)

"""Probes: asked on time, counted, and judged as a kubelet does."""

import http.client
import socket
import time


class Probe:
    """One probe of one container. `settled` is its verdict so far: None, True or False."""

    def __init__(self, settings, ask):
        self._ask = ask
        self._settings = settings
        self._period = settings.get("periodSeconds", 10)
        self._wanted = {True: settings.get("successThreshold", 1), False: settings.get("failureThreshold", 3)}
        self._due = time.monotonic() + settings.get("initialDelaySeconds", 0)
        self._count = 0
        self._last = None
        self.settled = None

    def look(self):
        """Asks when it is time to."""
        if time.monotonic() < self._due:
            return
        answer = self._ask(self._settings)
        self._due = time.monotonic() + self._period
        self._count = self._count + 1 if answer == self._last else 1
        self._last = answer
        if self._count >= self._wanted[answer]:
            self.settled = answer


def ask(settings, address, ports, execute):
    """Whether the container answers as it should."""
    seconds = settings.get("timeoutSeconds", 1)
    try:
        if "httpGet" in settings:
            return ask_http(settings["httpGet"], address, ports, seconds)
        if "tcpSocket" in settings:
            port = number(settings["tcpSocket"]["port"], ports)
            socket.create_connection((address, port), seconds).close()
            return True
        return execute(settings["exec"]["command"], max(seconds, 5))
    except (OSError, http.client.HTTPException):
        return False


def ask_http(settings, address, ports, seconds):
    connection = http.client.HTTPConnection(address, number(settings["port"], ports), timeout=seconds)
    try:
        connection.request("GET", settings.get("path", "/"))
        return 200 <= connection.getresponse().status < 400
    finally:
        connection.close()


def number(port, ports):
    """A port by its number or its name."""
    return port if isinstance(port, int) else ports[port]

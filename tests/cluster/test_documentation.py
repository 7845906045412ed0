"""The page about containers: its blocks, one after the other, as they stand."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "config" / "install" / "containers.md"


def test_the_page_about_containers_leads_from_nothing_to_the_first_push(cluster, tmp_path):
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert len(blocks) == 4
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = "set -eux\n" + "\n".join(blocks)
    # Only what could meet something else on this machine is replaced.
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    script = script.replace("podman pod create", f"podman pod create --network {cluster.network.name}")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{own_podman(cluster, tmp_path)}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "gitward" / "git" / "team" / "test.git" / "refs" / "heads" / "master").exists()


def own_podman(cluster, place):
    """A directory with a podman that has the tests' images, and nobody else's."""
    program = place / "bin" / "podman"
    program.parent.mkdir()
    _, *options = cluster.podman.command()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("podman")} {" ".join(options)} "$@"\n')
    program.chmod(0o755)
    return program.parent

"""The servers of the suite, each on a free port of loopback. They end with the run."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

STARTUP_TIMEOUT = 20.0


@contextmanager
def redis(scratch: str) -> Iterator[int]:
    """Runs a redis-server (Debian package `redis-server`) without persistence."""
    port = free_port()
    command = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        scratch,
    ]
    try:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise SystemExit("error: no redis-server; install Debian's package of that name") from None
    try:
        wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait(STARTUP_TIMEOUT)


@contextmanager
def dynamodb() -> Iterator[int]:
    """Runs the DynamoDB of moto in a thread."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Waits until a server listens.

    Raises:
        TimeoutError: No server listens after `STARTUP_TIMEOUT` seconds.
    """
    deadline = time.monotonic() + STARTUP_TIMEOUT
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")

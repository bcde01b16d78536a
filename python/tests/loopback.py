"""An origin on loopback with scripted responses per path. It records the requests."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ReceivedRequest:
    """A request that the origin received; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    #: The common name of the client certificate.
    client: str | None = None


@dataclass
class OriginResponse:
    """A response of the origin."""

    body: bytes = b"hello"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: Close the connection after so many bytes of the body.
    cut: int | None = None
    #: Send the body with chunked coding, without a Content-Length.
    chunked: bool = False


@dataclass
class Origin:
    url: str
    answers: dict[str, Callable[[ReceivedRequest], OriginResponse]] = field(default_factory=dict)
    received: list[ReceivedRequest] = field(default_factory=list)
    now: Callable[[], float] = time.time

    def serve(self, path: str, *answers: OriginResponse) -> str:
        """Scripts the responses of a path, in order; the last one repeats. Returns the URL."""
        left = list(answers)
        self.answers[path] = lambda _: left.pop(0) if len(left) > 1 else left[0]
        return self.url + path

    def asked(self, path: str) -> list[ReceivedRequest]:
        return [got for got in self.received if got.path == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin: Origin

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        got = ReceivedRequest(
            self.command, self.path, headers, self.rfile.read(length), self.client_name()
        )
        self.origin.received.append(got)
        response = self.origin.answers[self.path.partition("?")[0]](got)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif response.status != 304:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command == "HEAD" or response.status == 304:
            return
        body = response.body[: response.cut]
        if response.chunked:
            for at in range(0, len(body), 1 << 16):
                piece = body[at : at + (1 << 16)]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if response.cut is None:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(body)
        if response.cut is not None:
            self.close_connection = True

    def client_name(self) -> str | None:
        if not isinstance(self.connection, ssl.SSLSocket):
            return None
        shown: Any = self.connection.getpeercert() or {}
        return next((value for [(_, value)] in shown.get("subject", ())), None)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.origin.now() if timestamp is None else timestamp)  # type: ignore[arg-type]

    do_GET = do_HEAD = do_POST = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Ignores errors: tests close connections on purpose."""


@contextmanager
def origin(
    now: Callable[[], float] = time.time, tls: ssl.SSLContext | None = None
) -> Iterator[Origin]:
    server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {}))
    if tls is not None:
        # A failed handshake must not end the accepting thread.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    found = Origin(f"http://127.0.0.1:{server.server_port}", now=now)
    server.RequestHandlerClass.origin = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

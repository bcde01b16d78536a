"""Shared fixtures of the tests with published packages: lacre as requests-cache, and no network.

`LACRE_PACKAGES_RELEASED=1` keeps requests-cache, to show how the packages behave with it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

RELEASED = "LACRE_PACKAGES_RELEASED" in os.environ
if not RELEASED:
    import lacre.requests_cache

    lacre.requests_cache.stand_in()

# Packages choose their directories on import.
_HOME = Path(tempfile.mkdtemp(prefix="lacre-packages-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"):
    os.environ[name] = str(_HOME)


@dataclass
class Internet:
    """All hosts: their responses and the requests they received."""

    #: Responses by `host/path`: a body, or a status, headers and a body.
    answers: dict[str, Any] = field(default_factory=dict)
    #: All requests as `METHOD host/path?query`.
    asked: list[str] = field(default_factory=list)

    def answer(self, method: str, target: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(f"{method} {target}")
        found = self.answers.get(target) or self.answers.get(target.split("?")[0])
        if found is None:
            return 404, {"Content-Type": "text/plain"}, b"nobody is here"
        status, fields, body = found if isinstance(found, tuple) else (200, {}, found)
        if fields.get("ETag") and headers.get("If-None-Match") == fields["ETag"]:
            return 304, fields, b""
        kind = {"{": "application/json", "[": "application/json", "<": "text/xml"}.get(
            body[:1], "text/plain"
        )
        return status, {"Content-Type": kind, **fields}, body.encode()


class _Handler(BaseHTTPRequestHandler):
    internet: Internet

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, body = self.internet.answer(
            self.command, self.path.removeprefix("/"), self.headers
        )
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """Runs a server on loopback that receives the requests to all hosts."""
    internet = Internet()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Handler,), {"internet": internet})
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    send = HTTPAdapter.send

    def send_here(adapter: HTTPAdapter, request: PreparedRequest, **options: Any) -> Response:
        asked = request.url or ""
        parts = urlsplit(asked)
        here = f"/{parts.netloc}{parts.path}"
        request.url = urlunsplit(("http", f"127.0.0.1:{server.server_port}", here, parts.query, ""))
        try:
            response = send(adapter, request, **options)
        finally:
            request.url = asked
        response.url = asked
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send_here)
    try:
        yield internet
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

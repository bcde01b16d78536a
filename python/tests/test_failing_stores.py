"""Sessions whose cache fails answer from the origin and log one warning."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from requests import PreparedRequest, Response

from lacre import BadSignature, CachedSession
from lacre.backends import _connections, sqlite
from lacre.policy import utcnow
from origin import Origin, answer

URL = "http://example.test/"
SECRET = "of at least 32 random bytes, as it must be"


def session(origin: Origin, place: Path, backend: str = "sqlite", **settings: Any) -> CachedSession:
    made = CachedSession(place, backend, secret_key=SECRET, **settings)
    made.mount("http://", origin)
    return made


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


class Full:
    """Replaces a method that writes."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: Any, **__: Any) -> None:
        raise self.error


@pytest.mark.parametrize("backend", ["sqlite", "filesystem", "memory"])
def test_a_failing_write_does_not_affect_the_response(
    backend: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(
        Origin(), tmp_path / "cache", "sqlite" if backend == "memory" else backend
    ) as cached:
        with monkeypatch.context() as broken:
            broken.setattr(
                cached.cache.responses.__class__, "__setitem__", Full(OSError(28, "No space left"))
            )
            answers = [cached.get(f"{URL}{page}?token=secret") for page in range(3)]
        assert [(each.text, each.from_cache, each.cache_key) for each in answers] == [
            ("hello", False, None)
        ] * 3
        [warning] = warnings(caplog)
        assert "cannot be written" in warning
        assert "No space left" in warning
        assert "secret" not in caplog.text
        assert "example" not in caplog.text
        assert [cached.get(URL).from_cache for _ in range(2)] == [False, True], "it works again"


def test_a_full_sqlite_file_raises_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    origin = Origin(answer("x" * 200_000))
    with session(origin, tmp_path / "cache") as cached:
        with cached.cache.responses.connection() as connection:
            connection.execute("PRAGMA max_page_count=10")
        assert [len(cached.get(f"{URL}{page}").content) for page in range(3)] == [200_000] * 3
        assert len(warnings(caplog)) == 1
        with cached.cache.responses.connection() as connection:
            connection.execute("PRAGMA max_page_count=1000000")
        assert [cached.get(URL).from_cache for _ in range(2)] == [False, True]


def test_a_failing_read_is_a_miss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(Origin(), tmp_path / "cache") as cached:
        cached.get(URL)
        monkeypatch.setattr(
            cached.cache.responses.__class__,
            "__getitem__",
            Full(sqlite3.DatabaseError("disk image is malformed")),
        )
        answers = [
            cached.get(URL, headers=headers) for headers in (None, {"Cache-Control": "max-stale=1"})
        ]
        assert [(each.text, each.from_cache) for each in answers] == [("hello", False)] * 2
        [warning] = warnings(caplog)
        assert "cannot be read" in warning
        assert "malformed" in warning


def test_tampering_and_network_errors_are_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(Origin(), tmp_path / "cache") as cached:
        cached.get(URL)
        with monkeypatch.context() as broken:
            broken.setattr(
                cached.cache.responses.__class__, "__getitem__", Full(BadSignature("changed"))
            )
            with pytest.raises(BadSignature):
                cached.get(URL)
        broken_body = requests.exceptions.ChunkedEncodingError("broke off")
        monkeypatch.setattr(cached.cache, "save_response", Full(broken_body))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            cached.get(f"{URL}other")


def test_a_locked_file_delays_only_the_first_of_several_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connections, "ANSWER_LOCK_TIMEOUT", 0.05)
    timeouts: list[float] = []
    begin = _connections.Connections._begin

    def recording(self: Any, connection: sqlite3.Connection, deadline: float) -> None:
        timeouts.append(_connections._lock_timeout())
        begin(self, connection, deadline)

    with session(Origin(), tmp_path / "cache", timeout=0.01) as cached:
        cached.get(URL)
        monkeypatch.setattr(_connections.Connections, "_begin", recording)
        with closing(sqlite3.connect(tmp_path / "cache.sqlite", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert [cached.get(f"{URL}{page}").text for page in range(3)] == ["hello"] * 3
        assert [seconds > 0 for seconds in timeouts] == [True, False, False]
        assert len(warnings(caplog)) == 1
        assert "locked" in caplog.text


@pytest.mark.parametrize("settings", [{}, {"wal": False}, {"read_only": True}], ids=str)
def test_a_read_only_file_answers(
    settings: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin = Origin()
    with session(origin, tmp_path / "cache", **settings | {"read_only": False}) as cached:
        cached.get(URL)
    # root may write everywhere.
    monkeypatch.setattr(sqlite, "is_read_only", lambda path: True)
    before = sorted(tmp_path.iterdir())
    with session(origin, tmp_path / "cache", **settings) as cached:
        assert cached.get(URL).from_cache
        assert [cached.get(f"{URL}other").from_cache for _ in range(2)] == [False, False]
        # A writable file in WAL mode has files beside it while it is open.
        assert sorted(tmp_path.iterdir()) == before or "wal" not in settings
        assert len(warnings(caplog)) == (0 if settings.get("read_only") else 1)


def test_an_unsafe_request_succeeds_if_invalidation_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(Origin(), tmp_path / "cache", cache_control=True) as cached:
        monkeypatch.setattr(cached.cache, "delete", Full(OSError(30, "Read-only file system")))
        assert cached.post(URL).status_code == 200


def test_the_log_of_a_stale_response_omits_the_url(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: PreparedRequest) -> Response:
        raise requests.ConnectionError(f"no way to {request.url}")

    origin = Origin()
    cached = CachedSession(backend="memory", expire_after=1, stale_if_error=True)
    cached.mount("http://", origin)
    cached.get(f"{URL}?token=secret")
    origin.default = fail
    with caplog.at_level(logging.DEBUG), time_machine.travel(utcnow() + timedelta(seconds=10)):
        assert cached.get(f"{URL}?token=secret").from_cache
    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text


_FULL = """
import logging, os, resource, signal, sys
from lacre import Cache
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s", level=logging.INFO)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cache = Cache(sys.argv[1], key="env:A_KEY")

def store(page, size):
    ticket = cache.ask("GET", f"http://example.test/{page}", [])
    recording = ticket.settle(200, [(b"cache-control", b"max-age=60")])
    recording.write(os.urandom(size))
    recording.finish()

store("first", 10)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
for page in range(5):
    store(page, 400_000)
"""


def test_the_native_cache_warns_once_of_a_full_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FULL, str(tmp_path / "store" / "cache.sqlite")]
    ran = subprocess.run(
        command,
        env={**os.environ, "A_KEY": os.urandom(32).hex()},
        capture_output=True,
        text=True,
        check=True,
    )
    warning = [line for line in ran.stdout.splitlines() if "store-failed" in line]
    assert len(warning) == 1, ran.stdout
    assert warning[0].startswith("WARNING"), ran.stdout

"""One cache shared by forked processes and threads."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from requests import PreparedRequest, Response

from lacre import CachedSession
from lacre.backends import _connections
from origin import Origin

PROCESSES, THREADS, ROUNDS, PAGES = 4, 8, 25, 10
#: Seconds; enough for a slow machine. A deadlock lasts longer.
TIMEOUT = 120


def echo(request: PreparedRequest) -> Response:
    """Answers each request with its path, to detect mixed-up bodies."""
    response = Response()
    response.status_code = 200
    response.url = request.url or ""
    response.request = request
    response._content = (request.path_url * 500).encode()
    return response


def use(session: CachedSession, wrong: Any) -> None:
    """Reads, writes and deletes the same pages in all threads."""

    def rounds(thread: int) -> None:
        for at in range(ROUNDS):
            path = f"/{(thread + at) % PAGES}"
            body = session.get(f"http://example.test{path}").content
            if body != (path * 500).encode():
                wrong.put((path, body[:40]))
            if at % 10 == thread:
                session.cache.delete(urls=[f"http://example.test{path}"])

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(rounds, range(THREADS)))
    except BaseException as error:
        wrong.put(repr(error))
        raise


@pytest.mark.parametrize("backend", ["sqlite", "filesystem"])
def test_forked_processes_and_threads_share_a_cache(tmp_path: Path, backend: str) -> None:
    context = multiprocessing.get_context("fork")
    wrong = context.SimpleQueue()
    with CachedSession(tmp_path / "cache", backend=backend) as session:
        session.mount("http://", Origin(echo))
        # The session is in use during the fork, with an open connection and locks.
        session.get("http://example.test/0")
        children = [context.Process(target=use, args=(session, wrong)) for _ in range(PROCESSES)]
        for child in children:
            child.start()
        use(session, wrong)
        for child in children:
            child.join(TIMEOUT)
        late = [child for child in children if child.is_alive()]
        for child in late:
            child.kill()
        assert wrong.empty(), wrong.get()
        assert not late, "a process hangs"
        assert [child.exitcode for child in children] == [0] * PROCESSES
        for page in range(PAGES):
            assert session.get(f"http://example.test/{page}").content == (f"/{page}" * 500).encode()


@pytest.mark.parametrize("backend", ["memory", "sqlite", "filesystem"])
def test_a_fork_in_the_middle_of_a_request_does_not_hang_the_child(
    tmp_path: Path, backend: str
) -> None:
    context = multiprocessing.get_context("fork")
    wrong = context.SimpleQueue()
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: PreparedRequest) -> Response:
        asked.set()
        assert go_on.wait(TIMEOUT)
        return echo(request)

    with CachedSession(tmp_path / "cache", backend=backend) as session:
        origin = Origin(slow)
        session.mount("http://", origin)
        busy = threading.Thread(target=session.get, args=("http://example.test/0",))
        busy.start()
        assert asked.wait(TIMEOUT)
        # An equal request is in flight; no thread of the child will ever finish it.
        origin.default = echo
        child = context.Process(target=use, args=(session, wrong))
        child.start()
        child.join(TIMEOUT)
        hangs = child.is_alive()
        if hangs:
            child.kill()
        go_on.set()
        busy.join()
        assert wrong.empty(), wrong.get()
        assert not hangs
        assert child.exitcode == 0


@pytest.mark.parametrize(
    "settings", [{}, {"serializer": "pickle"}], ids=["sealed", "as requests-cache"]
)
def test_opening_an_existing_file_does_not_wait_for_a_writer(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connections, "LOCK_TIMEOUT", 0.1)
    file, origin = tmp_path / "http_cache.sqlite", Origin(echo)

    def get() -> Any:
        with CachedSession(file, **settings) as session:
            session.mount("http://", origin)
            return session.get("http://example.test/1")

    get()
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert get().from_cache
    assert len(origin.requests) == 1


def test_a_reader_does_not_wait_for_a_writing_thread(tmp_path: Path) -> None:
    with CachedSession(tmp_path / "cache") as session, ThreadPoolExecutor(1) as pool:
        session.mount("http://", Origin(echo))
        stored = session.get("http://example.test/1")
        responses = session.cache.responses
        with responses.bulk_commit():
            responses["other"] = responses[stored.cache_key]
            assert responses["other"].content == stored.content, "a transaction sees its own writes"
            assert pool.submit(session.get, "http://example.test/1").result(TIMEOUT).from_cache
            assert not pool.submit(responses.__contains__, "other").result(TIMEOUT)
        assert pool.submit(responses.__contains__, "other").result(TIMEOUT)


def test_a_cache_is_cleared_and_closed_while_others_read(tmp_path: Path) -> None:
    over = threading.Event()

    def read(session: CachedSession) -> int:
        read = 0
        while not over.is_set() or read == 0:
            assert session.get("http://example.test/1").content == b"/1" * 500
            read += 1
        return read

    with CachedSession(tmp_path / "cache") as session, ThreadPoolExecutor(THREADS) as pool:
        session.mount("http://", Origin(echo))
        reading = [pool.submit(read, session) for _ in range(THREADS)]
        for _ in range(20):
            session.cache.clear()
            session.cache.close()
        over.set()
        assert all(each.result(TIMEOUT) for each in reading)


def test_redirects_are_stored_within_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connections, "LOCK_TIMEOUT", 0.1)
    with CachedSession(tmp_path / "cache") as session:
        cache = session.cache
        with pytest.raises(KeyError), cache.responses.bulk_commit():
            cache.redirects["from"] = "to"
            assert cache.redirects["from"] == "to"
            raise KeyError
        assert "from" not in cache.redirects, "the redirect was rolled back, too"

"""`lacre.Cache` in Python: results, settings, events, forks and threads."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lacre import BadSignature, Cache, CachedSession, ConfigError, Keyring, LacreError
from lacre._lacre import Recording, Reply, Ticket
from stored import run_sql

URL = "http://example.test/page"
KEY = "6b" * 8 + "0123456789abcdef" * 3
FRESH = [(b"cache-control", b"max-age=60")]
#: Seconds; enough for a slow machine. A deadlock lasts longer.
TIMEOUT = 120


def ask(cache: Cache, url: str = URL, **settings: Any) -> Reply | Ticket:
    found = cache.ask("GET", url, [(b"accept", b"*/*")], b"", **settings)
    assert found is not None
    return found


def miss(cache: Cache, url: str = URL) -> Ticket:
    found = ask(cache, url)
    assert isinstance(found, Ticket)
    return found


def hit(cache: Cache, url: str = URL) -> Reply:
    found = ask(cache, url)
    assert isinstance(found, Reply)
    return found


def record(cache: Cache, url: str = URL, headers: Any = FRESH) -> Recording:
    settled = miss(cache, url).settle(200, headers)
    assert isinstance(settled, Recording)
    return settled


def store(cache: Cache, url: str = URL, body: bytes = b"hello", headers: Any = FRESH) -> None:
    recording = record(cache, url, headers)
    recording.write(body)
    recording.finish()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "cache.sqlite"


def test_a_stored_response_is_a_reply(path: Path) -> None:
    store(Cache(path))
    reply = hit(Cache(path))
    assert (reply.status, reply.body, reply.next(), reply.next()) == (200, b"hello", b"hello", None)
    assert (b"cache-control", b"max-age=60") in reply.headers
    assert reply.info.from_cache
    assert reply.info.hit
    assert len(reply.info.key or "") == 64
    assert b"hello" not in path.read_bytes()


def test_a_cache_in_memory_needs_no_file_and_no_key() -> None:
    cache = Cache(":memory:")
    store(cache)
    assert hit(cache).body == b"hello"
    assert repr(cache) == "<Cache in memory>"


def test_default_store_and_keyring_are_those_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LACRE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store(Cache())
    assert (tmp_path / "cache" / "cache.sqlite").exists()
    assert (tmp_path / "config" / "lacre" / "keyring").exists()


def test_environment_variables_set_store_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.setenv("LACRE_KEY", "env:A_KEY")
    for place in (f"sqlite:{tmp_path / 's' / 'c.sqlite'}", f"dir:{tmp_path / 'd'}"):
        monkeypatch.setenv("LACRE_STORE", place)
        store(Cache())
        assert hit(Cache(place, key="env:A_KEY")).body == b"hello"
    for variable in ("LACRE_KEY", "LACRE_STORE"):
        monkeypatch.setenv(variable, "nonsense:x")
        with pytest.raises(ConfigError, match=variable):
            Cache()
        monkeypatch.delenv(variable)


def test_a_misspelt_store_is_refused_and_a_tilde_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for wrong in ("redis://localhost", "sqlit:c.sqlite", "Dir:x", "~nobody/c"):
        with pytest.raises(ConfigError):
            Cache(wrong)
    assert list(tmp_path.iterdir()) == []
    for path in ("~/a/c.sqlite", "sqlite:~/b/c.sqlite", Path("~/d/c.sqlite")):
        store(Cache(path))
    assert [path.parent.name for path in sorted((tmp_path / "home").rglob("c.sqlite"))] == [
        "a",
        "b",
        "d",
    ]
    assert not (tmp_path / "~").exists()
    store(Cache("./odd:name"))
    assert (tmp_path / "odd:name").exists()


def test_another_key_opens_nothing_and_has_other_row_keys(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LACRE_TEST_KEY", KEY)
    store(Cache(path, key="env:LACRE_TEST_KEY"))
    assert hit(Cache(path, key=Keyring.load("env:LACRE_TEST_KEY"))).body == b"hello"
    monkeypatch.setenv("LACRE_TEST_KEY", KEY[::-1])
    assert isinstance(ask(Cache(path, key="env:LACRE_TEST_KEY")), Ticket)


def test_a_key_file_beside_the_store_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    (path.parent / "keyring").write_text(KEY)
    (path.parent / "keyring").chmod(0o600)
    with pytest.raises(ConfigError, match="in the directory of the store"):
        Cache(path, key=f"file:{path.parent / 'keyring'}")


def test_a_file_of_requests_cache_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with CachedSession(path) as session:
        assert session.cache.responses is not None
        list(session.cache.responses)
        with pytest.raises(ConfigError, match="something else in this process has it open"):
            Cache(path)
    with pytest.raises(LacreError, match="another application's SQLite database"):
        Cache(path)


def test_two_caches_on_one_file_see_each_other(path: Path) -> None:
    first, second = Cache(path), Cache(path)
    store(first)
    assert hit(second).body == b"hello"
    second.clear()
    assert isinstance(ask(first), Ticket)


@pytest.mark.parametrize(
    ("lifetime", "ttl"),
    [
        (60, 60),
        (60.0, 60),
        ("1m", 60),
        (timedelta(minutes=1), 60),
        (datetime.fromtimestamp(1_800_000_060, timezone.utc), 60),
        (-1, None),
        ("never", None),
    ],
)
def test_a_lifetime_has_many_forms(lifetime: Any, ttl: int | None) -> None:
    cache = Cache(":memory:", expire_after=lifetime, clock=lambda: 1_800_000_000)
    store(cache, headers=[])
    assert hit(cache).info.ttl == ttl


@pytest.mark.parametrize(
    "lifetime",
    [
        2**31,
        10**400,
        1e300,
        "9" * 30,
        timedelta.max,
        datetime.max.replace(tzinfo=timezone.utc),
    ],
)
def test_a_too_long_lifetime_is_the_maximum(lifetime: Any) -> None:
    cache = Cache(":memory:", expire_after=lifetime, clock=lambda: 1_800_000_000)
    store(cache, headers=[])
    assert hit(cache).info.ttl in (2**31, None)


@pytest.mark.parametrize("year", [1, 1969, 2020])
def test_a_datetime_in_the_past_has_expired(year: int) -> None:
    cache = Cache(
        ":memory:",
        expire_after=datetime(year, 1, 1, tzinfo=timezone.utc),
        clock=lambda: 1_800_000_000,
    )
    store(cache, headers=[(b"etag", b'"1"')])
    assert isinstance(ask(cache), Ticket)


def test_cookies_partition_unless_the_response_is_explicitly_reusable() -> None:
    fresh, guessed = [(b"cache-control", b"max-age=60")], [(b"etag", b'"1"')]
    for settings, headers, parted in [
        ({}, fresh, False),
        ({"expire_after": 60}, [], False),
        ({}, guessed, True),
        ({"partition_by_cookies": True}, fresh, True),
        ({"shared": True}, fresh, True),
    ]:
        cache = Cache(":memory:", **settings)
        ticket = cache.ask("GET", URL, [(b"cookie", b"id=alice")])
        assert isinstance(ticket, Ticket)
        recording = ticket.settle(200, headers)
        recording.write(b"hello")
        recording.finish()
        other = cache.ask("GET", URL, [(b"cookie", b"id=bob")])
        assert isinstance(other, Ticket) is parted, (settings, headers)


def test_the_first_matching_url_rule_applies() -> None:
    cache = Cache(
        ":memory:", urls_expire_after={"example.test/page": 5, "example.test": "do-not-store"}
    )
    store(cache, headers=[])
    assert hit(cache).info.ttl == 5
    assert not record(cache, "http://example.test/other").active


@pytest.mark.parametrize(
    "settings",
    [
        {"expire_after": "soon"},
        {"expire_after": -2},
        {"expire_after": object()},
        {"origin": "whatever"},
        {"on_tamper": "shrug"},
        {"allowable_codes": [99]},
        {"match_headers": ["no header"]},
        {"unknown": 1},
    ],
)
def test_an_invalid_setting_is_refused(settings: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Cache(":memory:", **settings)


def test_mutually_exclusive_options_are_refused() -> None:
    with pytest.raises(ValueError, match="mutually exclusive"):
        ask(Cache(":memory:"), options={"refresh": True, "no_store": True})


def test_an_invalid_request_is_not_looked_up() -> None:
    cache = Cache(":memory:")
    assert cache.ask("GET", "not a url", []) is None
    assert cache.ask("G T", URL, []) is None
    assert cache.ask("GET", URL, [(b"a b", b"c")]) is None
    assert cache.ask("GET", URL, [(b"a", b"c\n")]) is None


def test_an_invalid_response_is_passed_on_unstored() -> None:
    cache = Cache(":memory:")
    settled = miss(cache).settle(200, [*FRESH, (b"a", b"b\nc")])
    assert isinstance(settled, Recording)
    assert not settled.active


def test_a_ticket_is_settled_once() -> None:
    ticket = miss(Cache(":memory:"))
    ticket.settle(200, FRESH)
    with pytest.raises(ValueError, match="already settled"):
        ticket.settle(200, FRESH)
    with pytest.raises(ValueError, match="already settled"):
        ticket.fail()


def test_an_abandoned_recording_is_not_stored(path: Path) -> None:
    cache = Cache(path)
    for give_up in (Recording.abort, lambda _: None):
        recording = record(cache)
        recording.write(bytes(1 << 20))
        give_up(recording)
        del recording
        assert isinstance(ask(cache), Ticket)
    assert run_sql(path, "SELECT count(*) FROM chunk") == "0"


def test_a_body_is_stored_when_its_content_length_is_reached() -> None:
    cache = Cache(":memory:")
    recording = record(cache, headers=[*FRESH, (b"content-length", b"5")])
    assert not recording.writes(4)
    assert recording.writes(5)
    recording.write(b"hel")
    assert recording.active
    recording.write(b"lo")
    assert not recording.active
    assert hit(cache).body == b"hello"


def test_a_too_long_body_is_not_stored() -> None:
    cache = Cache(":memory:", max_body=10)
    recording = record(cache)
    recording.write(bytes(11))
    assert not recording.active
    recording.finish()
    assert isinstance(ask(cache), Ticket)


def test_a_response_that_varies_by_unseen_inputs_is_not_stored() -> None:
    cache = Cache(":memory:")
    varies = [*FRESH, (b"vary", b"Cookie")]
    for unseen_inputs, stored in [(True, False), (False, True)]:
        settled = miss(cache).settle(200, varies, unseen_inputs=unseen_inputs)
        assert isinstance(settled, Recording)
        assert (settled.active, settled.info.stored) == (stored, stored)
    unfaithful = miss(cache).settle(200, FRESH, as_sent=False)
    assert isinstance(unfaithful, Recording)
    assert not unfaithful.active


def test_the_http_version_of_a_response_is_stored(path: Path) -> None:
    cache = Cache(path)
    for version in (10, 11, 20, 30, None, 99):
        url = f"{URL}/{version}"
        settled = miss(cache, url).settle(200, FRESH, version=version)
        assert isinstance(settled, Recording)
        settled.finish()
        assert hit(cache, url).version == (version if version in (10, 11, 20, 30) else 11)


def test_events_are_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "lacre"):
        store(Cache(path))
    [entry] = [entry for entry in caplog.records if entry.name == "lacre.store"]
    assert entry.getMessage().startswith("stored ")
    assert "example" not in caplog.text


def test_an_exception_in_the_listener_does_not_reach_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def listen(*_: object) -> None:
        raise ZeroDivisionError

    raised: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda unraisable: raised.append(unraisable.exc_type)
    )
    cache = Cache(":memory:", on_event=listen)
    store(cache)
    assert raised == [ZeroDivisionError]
    assert hit(cache).body == b"hello"


def test_threads_share_a_cache(path: Path) -> None:
    cache = Cache(path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: use(cache, at), range(200)))


def use(cache: Cache, at: int) -> None:
    """Reads or writes a page."""
    url = f"http://example.test/{at % 10}"
    body = f"{at % 10}".encode() * 50_000
    found = ask(cache, url)
    if isinstance(found, Reply):
        assert found.body == body
    else:
        settled = found.settle(200, FRESH)
        assert isinstance(settled, Recording)
        settled.write(body)
        settled.finish()


def in_children(work: Callable[[], None], children: int = 4) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work) for _ in range(children)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT)
    late = [process for process in processes if process.is_alive()]
    for process in late:
        process.kill()
    assert not late, "a process hangs"
    assert [process.exitcode for process in processes] == [0] * children


def test_forked_processes_reopen_the_file(path: Path) -> None:
    cache = Cache(path)
    store(cache)

    def child() -> None:
        assert hit(cache).body == b"hello"
        for at in range(50):
            use(cache, at)

    in_children(child)
    use(cache, 1)
    assert hit(cache).body == b"hello"


def test_inherited_objects_are_refused_in_a_forked_child(path: Path) -> None:
    cache = Cache(path)
    recording = record(cache)
    recording.write(bytes(1 << 20))
    ticket = miss(cache, URL + "/2")
    held = [recording]

    def child() -> None:
        with pytest.raises(RuntimeError, match="parent process"):
            ticket.settle(200, FRESH)
        # Dropping it would delete what the parent has staged.
        held.clear()
        assert isinstance(ask(cache), Ticket)

    in_children(child, 1)
    recording.finish()
    held.clear()
    body = b""
    reply = hit(cache)
    while (piece := reply.next()) is not None:
        body += piece
    assert body == bytes(1 << 20)


def test_a_fork_while_threads_write_does_not_hang_the_child(path: Path) -> None:
    cache, stop = Cache(path), threading.Event()

    def write() -> None:
        at = 0
        while not stop.is_set():
            store_anew(cache, f"http://example.test/{at % 50}")
            at += 1

    def store_anew(cache: Cache, url: str) -> None:
        found = ask(cache, url, options={"force_refresh": True})
        assert isinstance(found, Ticket)
        settled = found.settle(200, FRESH)
        assert isinstance(settled, Recording)
        settled.write(bytes(10_000))
        settled.finish()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            in_children(lambda: store_anew(cache, URL), 2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_fork_waits_for_a_running_checkpoint(path: Path) -> None:
    cache, stop = Cache(path), threading.Event()

    def write() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            recording = record(cache, f"http://example.test/{threading.get_ident()}/{at}")
            # A few writes fill the log, so that a thread starts a checkpoint.
            recording.write(bytes(1 << 20))
            recording.finish()

    def child() -> None:
        store(cache, f"{URL}/{os.getpid()}", bytes(1 << 20))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            in_children(child, 1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_simultaneous_forks_do_not_hang_the_children(path: Path) -> None:
    cache, stop = Cache(path), threading.Event()

    def write() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            store(cache, f"http://example.test/{at}", bytes(10_000))

    def fork(at: int) -> int:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store(cache, f"{URL}/{at}")
                status = 0
            finally:
                os._exit(status)
        deadline = time.monotonic() + TIMEOUT
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                return os.waitpid(child, 0)[1]
            time.sleep(0.001)
        return 0

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            assert not any(pool.map(fork, range(20))), "a child hangs"
    finally:
        stop.set()
        writer.join()
    assert all(isinstance(ask(cache, f"{URL}/{at}"), Reply) for at in range(20))


def test_a_medium_body_is_verified_before_it_is_served(path: Path) -> None:
    cache = Cache(path)
    store(cache, body=bytes(1 << 20))
    assert hit(cache).body == bytes(1 << 20)
    cache.close()
    run_sql(path, "UPDATE chunk SET sealed = flip(sealed) WHERE n = 3")
    assert isinstance(ask(cache), Ticket)


def test_a_changed_piece_is_an_error_and_not_the_end(path: Path) -> None:
    cache = Cache(path)
    store(cache, body=bytes(17 << 20))
    cache.close()
    run_sql(path, "UPDATE chunk SET sealed = flip(sealed) WHERE n = 3")
    reply = hit(cache)
    assert reply.body is None
    with pytest.raises(BadSignature):
        list(iter(reply.next, None))
    assert isinstance(ask(cache), Ticket)

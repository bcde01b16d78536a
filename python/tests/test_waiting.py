"""Coalesced requests: how long they wait for an equal one, and what they do afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import loopback
from drivers import DRIVERS, Driver
from lacre import Cache, _herd
from loopback import Origin, OriginResponse, ReceivedRequest

FRESH = {"Cache-Control": "max-age=60"}
#: Seconds; a request that waits longer hangs.
NO_LIMIT = 600.0


@pytest.fixture
def origin() -> Iterator[Origin]:
    with loopback.origin() as origin:
        yield origin


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    driver = DRIVERS[request.param](Cache(":memory:"))
    yield driver
    driver.close()


def clients() -> dict[str, Callable[[Path], tuple[Any, type[Exception]]]]:
    """Blocking clients with the exceptions of their timeouts."""

    def drop_in(backend: str) -> Callable[[Path], tuple[Any, type[Exception]]]:
        def make(path: Path) -> tuple[Any, type[Exception]]:
            requests = pytest.importorskip("requests")
            from lacre import CachedSession

            return CachedSession(path / "cache", backend), requests.ReadTimeout

        return make

    def httpx(_: Path) -> tuple[Any, type[Exception]]:
        httpx = pytest.importorskip("httpx")
        from lacre.httpx import CachedClient

        return CachedClient(Cache(":memory:")), httpx.ReadTimeout

    def niquests(_: Path) -> tuple[Any, type[Exception]]:
        niquests = pytest.importorskip("niquests")
        from lacre.niquests import CachedSession as Session

        return Session(Cache(":memory:")), niquests.ReadTimeout

    return {
        "sqlite": drop_in("sqlite"),
        "memory": drop_in("memory"),
        "httpx": httpx,
        "niquests": niquests,
    }


@pytest.mark.parametrize("client", clients())
def test_a_request_waits_at_most_its_own_timeout(
    client: str, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_herd, "PATIENCE", NO_LIMIT)
    asked, over = threading.Event(), threading.Event()

    def slow(_: ReceivedRequest) -> OriginResponse:
        asked.set()
        assert over.wait(60)
        return OriginResponse(headers=FRESH)

    origin.answers["/"] = slow
    made, timed_out = clients()[client](tmp_path)
    with ThreadPoolExecutor(2) as pool, made:
        first = pool.submit(made.get, origin.url + "/", timeout=60)
        assert asked.wait(60)
        second = pool.submit(made.get, origin.url + "/", timeout=0.2)
        try:
            with pytest.raises(timed_out):
                second.result(60)
        finally:
            over.set()
        assert first.result(60).status_code == 200
    assert len(origin.received) == 1


@pytest.mark.parametrize("client", ["httpx", "aiohttp"])
def test_a_task_waits_at_most_its_own_timeout(
    client: str, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(client)
    monkeypatch.setattr(_herd, "PATIENCE", NO_LIMIT)
    over = threading.Event()

    def slow(_: ReceivedRequest) -> OriginResponse:
        assert over.wait(60)
        return OriginResponse(headers=FRESH)

    origin.answers["/"] = slow
    url = origin.url + "/"

    async def get(session: Any, seconds: float) -> int:
        if client == "httpx":
            return int((await session.get(url, timeout=seconds)).status_code)
        import aiohttp

        async with session.get(url, timeout=aiohttp.ClientTimeout(total=seconds)) as response:
            return int(response.status)

    async def main() -> None:
        made: Any
        if client == "httpx":
            import httpx

            from lacre.httpx import AsyncCachedClient

            made, timed_out = AsyncCachedClient(Cache(":memory:")), httpx.ReadTimeout
        else:
            from lacre.aiohttp import cached_session

            made, timed_out = cached_session(Cache(":memory:")), asyncio.TimeoutError
        async with made:
            first = asyncio.create_task(get(made, 60))
            while not origin.received:
                await asyncio.sleep(0.001)
            try:
                with pytest.raises(timed_out):
                    await asyncio.wait_for(asyncio.create_task(get(made, 0.2)), 60)
            finally:
                over.set()
            assert await first == 200

    asyncio.run(main())
    assert len(origin.received) == 1


def hold(driver: Driver, url: str, stack: ExitStack) -> None:
    """Sends a request and leaves its body unread while the stack is open."""
    run = getattr(driver, "run", None)
    if hasattr(driver, "client"):
        response = driver.client.stream("GET", url)
    elif hasattr(driver, "aiohttp"):
        response = driver.session.get(url)  # type: ignore[attr-defined]
    elif run is not None:
        response = run(
            asyncio.ensure_future(driver.session.get(url, stream=True), loop=driver.loop)
        )  # type: ignore[attr-defined]
        stack.callback(lambda: run(response.close()))
        return
    else:
        stack.enter_context(driver.session.get(url, stream=True))  # type: ignore[attr-defined]
        return
    if run is None:
        stack.enter_context(response)
        return

    async def enter() -> None:
        # Another task: a task never waits for itself.
        await response.__aenter__()

    run(driver.loop.create_task(enter()))  # type: ignore[attr-defined]
    stack.callback(lambda: run(response.__aexit__(None, None, None)))


@pytest.mark.parametrize("chunked", [False, True])
def test_an_unread_response_does_not_block_others(
    driver: Driver, origin: Origin, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_herd, "PATIENCE", NO_LIMIT)
    url = origin.serve("/", OriginResponse(bytes(20 << 20), headers=FRESH, chunked=chunked))
    with ExitStack() as stack:
        hold(driver, url, stack)
        if hasattr(driver, "run"):
            assert len(driver.get(url).body) == 20 << 20
        else:
            with ThreadPoolExecutor(1) as pool:
                assert len(pool.submit(driver.get, url).result(60).body) == 20 << 20
    assert len(origin.received) == 2


def test_immediately_stale_responses_are_not_waited_for(
    driver: Driver, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATIENCE", "BODY_PATIENCE", "STILL_PATIENCE"):
        monkeypatch.setattr(_herd, name, NO_LIMIT)
    from lacre import _drive

    for name in ("BODY_PATIENCE", "STILL_PATIENCE"):
        monkeypatch.setattr(_drive, name, NO_LIMIT)
    headers = {"Cache-Control": "no-cache", "Content-Type": "text/event-stream"}
    url = origin.serve("/", OriginResponse(bytes(20 << 20), headers=headers, chunked=True))
    with ExitStack() as stack:
        hold(driver, url, stack)
        with ThreadPoolExecutor(1) as pool:
            ask = (
                driver.get
                if hasattr(driver, "run")
                else lambda url: pool.submit(driver.get, url).result(60)
            )
            assert len(ask(url).body) == 20 << 20
    assert len(origin.received) == 2


def test_a_waiter_past_its_limit_sends_and_takes_the_first_response(
    driver: Driver, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_herd, "PATIENCE", 0.05)
    both, over = threading.Event(), threading.Event()

    def answer(_: ReceivedRequest) -> OriginResponse:
        if len(origin.received) == 1:
            assert both.wait(60)
            return OriginResponse(b"the first", headers=FRESH)
        both.set()
        assert over.wait(60)
        return OriginResponse(b"the second", headers=FRESH)

    origin.answers["/"] = answer
    try:
        answers = driver.together(origin.url + "/", 2)
    finally:
        over.set()
    assert [answer.body for answer in answers] == [b"the first"] * 2
    assert sorted(answer.info.collapsed for answer in answers if answer.info) == [False, True]


def test_a_session_past_its_limit_sends_and_takes_the_first_response(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("requests")
    from lacre import CachedSession

    monkeypatch.setattr(_herd, "PATIENCE", 0.05)
    both, over = threading.Event(), threading.Event()

    def answer(_: ReceivedRequest) -> OriginResponse:
        if len(origin.received) == 1:
            assert both.wait(60)
            return OriginResponse(b"the first")
        both.set()
        assert over.wait(60)
        return OriginResponse(b"the second")

    origin.answers["/"] = answer
    try:
        with CachedSession(backend="memory") as session, ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(session.get, origin.url + "/") for _ in range(2)]
            assert [each.result(60).content for each in asked] == [b"the first"] * 2
    finally:
        over.set()

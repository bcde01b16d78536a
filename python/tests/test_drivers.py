"""Scenarios that every driver of `lacre.Cache` passes, against an origin on loopback."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import loopback
from drivers import DRIVERS, Driver
from lacre import Cache, _drive, _herd
from loopback import Origin, OriginResponse
from stored import flip_last_bytes

FRESH = {"Cache-Control": "max-age=60"}
REFRESHED = {"Cache-Control": "max-age=1, stale-while-revalidate=100"}
STALE = {"Cache-Control": "max-age=1", "ETag": '"1"'}


class Clock:
    """A clock that only tests advance."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def origin(clock: Clock) -> Iterator[Origin]:
    with loopback.origin(clock) as origin:
        yield origin


@pytest.fixture
def events() -> list[tuple[str, str | None, str]]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "cache.sqlite"


@pytest.fixture
def cache(path: Path, clock: Clock, events: list[Any]) -> Cache:
    return Cache(path, clock=clock, on_event=lambda *event: events.append(event))


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, cache: Cache) -> Iterator[Driver]:
    driver = DRIVERS[request.param](cache)
    yield driver
    driver.close()


def test_a_fresh_response_is_a_hit(driver: Driver, origin: Origin) -> None:
    url = origin.serve(
        "/", OriginResponse(b"hello", headers={**FRESH, "Content-Type": "text/plain", "X-Two": "2"})
    )
    first, second = driver.get(url), driver.get(url)
    assert (first.body, second.body) == (b"hello", b"hello")
    assert first.status_line == "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored"
    assert second.status_line == "lacre; hit; ttl=60"
    assert first.info is not None
    assert second.info is not None
    assert (first.info.from_cache, first.info.stored) == (False, True)
    assert (second.info.from_cache, second.info.stored) == (True, False)
    assert (second.status, second.headers["x-two"]) == (200, "2")
    assert len(origin.received) == 1


def test_a_rotated_cookie_costs_no_hit(driver: Driver, origin: Origin) -> None:
    says = [
        OriginResponse(b"hello", headers={**FRESH, "Set-Cookie": f"__cf_bm={turn}; Path=/"})
        for turn in range(3)
    ]
    urls = [
        origin.serve(path, say) for path, say in zip(("/one", "/two", "/three"), says, strict=True)
    ]
    for url in urls:
        assert driver.get(url).status_line.startswith("lacre; fwd=uri-miss")
    for url in [*urls, urls[0]]:
        assert driver.get(url).status_line == "lacre; hit; ttl=60"
    assert [got.headers.get("cookie") for got in origin.received] == [
        None,
        "__cf_bm=0",
        "__cf_bm=1",
    ]


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("settings", [{}, {"origin": "ignored"}, {"stale_if_error": True}], ids=str)
def test_a_default_lifetime_stores_no_error(
    name: str, settings: dict[str, Any], origin: Origin, clock: Clock
) -> None:
    driver = DRIVERS[name](Cache(":memory:", expire_after=3600, clock=clock, **settings))
    for status in (401, 404, 429, 500, 503):
        url = origin.serve(
            f"/{status}", OriginResponse(b"once", status=status), OriginResponse(b"well")
        )
        assert driver.get(url).status == status
        assert driver.get(url).body == b"well"
        assert driver.get(url).status_line == "lacre; hit; ttl=3600"
    driver.close()


def test_headers_of_the_client_are_sent_and_the_request_is_unchanged(
    driver: Driver, origin: Origin
) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    driver.get(url, headers={"X-Mine": "1"})
    assert origin.received[0].headers["x-mine"] == "1"
    assert origin.received[0].headers["user-agent"]


def test_a_stale_response_is_validated(driver: Driver, origin: Origin, clock: Clock) -> None:
    url = origin.serve(
        "/",
        OriginResponse(headers=STALE),
        OriginResponse(status=304, headers={"ETag": '"1"', "Cache-Control": "max-age=9"}),
    )
    driver.get(url)
    clock.now += 10
    second = driver.get(url)
    assert (second.status, second.body) == (200, b"hello")
    assert second.status_line == "lacre; fwd=stale; fwd-status=304; ttl=9; stored"
    assert second.info is not None
    assert second.info.revalidated
    assert second.info.from_cache
    assert origin.received[1].headers["if-none-match"] == '"1"'
    assert driver.get(url).status_line == "lacre; hit; ttl=9"


def test_validations_share_a_connection(
    driver: Driver, origin: Origin, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[Any] = []
    setup = loopback.Handler.setup

    def counted(self: loopback.Handler) -> None:
        connections.append(self.client_address)
        setup(self)

    monkeypatch.setattr(loopback.Handler, "setup", counted)
    url = origin.serve(
        "/", OriginResponse(headers=STALE), OriginResponse(status=304, headers={"ETag": '"1"'})
    )
    for _ in range(4):
        assert driver.get(url).body == b"hello"
        clock.now += 10
    assert (len(origin.received), len(connections)) == (4, 1)


def test_a_changed_response_replaces_a_stale_one(
    driver: Driver, origin: Origin, clock: Clock
) -> None:
    url = origin.serve(
        "/",
        OriginResponse(headers=STALE),
        OriginResponse(b"changed", headers={**FRESH, "ETag": '"2"'}),
    )
    driver.get(url)
    clock.now += 10
    assert [driver.get(url).body for _ in range(2)] == [b"changed", b"changed"]
    assert len(origin.received) == 2


def test_variants_are_stored_side_by_side(driver: Driver, origin: Origin) -> None:
    headers = {**FRESH, "Vary": "Accept-Language"}
    origin.answers["/"] = lambda got: OriginResponse(
        got.headers["accept-language"].encode(), headers=headers
    )
    for _ in range(2):
        for language in ("de", "en"):
            answer = driver.get(origin.url + "/", headers={"Accept-Language": language})
            assert answer.body == language.encode()
    assert len(origin.received) == 2


def test_a_stale_response_is_used_while_it_is_refreshed(
    driver: Driver, origin: Origin, clock: Clock
) -> None:
    url = origin.serve(
        "/", OriginResponse(b"old", headers=REFRESHED), OriginResponse(b"new", headers=REFRESHED)
    )
    driver.get(url)
    clock.now += 10
    stale = driver.get(url)
    assert stale.body == b"old"
    assert stale.status_line == "lacre; hit; ttl=-9; detail=stale-while-revalidate"
    driver.until(lambda: len(origin.received) == 2)
    driver.until(lambda: driver.get(url).body == b"new")
    assert len(origin.received) == 2


def test_a_stale_response_is_used_instead_of_an_error(
    driver: Driver, origin: Origin, clock: Clock
) -> None:
    headers = {"Cache-Control": "max-age=1, stale-if-error=100"}
    url = origin.serve("/", OriginResponse(headers=headers), OriginResponse(b"down", status=503))
    driver.get(url)
    clock.now += 10
    answer = driver.get(url)
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.status_line.endswith("detail=stale-if-error")
    clock.now += 1000
    assert driver.get(url).status == 503


def test_a_stale_response_is_used_while_the_origin_is_unreachable(
    driver: Driver, clock: Clock
) -> None:
    with loopback.origin(clock) as origin:
        url = origin.serve("/", OriginResponse(headers=STALE))
        driver.get(url)
        other = origin.url + "/never"
    clock.now += 10
    answer = driver.get(url)
    assert (answer.status, answer.body) == (200, b"hello")
    with pytest.raises(driver.failure):
        driver.get(other)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_an_unsafe_request_invalidates_stored_responses(
    driver: Driver, origin: Origin, method: str
) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    driver.get(url)
    assert driver.request(method, url, body=b"x").info is not None
    assert origin.received[1].body == b"x"
    assert driver.get(url).status_line.startswith("lacre; fwd=uri-miss")


def test_head_is_answered_from_a_stored_get(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    driver.get(url)
    head = driver.request("HEAD", url)
    assert (head.body, head.headers["content-length"]) == (b"", "5")
    assert head.status_line == "lacre; hit; ttl=60"
    assert len(origin.received) == 1


def test_head_without_a_stored_response_is_forwarded(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    head = driver.request("HEAD", url)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "5")
    assert driver.get(url).body == b"hello"


def test_a_range_is_served_from_a_stored_response(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(b"0123456789", headers={**FRESH, "ETag": '"1"'}))
    driver.get(url)
    part = driver.get(url, headers={"Range": "bytes=2-4"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert len(origin.received) == 1


def test_each_hop_of_a_redirect_is_stored(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/from", OriginResponse(b"", 301, {**FRESH, "Location": "/to"}))
    origin.serve("/to", OriginResponse(b"there", headers=FRESH))
    assert [driver.get(url).body for _ in range(2)] == [b"there", b"there"]
    assert [got.path for got in origin.received] == ["/from", "/to"]


@pytest.mark.parametrize("name", DRIVERS)
def test_different_credentials_share_no_entries(name: str, origin: Origin, clock: Clock) -> None:
    driver = DRIVERS[name](Cache(":memory:", clock=clock, partition_by_cookies=True))
    origin.answers["/"] = lambda got: OriginResponse(
        f"{got.headers.get('authorization')} {got.headers.get('cookie')}".encode(), headers=FRESH
    )
    url = origin.url + "/"
    asks: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer a"},
        {"Authorization": "Bearer b"},
        {"Cookie": "who=c"},
    ]
    answers = [driver.get(url, headers=headers).body for headers in asks]
    assert answers == [b"None None", b"Bearer a None", b"Bearer b None", b"None who=c"]
    assert [driver.get(url, headers=headers).body for headers in asks] == answers
    assert len(origin.received) == 4
    driver.close()


def test_responses_that_vary_by_cookie_are_separate_per_cookie(
    driver: Driver, origin: Origin
) -> None:
    origin.serve(
        "/in", OriginResponse(b"", headers={"Set-Cookie": "who=me", "Cache-Control": "no-store"})
    )
    varies = {**FRESH, "Vary": "Cookie"}
    origin.answers["/"] = lambda got: OriginResponse(
        got.headers.get("cookie", "nobody").encode(), headers=varies
    )
    url = origin.url + "/"
    assert driver.get(url).body == b"nobody"
    driver.get(origin.url + "/in")
    assert driver.get(url).body == b"who=me"
    assert len(origin.asked("/")) == 2


@pytest.mark.parametrize("chunked", [False, True])
def test_an_incomplete_body_is_not_stored(driver: Driver, origin: Origin, chunked: bool) -> None:
    body = bytes(100_000)
    url = origin.serve(
        "/",
        OriginResponse(body, headers=FRESH, cut=70_000, chunked=chunked),
        OriginResponse(body, headers=FRESH),
    )
    with pytest.raises(driver.failure):
        driver.get(url)
    assert driver.get(url).status_line.startswith("lacre; fwd=uri-miss")
    assert driver.get(url).status_line == "lacre; hit; ttl=60"


def test_a_partly_read_body_is_not_stored(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(bytes(20 << 20), headers=FRESH))
    assert driver.begin(url)
    assert driver.get(url).status_line.startswith("lacre; fwd=uri-miss")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_stored_and_served_in_pieces(
    driver: Driver, origin: Origin, chunked: bool
) -> None:
    body = bytes(range(256)) * (20 << 12)
    url = origin.serve("/", OriginResponse(body, headers=FRESH, chunked=chunked))
    first, second = driver.get(url), driver.get(url)
    assert first.body == body
    assert second.body == body
    assert second.status_line == "lacre; hit; ttl=60"
    assert driver.begin(url) == body[: len(driver.begin(url))]
    assert len(origin.received) == 1


def test_a_chunked_body_is_stored(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH, chunked=True))
    assert [driver.get(url).body for _ in range(2)] == [b"hello", b"hello"]
    assert len(origin.received) == 1


def test_an_empty_body_is_stored(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(b"", headers=FRESH))
    assert [driver.get(url).body for _ in range(2)] == [b"", b""]
    assert len(origin.received) == 1


@pytest.mark.parametrize("times", [0, 10_000, 4_000_000])
def test_an_encoded_body_is_decoded_for_the_caller(
    driver: Driver, origin: Origin, times: int
) -> None:
    body = b"hello" * times
    url = origin.serve(
        "/", OriginResponse(gzip.compress(body), headers={**FRESH, "Content-Encoding": "gzip"})
    )
    assert [driver.get(url).body for _ in range(2)] == [body, body]
    assert len(origin.received) == 1


def test_a_tampered_entry_is_fetched_again(
    driver: Driver, origin: Origin, path: Path, cache: Cache, events: list[Any]
) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    driver.get(url)
    cache.close()
    flip_last_bytes(path)
    answer = driver.get(url)
    assert (answer.body, len(origin.received)) == (b"hello", 2)
    assert answer.status_line.endswith("detail=tampered")
    assert [name for name, *_ in events] == ["stored", "refused", "quarantined", "stored"]
    assert driver.get(url).status_line == "lacre; hit; ttl=60"


def test_only_if_cached_never_sends_a_request(driver: Driver, origin: Origin, clock: Clock) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    offline = {"only_if_cached": True}
    assert driver.get(url, options=offline).status == 504
    driver.get(url)
    assert driver.get(url, options=offline).body == b"hello"
    clock.now += 100
    refused = driver.get(url, options=offline)
    assert (refused.status, refused.body) == (504, b"")
    assert refused.info is not None
    assert not refused.info.from_cache
    assert driver.get(url, options={"only_if_cached": True, "max_stale": 100}).body == b"hello"
    assert len(origin.received) == 1


def test_options_apply_to_a_single_request(driver: Driver, origin: Origin, clock: Clock) -> None:
    url = origin.serve(
        "/",
        OriginResponse(headers={"ETag": '"1"'}),
        OriginResponse(status=304),
        OriginResponse(b"anew", headers=FRESH),
    )
    driver.get(url, options={"expire_after": 60})
    assert driver.get(url).status_line == "lacre; hit; ttl=60"
    assert driver.get(url, options={"refresh": True}).status_line.startswith(
        "lacre; fwd=request; fwd-status=304"
    )
    assert driver.get(url, options={"force_refresh": True}).body == b"anew"
    assert driver.get(url, options={"no_store": True}).status_line.startswith("lacre; fwd=bypass")
    assert driver.get(url, options={"partition": "somebody else"}).status_line.startswith(
        "lacre; fwd=uri-miss"
    )
    with pytest.raises(TypeError, match="no_store"):
        driver.get(url, options={"nostore": True})


def test_simultaneous_equal_requests_are_sent_once(driver: Driver, origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    answers = driver.together(url, 8)
    assert [answer.body for answer in answers] == [b"hello"] * 8
    assert len(origin.received) == 1


def test_responses_that_cannot_be_shared_are_fetched_separately(
    driver: Driver, origin: Origin
) -> None:
    url = origin.serve("/", OriginResponse(headers={"Cache-Control": "no-store"}))
    assert [answer.body for answer in driver.together(url, 4)] == [b"hello"] * 4
    assert len(origin.received) == 4


# Properties of the asynchronous niquests client only.


def wait_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes requests wait for equal ones without a limit, so that a wrong wait hangs."""
    monkeypatch.setattr(_herd, "PATIENCE", 600.0)
    for module in (_herd, _drive):
        for name in ("BODY_PATIENCE", "STILL_PATIENCE"):
            monkeypatch.setattr(module, name, 600.0)


@pytest.mark.parametrize("size", [1 << 18, 20 << 20])
def test_async_niquests_streams_misses_and_hits(origin: Origin, cache: Cache, size: int) -> None:
    niquests = pytest.importorskip("niquests")
    from lacre.niquests import AsyncCachedSession, cache_info

    body = bytes(range(256)) * (size >> 8)
    packed = gzip.compress(body, compresslevel=0)
    url = origin.serve("/", OriginResponse(packed, headers={**FRESH, "Content-Encoding": "gzip"}))

    async def read(session: Any, as_sent: bool) -> list[bytes]:
        async with await session.get(url, stream=True) as response:
            assert isinstance(response, niquests.AsyncResponse)
            infos.append(cache_info(response))
            read = response.iter_raw if as_sent else response.iter_content
            pieces = [piece async for piece in await read(1 << 16)]
            if not infos[-1].from_cache:
                assert response.download_progress.total == len(packed)
            return pieces

    async def main(as_sent: bool) -> None:
        async with AsyncCachedSession(cache, options={"partition": str(as_sent)}) as session:
            for _ in range(2):
                pieces = await read(session, as_sent)
                assert b"".join(pieces) == (packed if as_sent else body)
                assert max(map(len, pieces)) <= 1 << 16

    infos: list[Any] = []
    for as_sent in (True, False):
        asyncio.run(main(as_sent))
    assert [info.from_cache for info in infos] == [False, True] * 2


def test_async_niquests_stores_no_body_whose_reader_was_cancelled(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("niquests")
    wait_without_limit(monkeypatch)
    from lacre.niquests import AsyncCachedSession, cache_info

    url = origin.serve("/", OriginResponse(bytes(20 << 20), headers=FRESH))

    async def main() -> None:
        async with (
            AsyncCachedSession(cache) as session,
            await session.get(url, stream=True) as response,
        ):
            pieces = await response.iter_content(1 << 20)
            assert await anext(pieces)
            reader = asyncio.create_task(anext(pieces))
            await asyncio.sleep(0)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            # A request never waits for a cancelled one.
            again = await asyncio.wait_for(asyncio.create_task(session.get(url)), 60)
            assert (cache_info(again).forward, len(again.content)) == ("uri-miss", 20 << 20)
            assert cache_info(await session.get(url)).hit

    asyncio.run(main())
    assert len(origin.received) == 2


def test_unseen_credentials_of_an_async_niquests_adapter_prevent_storing(
    origin: Origin, cache: Cache
) -> None:
    niquests = pytest.importorskip("niquests")
    from lacre.niquests import AsyncCacheAdapter, cache_info

    class Signing(niquests.adapters.AsyncHTTPAdapter):  # type: ignore[misc, name-defined]
        async def send(self, request: Any, *arguments: Any, **settings: Any) -> Any:
            request.headers["Cookie"] = "who=me"
            return await super().send(request, *arguments, **settings)

    url = origin.serve("/", OriginResponse(headers={**FRESH, "Vary": "Cookie"}))
    plain = origin.serve("/plain", OriginResponse(headers=FRESH))

    async def main() -> None:
        async with niquests.AsyncSession() as session:
            session.mount("http://", AsyncCacheAdapter(cache, Signing()))
            for _ in range(2):
                assert cache_info(await session.get(url)).detail == "vary"
            assert [cache_info(await session.get(plain)).hit for _ in range(2)] == [False, True]

    asyncio.run(main())
    assert all(got.headers["cookie"] == "who=me" for got in origin.received)
    assert [got.path for got in origin.received] == ["/", "/", "/plain"]


@pytest.mark.parametrize("mounted", [False, True])
def test_closing_async_niquests_cancels_refreshes(
    origin: Origin, cache: Cache, clock: Clock, mounted: bool
) -> None:
    niquests = pytest.importorskip("niquests")
    from lacre.niquests import AsyncCacheAdapter, AsyncCachedSession

    closed = threading.Event()

    def answer(_: Any) -> OriginResponse:
        if len(origin.received) == 1:
            return OriginResponse(b"old", headers=REFRESHED)
        assert closed.wait(60)
        return OriginResponse(b"new", headers=REFRESHED)

    origin.answers["/"] = answer
    url = origin.url + "/"

    async def main() -> None:
        before = asyncio.all_tasks()
        session = niquests.AsyncSession() if mounted else AsyncCachedSession(cache)
        if mounted:
            session.mount("http://", AsyncCacheAdapter(cache))
        async with session:
            await session.get(url)
            clock.now += 10
            assert (await session.get(url)).content == b"old"
            while len(origin.received) < 2:
                await asyncio.sleep(0.001)
        assert asyncio.all_tasks() == before
        closed.set()
        async with AsyncCachedSession(cache, options={"only_if_cached": True}) as session:
            assert (await session.get(url)).content == b"old"

    asyncio.run(asyncio.wait_for(main(), 120))


def test_async_niquests_sends_multiplexed_requests_one_by_one(origin: Origin, cache: Cache) -> None:
    niquests = pytest.importorskip("niquests")
    from lacre.niquests import AsyncCachedSession, cache_info

    url = origin.serve("/", OriginResponse(headers=FRESH))
    flags: list[bool] = []

    class Listening(niquests.adapters.AsyncHTTPAdapter):  # type: ignore[misc, name-defined]
        async def send(
            self, request: Any, *arguments: Any, multiplexed: bool, **settings: Any
        ) -> Any:
            flags.append(multiplexed)
            return await super().send(request, *arguments, multiplexed=multiplexed, **settings)

    async def main() -> None:
        async with AsyncCachedSession(cache, multiplexed=True) as session:
            session.mount("http://", Listening())
            answers = [await session.get(url) for _ in range(2)]
            await session.gather()
            assert [(answer.lazy, answer.content) for answer in answers] == [(False, b"hello")] * 2
            assert [cache_info(answer).hit for answer in answers] == [False, True]

    asyncio.run(main())
    assert flags == [False]


def test_closing_an_async_niquests_response_frees_connection_and_waiters(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("niquests")
    from lacre.niquests import AsyncCachedSession, cache_info

    wait_without_limit(monkeypatch)
    ended = threading.Event()
    monkeypatch.setattr(loopback.Handler, "finish", lambda _: ended.set())
    url = origin.serve("/", OriginResponse(bytes(20 << 20), headers=FRESH))

    async def main() -> None:
        async with AsyncCachedSession(cache) as session:
            response = await session.get(url, stream=True)
            assert await anext(await response.iter_content(1 << 14))
            assert not ended.is_set()
            await response.close()
            assert await asyncio.get_running_loop().run_in_executor(None, ended.wait, 60)
            again = await asyncio.wait_for(asyncio.create_task(session.get(url)), 60)
            assert cache_info(again).forward == "uri-miss"

    asyncio.run(main())

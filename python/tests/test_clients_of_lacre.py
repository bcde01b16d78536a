"""Properties of single drivers."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import loopback
from lacre import Cache, _drive
from lacre._lacre import Reply
from loopback import Origin, OriginResponse

FRESH = {"Cache-Control": "max-age=60"}
STALE = {"Cache-Control": "max-age=0, stale-while-revalidate=100"}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "python.md"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with loopback.origin() as origin:
        yield origin


@pytest.mark.parametrize("client", ["httpx", "aiohttp", "niquests"])
def test_examples_of_the_documentation_run(
    client: str, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(client)
    monkeypatch.setenv("LACRE_CACHE_DIR", str(tmp_path))
    origin.serve("/", OriginResponse(headers=FRESH))
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    [example] = [example for example in examples if f"from lacre.{client} import" in example]
    exec(example.replace("https://example.com", origin.url), {})
    assert len(origin.received) == 1


def test_unseen_credentials_of_a_custom_transport_prevent_storing(
    origin: Origin,
) -> None:
    httpx = pytest.importorskip("httpx")
    from lacre.httpx import CacheTransport

    class Signing(httpx.HTTPTransport):  # type: ignore[misc, name-defined]
        def handle_request(self, request: Any) -> Any:
            request.headers["Cookie"] = "who=me"
            return super().handle_request(request)

    url = origin.serve("/", OriginResponse(headers={**FRESH, "Vary": "Cookie"}))
    with httpx.Client(transport=CacheTransport(Cache(":memory:"), Signing())) as client:
        for _ in range(2):
            assert client.get(url).extensions["lacre"].detail == "vary"
    assert len(origin.received) == 2


def test_a_streamed_request_body_is_sent_once_without_a_lookup(origin: Origin) -> None:
    pytest.importorskip("httpx")
    from lacre.httpx import CachedClient

    url = origin.serve("/", OriginResponse(headers=FRESH))
    with CachedClient(Cache(":memory:", allowable_methods=["GET", "POST"])) as client:
        for _ in range(2):
            response = client.post(url, content=iter([b"a", b"b"]), headers={"Content-Length": "2"})
            assert response.extensions["lacre"].detail == "body-unseen"
    assert [got.body for got in origin.received] == [b"ab", b"ab"]


def test_a_fast_hit_of_httpx_equals_a_normal_response(
    origin: Origin,
) -> None:
    pytest.importorskip("httpx")
    from lacre.httpx import CachedClient

    headers = {
        **FRESH,
        "Content-Type": "text/plain",
        "Set-Cookie": "a=1",
        "Content-Encoding": "gzip",
    }
    url = origin.serve(
        "/", OriginResponse(gzip.compress("\xe4".encode("latin-1")), headers=headers)
    )

    def seen(hook: bool) -> list[Any]:
        hooked: list[str] = []
        hooks = {"response": [lambda response: hooked.append(str(response.url))]} if hook else {}
        with CachedClient(cache, default_encoding="latin-1", event_hooks=hooks) as client:
            response = client.get(url)
            assert hooked == [url] * hook
            assert response.extensions["lacre"].hit
            assert response.elapsed.total_seconds() > 0
            assert response.is_closed
            assert response.is_stream_consumed
            of = (
                response.headers.raw,
                response.text,
                response.content,
                response.http_version,
                response.history,
            )
            return [*of, response.url, response.request.method, dict(client.cookies)]

    # A fixed clock makes Age equal in all responses.
    now = time.time()
    cache = Cache(":memory:", clock=lambda: now)
    with CachedClient(cache) as client:
        client.get(url)
    assert seen(hook=False) == seen(hook=True)
    assert seen(hook=False)[1] == "\xe4"
    assert seen(hook=False)[-1] == {"a": "1"}
    assert len(origin.received) == 1


def test_httpx_follows_a_stored_redirect_and_sends_its_own_headers(
    origin: Origin,
) -> None:
    pytest.importorskip("httpx")
    from lacre.httpx import CachedClient

    there = origin.serve("/there", OriginResponse(b"there", headers=FRESH))
    url = origin.serve("/", OriginResponse(status=301, headers={**FRESH, "Location": there}))
    with CachedClient(Cache(":memory:"), follow_redirects=True) as client:
        for _ in range(2):
            response = client.get(url)
            assert response.content == b"there"
            assert [hop.status_code for hop in response.history] == [301]
        assert len(origin.received) == 2
        client.get(there, auth=("me", "secret"))
        client.get(there.replace("://", "://me:secret@"))
    assert [("authorization" in got.headers) for got in origin.received[2:]] == [True, True]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_httpx_asks_the_cache_once_per_request(
    asynchronous: bool, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpx")
    from lacre.httpx import AsyncCachedClient, CachedClient

    url = origin.serve("/", OriginResponse(headers=FRESH))
    asked: list[str] = []
    ask = _drive.CacheRequest.ask

    def counted(self: _drive.CacheRequest, cache: Cache) -> Any:
        asked.append(self.url)
        return ask(self, cache)

    async def get(times: int) -> None:
        async with AsyncCachedClient(Cache(":memory:")) as client:
            for _ in range(times):
                assert "lacre.found" not in (await client.get(url)).request.extensions

    monkeypatch.setattr(_drive.CacheRequest, "ask", counted)
    if asynchronous:
        asyncio.run(get(3))
    else:
        with CachedClient(Cache(":memory:")) as client:
            for _ in range(3):
                assert "lacre.found" not in client.get(url).request.extensions
    assert (len(asked), len(origin.received)) == (3, 1)


def test_a_stale_response_is_refreshed_before_use_under_trio(origin: Origin) -> None:
    pytest.importorskip("httpx")
    trio = pytest.importorskip("trio")
    from lacre.httpx import AsyncCachedClient

    url = origin.serve(
        "/", OriginResponse(b"old", headers=STALE), OriginResponse(b"new", headers=STALE)
    )

    async def main() -> list[bytes]:
        async with AsyncCachedClient(Cache(":memory:")) as client:
            return [(await client.get(url)).content for _ in range(2)]

    assert trio.run(main) == [b"old", b"new"]


def test_a_session_that_decodes_itself_stores_no_encoded_body(origin: Origin) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    from lacre.aiohttp import CacheMiddleware, cache_info, cached_session

    url = origin.serve(
        "/", OriginResponse(gzip.compress(b"hello"), headers={**FRESH, "Content-Encoding": "gzip"})
    )
    plain = origin.serve("/plain", OriginResponse(headers=FRESH))

    async def main() -> None:
        cache = Cache(":memory:")
        decoding = aiohttp.ClientSession(middlewares=(CacheMiddleware(cache),))
        async with decoding as session, cached_session(cache) as careful:
            for ask in (session.get(url), session.get(url), careful.get(url, auto_decompress=True)):
                async with ask as response:
                    assert await response.read() == b"hello"
                    info = cache_info(response)
                    assert info is not None
                    assert not info.stored
                    assert not info.from_cache
            for from_cache in (False, True):
                async with session.get(plain) as response:
                    assert await response.read() == b"hello"
                    info = cache_info(response)
                    assert info is not None
                    assert info.from_cache is from_cache

    asyncio.run(main())


def test_a_hit_of_aiohttp_equals_the_original_response(origin: Origin) -> None:
    pytest.importorskip("aiohttp")
    from lacre.aiohttp import cached_session

    headers = {**FRESH, "Content-Type": "application/json; charset=latin-1", "X-Two": "2"}
    url = origin.serve("/", OriginResponse(b'{"a": "\xe4"}', headers=headers))

    async def main() -> list[Any]:
        found = []
        async with cached_session(Cache(":memory:")) as session:
            for _ in range(2):
                async with session.get(url, raise_for_status=True) as response:
                    found.append(
                        (
                            response.status,
                            response.reason,
                            response.charset,
                            await response.json(),
                            response.url,
                        )
                    )
                    assert response.headers["x-two"] == "2"
                    assert response.ok
        return found

    first, second = asyncio.run(main())
    assert first == second
    assert first[3] == {"a": "ä"}
    assert len(origin.received) == 1


def test_a_cancelled_request_stores_nothing_and_unblocks_the_next(
    origin: Origin,
) -> None:
    pytest.importorskip("httpx")
    from lacre.httpx import AsyncCachedClient

    url = origin.serve("/", OriginResponse(bytes(1 << 20), headers=FRESH))

    async def main() -> None:
        async with AsyncCachedClient(Cache(":memory:")) as client:
            asked = asyncio.create_task(client.get(url))
            while not origin.received:
                await asyncio.sleep(0.001)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert (await client.get(url)).extensions["lacre"].forward == "uri-miss"
            assert (await client.get(url)).extensions["lacre"].hit

    asyncio.run(main())


def test_a_caller_never_waits_for_the_response_it_is_reading(
    origin: Origin,
) -> None:
    pytest.importorskip("httpx")
    from lacre.httpx import CachedClient

    url = origin.serve("/", OriginResponse(bytes(20 << 20), headers=FRESH))
    with CachedClient(Cache(":memory:")) as client, client.stream("GET", url) as first:
        assert first.status_code == 200
        assert len(client.get(url).content) == 20 << 20
    assert len(origin.received) == 2


class Sent:
    """A network that answers at once and counts requests."""

    def __init__(self, cache: Cache) -> None:
        self.count = 0
        self.driver = _drive.Driver(cache, (OSError,))

    def __call__(self, headers: Any) -> _drive.ResponseHead:
        self.count += 1
        return _drive.ResponseHead(
            200, [(b"cache-control", b"max-age=10, stale-while-revalidate=60")]
        )

    def run_exchange(self, exchange: _drive.Exchange) -> _drive.Answer:
        answer = _drive.run_exchange(exchange, (OSError,), self, lambda: None)
        if isinstance(answer, _drive.RecordedResponse):
            answer.write(b"body")
            answer.finish()
        return answer


def test_a_request_finds_what_was_stored_after_its_lookup() -> None:
    now = 1_800_000_000.0
    cache = Cache(":memory:", clock=lambda: now)
    sent = Sent(cache)
    asked = _drive.CacheRequest("GET", "http://a.test/", [], b"", None)
    tickets: list[Any] = [asked.ask(cache), asked.ask(cache)]
    for ticket in tickets:
        answer = sent.run_exchange(
            sent.driver.exchange(asked, ticket, owner=object(), unseen_inputs=False)
        )
    assert isinstance(answer, Reply)
    assert sent.count == 1
    assert answer.info.cache_status == "lacre; fwd=uri-miss; ttl=10; collapsed"

    now += 20
    stale: list[Any] = [asked.ask(cache), asked.ask(cache)]
    first, second = (reply.refresh for reply in stale)
    refresh = sent.driver.refresh(asked, first, unseen_inputs=False)
    assert refresh is not None
    sent.run_exchange(refresh)
    sent.driver.refresh_ended()
    assert sent.driver.refresh(asked, second, unseen_inputs=False) is None
    assert sent.count == 2

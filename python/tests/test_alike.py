"""Hits look like responses without a cache; rewindable request bodies are part of the key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import loopback
from drivers import DRIVERS, Driver
from lacre import Cache
from loopback import Origin, OriginResponse

HEADERS = {"Cache-Control": "max-age=60", "ETag": '"1"', "X-Two-Words": "2"}
POST = ["GET", "POST"]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with loopback.origin() as origin:
        yield origin


def of_httpx(client: Any, url: str) -> list[Any]:
    response = client.get(url)
    extensions = {
        name: value
        for name, value in response.extensions.items()
        if name not in ("lacre", "network_stream")
    }
    names = [name for name, _ in response.headers.raw if name != b"Age"]
    return [
        (
            response.http_version,
            response.reason_phrase,
            extensions,
            names,
            response.is_closed,
            response.history,
        ),
        (
            response.is_stream_consumed,
            response.num_bytes_downloaded,
            response.encoding,
            response.has_redirect_location,
        ),
        (
            response.request.method,
            response.url,
            dict(response.cookies),
            response.elapsed.total_seconds() >= 0,
        ),
        (response.next_request, response.default_encoding, repr(response), response.links),
    ]


def of_niquests(session: Any, url: str) -> list[Any]:
    response = session.get(url)
    names = [name for name in response.headers if name != "Age"]
    return [
        (
            response.reason,
            names,
            response.history,
            response.encoding,
            response.url,
            response.ok,
            response.links,
        ),
        (
            response.http_version,
            response.conn_info.http_version,
            response.raw.decode_content,
            response.raw.url,
        ),
        (
            response.raw.version,
            response.raw.reason,
            response.raw.status,
            response.next,
            response.is_redirect,
        ),
        (
            response.request.method,
            dict(response.cookies),
            response.elapsed.total_seconds() >= 0,
            repr(response),
        ),
    ]


async def of_aiohttp(session: Any, url: str) -> list[Any]:
    async with session.get(url) as response:
        await response.read()
        names = [name for name, _ in response.raw_headers if name != b"Age"]
        return [
            (
                response.version,
                response.reason,
                names,
                [name for name in response.headers if name != "Age"],
            ),
            (
                response.method,
                response.url,
                response.history,
                response.request_info,
                response.real_url,
            ),
            (
                response.cookies.output(),
                response.connection,
                response.closed,
                response.charset,
                response.host,
            ),
            (response.content_type, response.content_disposition, response.links, response.ok),
        ]


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("client", ["httpx", "niquests", "aiohttp"])
def test_a_hit_looks_like_the_response_without_a_cache(
    client: str, version: str, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(client)
    monkeypatch.setattr(loopback.Handler, "protocol_version", version)
    url = origin.serve("/", OriginResponse(headers=HEADERS))

    def blocking(look: Callable[[Any, str], list[Any]], plain: Any, cached: Any) -> list[Any]:
        with plain, cached:
            return [look(plain, url), *(look(cached, url) for _ in range(3))]

    async def asynchronous() -> list[Any]:
        import aiohttp

        from lacre.aiohttp import cached_session

        async with aiohttp.ClientSession() as plain, cached_session(Cache(":memory:")) as cached:
            return [
                await of_aiohttp(plain, url),
                *[await of_aiohttp(cached, url) for _ in range(3)],
            ]

    if client == "httpx":
        import httpx

        from lacre.httpx import CachedClient

        live, *others = blocking(of_httpx, httpx.Client(), CachedClient(Cache(":memory:")))
    elif client == "niquests":
        import niquests

        from lacre.niquests import CachedSession

        live, *others = blocking(of_niquests, niquests.Session(), CachedSession(Cache(":memory:")))
    else:
        live, *others = asyncio.run(asynchronous())
    assert others == [live] * 3
    assert len(origin.received) == 2


def test_a_changed_cookie_costs_no_hit(driver: Driver, origin: Origin) -> None:
    origin.answers["/page"] = lambda _: OriginResponse(headers={"Cache-Control": "max-age=60"})
    origin.answers["/other"] = lambda _: OriginResponse(
        headers={
            "Cache-Control": "no-store",
            "Set-Cookie": f"__cf_bm={len(origin.received)}; Path=/",
        }
    )
    for _ in range(3):
        driver.get(origin.url + "/other")
        driver.get(origin.url + "/page")
    assert len(origin.asked("/page")) == 1
    assert len(origin.asked("/other")) == 3


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    driver = DRIVERS[request.param](Cache(":memory:"))
    yield driver
    driver.close()


def upload(content: bytes) -> BytesIO:
    file = BytesIO(b"before" + content)
    file.seek(6)
    return file


@pytest.mark.parametrize("kind", ["files", "content", "list"])
def test_a_rewindable_body_of_httpx_is_part_of_the_key(kind: str, origin: Origin) -> None:
    pytest.importorskip("httpx")
    from lacre.httpx import CachedClient

    def body(content: bytes) -> dict[str, Any]:
        if kind == "files":
            return {"files": {"a": BytesIO(content), "b": ("name", content)}, "data": {"c": "1"}}
        # httpx assumes that a file is at its beginning.
        source: Any = BytesIO(content) if kind == "content" else [content[:1], content[1:]]
        return {"content": source, "headers": {"Content-Length": str(len(content))}}

    url = origin.serve("/", OriginResponse(headers=HEADERS))
    with CachedClient(Cache(":memory:", allowable_methods=POST)) as client:
        hits = [
            client.post(url, **body(content)).extensions["lacre"].hit
            for content in (b"one", b"one", b"two")
        ]
    assert hits == [False, True, False]
    assert [
        content in got.body for content, got in zip((b"one", b"two"), origin.received, strict=True)
    ] == [True, True]


@pytest.mark.parametrize("kind", ["form", "file", "text"])
def test_a_rewindable_body_of_aiohttp_is_part_of_the_key(kind: str, origin: Origin) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    from lacre.aiohttp import cache_info, cached_session

    def body(content: bytes) -> Any:
        if kind == "form":
            form = aiohttp.FormData()
            form.add_field("a", BytesIO(content), filename="name")
            form.add_field("b", "1")
            return form
        return upload(content) if kind == "file" else content.decode()

    url = origin.serve("/", OriginResponse(headers=HEADERS))

    async def main() -> list[bool]:
        hits = []
        async with cached_session(Cache(":memory:", allowable_methods=POST)) as session:
            for content in (b"one", b"one", b"two"):
                async with session.post(url, data=body(content)) as response:
                    await response.read()
                    info = cache_info(response)
                    assert info is not None
                    hits.append(info.hit)
        return hits

    assert asyncio.run(main()) == [False, True, False]
    assert [
        content in got.body for content, got in zip((b"one", b"two"), origin.received, strict=True)
    ] == [True, True]


@pytest.mark.parametrize("kind", ["files", "file"])
def test_a_rewindable_body_of_niquests_is_part_of_the_key(kind: str, origin: Origin) -> None:
    pytest.importorskip("niquests")
    from lacre.niquests import CachedSession, cache_info

    def body(content: bytes) -> dict[str, Any]:
        return {"files": {"a": ("name", content)}} if kind == "files" else {"data": upload(content)}

    url = origin.serve("/", OriginResponse(headers=HEADERS))
    with CachedSession(Cache(":memory:", allowable_methods=POST)) as session:
        hits = [
            cache_info(session.post(url, **body(content))).hit
            for content in (b"one", b"one", b"two")
        ]
    assert hits == [False, True, False]
    assert [
        content in got.body for content, got in zip((b"one", b"two"), origin.received, strict=True)
    ] == [True, True]


def test_a_too_long_file_is_sent_without_a_lookup(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpx")
    from lacre import _bodies
    from lacre.httpx import CachedClient

    monkeypatch.setattr(_bodies.read_and_rewind, "__defaults__", (4,))
    url = origin.serve("/", OriginResponse(headers=HEADERS))
    with CachedClient(Cache(":memory:", allowable_methods=POST)) as client:
        for _ in range(2):
            response = client.post(url, content=BytesIO(b"longer"))
            assert response.extensions["lacre"].detail == "body-unseen"
    assert [got.body for got in origin.received] == [b"longer"] * 2

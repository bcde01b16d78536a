"""Compares hits of lacre.httpx and lacre.aiohttp with hishel and aiohttp-client-cache, in SQLite.

Run `python benches/python/clients.py` in a virtual environment with the package (`maturin develop
--release`), httpx, aiohttp, hishel[async] and aiohttp-client-cache[sqlite]. The origin is a server
on loopback that counts requests: hits must not reach it. Every body is compared.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import aiohttp_client_cache
import hishel
import hishel.httpx
import httpx
from turns import Way, medians

import lacre.aiohttp
import lacre.httpx
from lacre import Cache

sys.path.insert(0, str(Path(__file__).parents[2] / "python" / "tests"))
import loopback

SIZES = {"1 KB": 1 << 10, "10 KB": 10 << 10, "100 KB": 100 << 10}
FRESH = {
    "Cache-Control": "max-age=31536000",
    "Content-Type": "application/octet-stream",
    "ETag": '"1"',
}


def main() -> None:
    with (
        loopback.origin() as origin,
        tempfile.TemporaryDirectory() as directory,
        ExitStack() as stack,
    ):
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        at = Path(directory)
        clients = synchronous(stack, at)
        holders = AsyncExitStack()
        gets = loop.run_until_complete(asynchronous(holders, at))
        print(f"{'':8}" + "".join(f"{name:>22}" for name in [*clients, *gets]))
        for size, length in SIZES.items():
            body = bytes(range(256)) * (length // 256)
            url = origin.says(f"/{length}", loopback.Say(body, headers=FRESH))
            ways: dict[str, Way] = {}
            for name, client in clients.items():
                ways[name] = hits(client, url, body)
            for name, get in gets.items():
                ways[name] = hits_async(loop, get, url, body)
            before = len(origin.got)
            found = medians(ways)
            assert len(origin.got) == before, "a hit reached the origin"
            print(f"{size:8}" + "".join(f"{micros:>20.1f}µs" for micros in found.values()))
            for ours, theirs in PAIRS:
                print(
                    f"{'':8}{ours} is {found[theirs] / found[ours]:.2f} times as fast as {theirs}"
                )
        loop.run_until_complete(holders.aclose())


PAIRS = [
    ("lacre.httpx", "hishel"),
    ("lacre.httpx async", "hishel async"),
    ("lacre.aiohttp", "aiohttp-client-cache"),
]


def synchronous(stack: ExitStack, at: Path) -> dict[str, httpx.Client]:
    storage = hishel.SqliteStorage(database_path=at / "hishel.db")
    return {
        "lacre.httpx": stack.enter_context(
            lacre.httpx.CachedClient(Cache(at / "a" / "lacre.sqlite"))
        ),
        "hishel": stack.enter_context(hishel.httpx.CacheClient(storage=storage)),
    }


async def asynchronous(
    stack: AsyncExitStack, at: Path
) -> dict[str, Callable[[str], Awaitable[bytes]]]:
    storage = hishel.AsyncSqliteStorage(database_path=at / "hishel-async.db")
    ours = await stack.enter_async_context(
        lacre.httpx.AsyncCachedClient(Cache(at / "b" / "lacre.sqlite"))
    )
    theirs = await stack.enter_async_context(hishel.httpx.AsyncCacheClient(storage=storage))
    session = await stack.enter_async_context(
        lacre.aiohttp.cached_session(Cache(at / "c" / "lacre.sqlite"))
    )
    backend = aiohttp_client_cache.SQLiteBackend(str(at / "client-cache.db"))
    other = await stack.enter_async_context(aiohttp_client_cache.CachedSession(cache=backend))

    def with_httpx(client: httpx.AsyncClient) -> Callable[[str], Awaitable[bytes]]:
        async def get(url: str) -> bytes:
            return (await client.get(url)).content

        return get

    def with_aiohttp(session: Any) -> Callable[[str], Awaitable[bytes]]:
        async def get(url: str) -> bytes:
            async with session.get(url) as response:
                return bytes(await response.read())

        return get

    return {
        "lacre.httpx async": with_httpx(ours),
        "hishel async": with_httpx(theirs),
        "lacre.aiohttp": with_aiohttp(session),
        "aiohttp-client-cache": with_aiohttp(other),
    }


def hits(client: httpx.Client, url: str, body: bytes) -> Way:
    def get(times: int) -> None:
        for _ in range(times):
            assert client.get(url).content == body

    get(1)
    return get


def hits_async(
    loop: asyncio.AbstractEventLoop, get: Callable[[str], Awaitable[bytes]], url: str, body: bytes
) -> Way:
    async def work(times: int) -> None:
        for _ in range(times):
            assert await get(url) == body

    def run(times: int) -> None:
        loop.run_until_complete(work(times))

    run(1)
    return run


if __name__ == "__main__":
    main()

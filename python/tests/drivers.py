"""The drivers of `lacre.Cache` behind one interface."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from lacre import Cache, CacheInfo

T = TypeVar("T")


@dataclass
class Answer:
    """A response: header names in lower case, the body decoded."""

    status: int
    body: bytes
    headers: dict[str, str]
    info: CacheInfo | None

    @property
    def status_line(self) -> str:
        assert self.info is not None
        return self.info.cache_status


class Driver(ABC):
    """A client with a cache. `failure` is the exception that it raises if the network fails."""

    failure: type[BaseException]

    def get(self, url: str, **settings: Any) -> Answer:
        return self.request("GET", url, **settings)

    @abstractmethod
    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        options: dict[str, Any] | None = None,
    ) -> Answer:
        """Sends a request, follows redirects and reads the whole body."""

    @abstractmethod
    def begin(self, url: str) -> bytes:
        """Returns the first piece of a body and abandons the rest."""

    @abstractmethod
    def together(self, url: str, times: int) -> list[Answer]:
        """Sends several equal requests at the same time."""

    def until(self, done: Callable[[], bool]) -> None:
        """Lets background work run until a condition holds."""
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline, "the condition never held"
            self.pause()

    def pause(self) -> None:
        time.sleep(0.01)

    @abstractmethod
    def close(self) -> None: ...


class HttpxDriver(Driver):
    def __init__(self, cache: Cache) -> None:
        self.httpx = pytest.importorskip("httpx")
        self.module = pytest.importorskip("lacre.httpx")
        self.failure = self.httpx.TransportError
        self.client = self.module.CachedClient(cache, follow_redirects=True)

    def answer(self, response: Any) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code, response.content, headers, self.module.cache_info(response)
        )

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        options: dict[str, Any] | None = None,
    ) -> Answer:
        extensions = {} if options is None else {"lacre": options}
        return self.answer(
            self.client.request(method, url, headers=headers, content=body, extensions=extensions)
        )

    def begin(self, url: str) -> bytes:
        with self.client.stream("GET", url) as response:
            return bytes(next(response.iter_raw()))

    def together(self, url: str, times: int) -> list[Answer]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(self.get, [url] * times))

    def close(self) -> None:
        self.client.close()


class AsyncDriver(Driver):
    """A driver of an asynchronous client. Its loop runs during requests only."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    def pause(self) -> None:
        self.run(asyncio.sleep(0.01))

    @abstractmethod
    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None,
        body: bytes | None,
        options: Any,
    ) -> Answer: ...

    @abstractmethod
    async def first(self, url: str) -> bytes: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        options: dict[str, Any] | None = None,
    ) -> Answer:
        return self.run(self.send(method, url, headers, body, options))

    def begin(self, url: str) -> bytes:
        return self.run(self.first(url))

    def together(self, url: str, times: int) -> list[Answer]:
        async def all_of_them() -> list[Answer]:
            sent = [self.send("GET", url, None, None, None) for _ in range(times)]
            return list(await asyncio.gather(*sent))

        return self.run(all_of_them())

    def close(self) -> None:
        self.run(self.aclose())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()


class AsyncHttpxDriver(AsyncDriver):
    def __init__(self, cache: Cache) -> None:
        self.httpx = pytest.importorskip("httpx")
        self.module = pytest.importorskip("lacre.httpx")
        super().__init__()
        self.failure = self.httpx.TransportError
        self.client = self.module.AsyncCachedClient(cache, follow_redirects=True)

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None,
        body: bytes | None,
        options: Any,
    ) -> Answer:
        extensions = {} if options is None else {"lacre": options}
        response = await self.client.request(
            method, url, headers=headers, content=body, extensions=extensions
        )
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code, response.content, found, self.module.cache_info(response)
        )

    async def first(self, url: str) -> bytes:
        async with self.client.stream("GET", url) as response:
            async for piece in response.aiter_raw():
                return bytes(piece)
        raise AssertionError("an empty body")

    async def aclose(self) -> None:
        await self.client.aclose()


class AiohttpDriver(AsyncDriver):
    def __init__(self, cache: Cache) -> None:
        self.aiohttp = pytest.importorskip("aiohttp")
        self.module = pytest.importorskip("lacre.aiohttp")
        super().__init__()
        self.failure = self.aiohttp.ClientError

        async def session() -> Any:
            # The default jar ignores cookies of IP addresses.
            return self.module.cached_session(cache, cookie_jar=self.aiohttp.CookieJar(unsafe=True))

        self.session = self.run(session())

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None,
        body: bytes | None,
        options: Any,
    ) -> Answer:
        with self.module.request_options(options):
            async with self.session.request(method, url, headers=headers, data=body) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                read = await response.read()
                return Answer(response.status, read, found, self.module.cache_info(response))

    async def first(self, url: str) -> bytes:
        async with self.session.get(url) as response:
            return bytes(await response.content.readany())

    async def aclose(self) -> None:
        await self.session.close()


class NiquestsDriver(Driver):
    def __init__(self, cache: Cache) -> None:
        self.niquests = pytest.importorskip("niquests")
        self.module = pytest.importorskip("lacre.niquests")
        self.failure = self.niquests.RequestException
        self.session = self.module.CachedSession(cache)

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        options: dict[str, Any] | None = None,
    ) -> Answer:
        with self.module.request_options(options):
            response = self.session.request(method, url, headers=headers, data=body)
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code, response.content, found, self.module.cache_info(response)
        )

    def begin(self, url: str) -> bytes:
        with self.session.get(url, stream=True) as response:
            return bytes(next(response.iter_content(1 << 14)))

    def together(self, url: str, times: int) -> list[Answer]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(self.get, [url] * times))

    def close(self) -> None:
        self.session.close()


class AsyncNiquestsDriver(AsyncDriver):
    def __init__(self, cache: Cache) -> None:
        self.niquests = pytest.importorskip("niquests")
        self.module = pytest.importorskip("lacre.niquests")
        super().__init__()
        self.failure = self.niquests.RequestException
        self.session = self.module.AsyncCachedSession(cache)

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None,
        body: bytes | None,
        options: Any,
    ) -> Answer:
        with self.module.request_options(options):
            response = await self.session.request(method, url, headers=headers, data=body)
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code, response.content, found, self.module.cache_info(response)
        )

    async def first(self, url: str) -> bytes:
        async with await self.session.get(url, stream=True) as response:
            async for piece in await response.iter_content(1 << 14):
                return bytes(piece)
        raise AssertionError("an empty body")

    async def aclose(self) -> None:
        await self.session.close()


DRIVERS: dict[str, Callable[[Cache], Driver]] = {
    "httpx": HttpxDriver,
    "httpx-async": AsyncHttpxDriver,
    "aiohttp": AiohttpDriver,
    "niquests": NiquestsDriver,
    "niquests-async": AsyncNiquestsDriver,
}

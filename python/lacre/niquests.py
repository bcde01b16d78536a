"""niquests with a cache: adapters around those that send, and sessions whose adapters are all behind one.

An adapter sees every hop of a redirect with the session's headers, cookies and credentials, and bodies as they came,
before they are decoded. It sees `verify`, `cert` and `proxies` of the request or the session; what differs in them is
never shared. It does not see into resolvers and adapters of your own: what came through one is served through the same
object only, unless the option `transport` names it. niquests follows redirects itself, and says which headers go along.
Requests that may share a connection (`multiplexed`) are sent one by one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import niquests
from niquests.adapters import AsyncBaseAdapter, AsyncHTTPAdapter, BaseAdapter, HTTPAdapter
from niquests.models import AsyncResponse, PreparedRequest, Response
from niquests.packages.urllib3 import AsyncHTTPResponse, HTTPHeaderDict, HTTPResponse
from niquests.packages.urllib3.backend._async import AsyncLowLevelResponse

from . import _drive
from ._drive import Asked, Driver, Exchange, Head, Headers, Passing, request_options
from ._lacre import Cache, CacheInfo, Reply, Ticket
from ._niquests import (
    FAILURES,
    INFOS,
    Around,
    Cached,
    Reader,
    Way,
    head,
    is_http,
    own_timeout,
    passed,
    stored,
)
from ._options import RequestOptions

__all__ = [
    "AsyncCacheAdapter",
    "AsyncCachedSession",
    "CacheAdapter",
    "CachedSession",
    "cache_info",
    "request_options",
]

_build = HTTPAdapter().build_response
_build_async = AsyncHTTPAdapter().build_response


def cache_info(response: Response) -> CacheInfo | None:
    """What the cache did; None where it was not asked."""
    return INFOS.get(response)


class CacheAdapter(Around, BaseAdapter):
    """Answers from a cache, and sends through `adapter` what it cannot answer.

    `options` are those of every request that is made outside `request_options`.
    """

    def __init__(
        self,
        cache: Cache | Driver | None = None,
        adapter: BaseAdapter | None = None,
        *,
        options: RequestOptions | None = None,
    ) -> None:
        super().__init__(cache, HTTPAdapter() if adapter is None else adapter, HTTPAdapter, options)

    def send(self, request: PreparedRequest, *arguments: Any, **settings: Any) -> Response:  # type: ignore[override]
        way, asked, found = self._ask(request, arguments, settings)
        if asked is None or found is None:
            return way.end(way.begin(None))
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(way, asked, found.refresh)
            return stored(request, found, HTTPResponse, _build)
        owner, own = threading.get_ident(), own_timeout(settings, request)
        return self._answer(
            way, self._driver.exchange(asked, found, owner=owner, blind=self._blind, own=own)
        )

    def close(self) -> None:
        self._adapter.close()

    def gather(self, *responses: Response, max_fetch: int | None = None) -> None:
        self._adapter.gather(*responses, max_fetch=max_fetch)

    def _answer(self, way: Way, exchange: Exchange) -> Response:
        sent: list[Response] = []

        def drop() -> None:
            while sent:
                _close(sent.pop())

        def send(headers: Headers | None) -> Head:
            drop()
            sent.append(way.end(way.begin(headers)))
            return head(sent[0])

        try:
            answer = _drive.carry_out(exchange, FAILURES, send, drop)
            if isinstance(answer, Passing):
                return passed(sent.pop(), answer, HTTPResponse, _Recorded)
            return stored(way.request, answer, HTTPResponse, _build)
        finally:
            drop()

    def _refresh(self, way: Way, asked: Asked, ticket: Ticket) -> None:
        exchange = self._driver.refresh(asked, ticket, blind=self._blind)
        if exchange is None:
            return

        def refresh() -> None:
            # The caller has an answer, whatever comes of this.
            try:
                with suppress(niquests.RequestException), self._answer(way, exchange) as response:
                    for _ in response.iter_raw():
                        pass
            finally:
                self._driver.refreshed()

        threading.Thread(target=refresh, name="lacre-refresh", daemon=True).start()


class AsyncCacheAdapter(Around, AsyncBaseAdapter):
    """The same for asynchronous code. Hits are answered in place; what may wait for a lock is done in a thread."""

    def __init__(
        self,
        cache: Cache | Driver | None = None,
        adapter: AsyncBaseAdapter | None = None,
        *,
        options: RequestOptions | None = None,
    ) -> None:
        super().__init__(
            cache, AsyncHTTPAdapter() if adapter is None else adapter, AsyncHTTPAdapter, options
        )
        self._refreshes = _drive.Tasks()

    async def send(  # type: ignore[override]
        self, request: PreparedRequest, *arguments: Any, **settings: Any
    ) -> AsyncResponse:
        way, asked, found = self._ask(request, arguments, settings)
        if asked is None or found is None:
            return way.end(await way.begin(None))
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(way, asked, found.refresh)
            return stored(request, found, AsyncHTTPResponse, _build_async)
        owner, own = asyncio.current_task(), own_timeout(settings, request)
        return await self._answer(
            way, self._driver.exchange(asked, found, owner=owner, blind=self._blind, own=own)
        )

    async def close(self) -> None:
        """Gives up what is refreshed in the background, and closes the adapter."""
        await self._refreshes.cancel()
        await self._adapter.close()

    async def gather(self, *responses: Response, max_fetch: int | None = None) -> None:
        await self._adapter.gather(*responses, max_fetch=max_fetch)

    async def _answer(self, way: Way, exchange: Exchange) -> AsyncResponse:
        sent: list[AsyncResponse] = []

        async def drop() -> None:
            while sent:
                await _aclose(sent.pop())

        async def send(headers: Headers | None) -> Head:
            await drop()
            sent.append(way.end(await way.begin(headers)))
            return head(sent[0])

        try:
            answer = await _drive.carry_out_async(exchange, FAILURES, send, drop)
            if isinstance(answer, Passing):
                return passed(sent.pop(), answer, _AsyncRaw, _AsyncRecorded)
            return stored(way.request, answer, AsyncHTTPResponse, _build_async)
        finally:
            await drop()

    def _refresh(self, way: Way, asked: Asked, ticket: Ticket) -> None:
        exchange = self._driver.refresh(asked, ticket, blind=self._blind)
        if exchange is None:
            return

        async def refresh() -> None:
            # The caller has an answer, whatever comes of this.
            with suppress(niquests.RequestException):
                response = await self._answer(way, exchange)
                try:
                    async for _ in await response.iter_raw():
                        pass
                finally:
                    await response.close()

        self._refreshes.start(refresh(), self._driver.refreshed)


class CachedSession(Cached, niquests.Session):
    """A session whose requests go through a cache, whatever is mounted. It takes what `niquests.Session` takes."""

    def get_adapter(self, url: str) -> BaseAdapter:
        adapter = super().get_adapter(url)
        return (
            CacheAdapter(self._driver, adapter, options=self._options) if is_http(url) else adapter
        )


class AsyncCachedSession(Cached, niquests.AsyncSession):
    """The same for asynchronous code. It takes what `niquests.AsyncSession` takes."""

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(cache, options=options, **settings)
        self._refreshes = _drive.Tasks()

    def get_adapter(self, url: str) -> AsyncBaseAdapter:  # type: ignore[override]
        adapter = super().get_adapter(url)
        if not is_http(url):
            return adapter
        around = AsyncCacheAdapter(self._driver, adapter, options=self._options)
        around._refreshes = self._refreshes
        return around

    async def close(self) -> None:  # type: ignore[override]
        """Gives up what is refreshed in the background, and closes the adapters."""
        await self._refreshes.cancel()
        await super().close()


def _close(response: Response) -> None:
    """Done with a response that nobody gets. The connection of a 304, which has no body, can be used again."""
    with suppress(niquests.RequestException):
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            _ = response.content
        response.close()


async def _aclose(response: AsyncResponse) -> None:
    with suppress(niquests.RequestException):
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            await response.content
        await response.close()


class _Recorded(Reader):
    """The network's body, stored as it passes."""

    def __init__(self, raw: Any, passing: Passing) -> None:
        super().__init__(self._record())
        self._raw, self._passing = raw, passing

    def _record(self) -> Iterator[bytes]:
        for piece in self._raw.stream(-1, decode_content=False):
            self._passing.write(piece)
            yield piece
        self._passing.finish()

    def close(self) -> None:
        super().close()
        self._passing.abort()
        self._raw.close()


class _AsyncRecorded(AsyncLowLevelResponse):
    """The same for asynchronous code, as that from which urllib3 awaits what it reads."""

    def __init__(self, raw: Any, passing: Passing) -> None:
        super().__init__("GET", raw.status, raw.version, raw.reason, HTTPHeaderDict(), None)
        self.closed = False
        self.raw, self._passing = raw, passing

    async def read(self, amount: int | None = None) -> bytes:
        return await self._record(self.raw.read, amount)

    async def read1(self, amount: int | None = None) -> bytes:
        return await self._record(self.raw.read1, amount)

    async def _record(self, read: Any, amount: int | None) -> bytes:
        try:
            piece: bytes = await read(amount, decode_content=False)
            if self._passing.writes(len(piece)):
                await _drive.in_thread(self._passing.write, piece)
            else:
                self._passing.write(piece)
            self.data_in_count += len(piece)
            self.closed = self.raw.closed
            if self.closed and self._passing.active:
                await _drive.in_thread(self._passing.finish)
        except BaseException:
            # Who was interrupted has lost what came meanwhile.
            self._passing.abort()
            raise
        return piece

    def close(self) -> None:
        super().close()
        self._passing.abort()


class _AsyncRaw(AsyncHTTPResponse):
    """What is closed together with the network's."""

    async def close(self) -> None:
        await super().close()
        await self._fp.raw.close()

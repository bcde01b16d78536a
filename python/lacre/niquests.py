"""Caching for niquests: adapters around those that send, and sessions with them in place.

A cache adapter sees every hop of a redirect with the session's headers, cookies and credentials,
and bodies before they are decoded. niquests itself follows redirects and decides which headers go
along. Requests that may share a connection (`multiplexed`) are sent one by one.

It sees `verify`, `cert` and `proxies` of the request or the session; requests that differ in them
share no entries. It cannot inspect resolvers and adapters of your own: requests share entries only
through the same object, unless the option `transport` names it.
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
from ._drive import (
    CacheRequest,
    Driver,
    Exchange,
    Headers,
    RecordedResponse,
    ResponseHead,
    request_options,
)
from ._lacre import Cache, CacheInfo, Reply, Ticket
from ._niquests import (
    INFOS,
    NETWORK_ERRORS,
    BodyReader,
    CacheAdapterBase,
    CachedSessionMixin,
    Sender,
    caller_timeout,
    head,
    is_http,
    response_from_cache,
    response_from_network,
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
    """Returns what the cache did with a request.

    Args:
        response: A response of a cached session or adapter.

    Returns:
        None if the cache was not asked.
    """
    return INFOS.get(response)


class CacheAdapter(CacheAdapterBase, BaseAdapter):
    """An adapter that answers from a cache and sends through another adapter.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        adapter: The adapter that sends; `niquests.adapters.HTTPAdapter()` by default.
        options: Options of every request outside `request_options`.
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
        """Answers a request from the cache or through the other adapter.

        Args:
            request: The request.
            arguments: Arguments of the other adapter's `send`.
            settings: Keyword arguments of the other adapter's `send`.
        """
        sender, cache_request, found = self._ask(request, arguments, settings)
        if cache_request is None or found is None:
            return sender.attach(sender.send(None))
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(sender, cache_request, found.refresh)
            return response_from_cache(request, found, HTTPResponse, _build)
        owner, timeout = threading.get_ident(), caller_timeout(settings, request)
        return self._answer(
            sender,
            self._driver.exchange(
                cache_request,
                found,
                owner=owner,
                unseen_inputs=self._unseen_inputs,
                timeout=timeout,
            ),
        )

    def close(self) -> None:
        """Closes the other adapter."""
        self._adapter.close()

    def gather(self, *responses: Response, max_fetch: int | None = None) -> None:
        """Resolves multiplexed responses through the other adapter.

        Args:
            responses: The responses; all for none.
            max_fetch: How many to resolve at most.
        """
        self._adapter.gather(*responses, max_fetch=max_fetch)

    def _answer(self, sender: Sender, exchange: Exchange) -> Response:
        sent: list[Response] = []

        def discard() -> None:
            while sent:
                _close(sent.pop())

        def send(headers: Headers | None) -> ResponseHead:
            discard()
            sent.append(sender.attach(sender.send(headers)))
            return head(sent[0])

        try:
            answer = _drive.run_exchange(exchange, NETWORK_ERRORS, send, discard)
            if isinstance(answer, RecordedResponse):
                return response_from_network(sent.pop(), answer, HTTPResponse, _RecordedBody)
            return response_from_cache(sender.request, answer, HTTPResponse, _build)
        finally:
            discard()

    def _refresh(self, sender: Sender, cache_request: CacheRequest, ticket: Ticket) -> None:
        exchange = self._driver.refresh(cache_request, ticket, unseen_inputs=self._unseen_inputs)
        if exchange is None:
            return

        def refresh() -> None:
            # The caller already has a response.
            try:
                with (
                    suppress(niquests.RequestException),
                    self._answer(sender, exchange) as response,
                ):
                    for _ in response.iter_raw():
                        pass
            finally:
                self._driver.refresh_ended()

        threading.Thread(target=refresh, name="lacre-refresh", daemon=True).start()


class AsyncCacheAdapter(CacheAdapterBase, AsyncBaseAdapter):
    """An asynchronous adapter that answers from a cache and sends through another adapter.

    It answers hits in place and moves work that may block to a thread.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        adapter: The adapter that sends; `niquests.adapters.AsyncHTTPAdapter()` by default.
        options: Options of every request outside `request_options`.
    """

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
        self._refreshes = _drive.BackgroundTasks()

    async def send(  # type: ignore[override]
        self, request: PreparedRequest, *arguments: Any, **settings: Any
    ) -> AsyncResponse:
        """Answers a request from the cache or through the other adapter.

        Args:
            request: The request.
            arguments: Arguments of the other adapter's `send`.
            settings: Keyword arguments of the other adapter's `send`.
        """
        sender, cache_request, found = self._ask(request, arguments, settings)
        if cache_request is None or found is None:
            return sender.attach(await sender.send(None))
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(sender, cache_request, found.refresh)
            return response_from_cache(request, found, AsyncHTTPResponse, _build_async)
        owner, timeout = asyncio.current_task(), caller_timeout(settings, request)
        return await self._answer(
            sender,
            self._driver.exchange(
                cache_request,
                found,
                owner=owner,
                unseen_inputs=self._unseen_inputs,
                timeout=timeout,
            ),
        )

    async def close(self) -> None:
        """Cancels background refreshes and closes the other adapter."""
        await self._refreshes.cancel()
        await self._adapter.close()

    async def gather(self, *responses: Response, max_fetch: int | None = None) -> None:
        """Resolves multiplexed responses through the other adapter.

        Args:
            responses: The responses; all for none.
            max_fetch: How many to resolve at most.
        """
        await self._adapter.gather(*responses, max_fetch=max_fetch)

    async def _answer(self, sender: Sender, exchange: Exchange) -> AsyncResponse:
        sent: list[AsyncResponse] = []

        async def discard() -> None:
            while sent:
                await _aclose(sent.pop())

        async def send(headers: Headers | None) -> ResponseHead:
            await discard()
            sent.append(sender.attach(await sender.send(headers)))
            return head(sent[0])

        try:
            answer = await _drive.run_exchange_async(exchange, NETWORK_ERRORS, send, discard)
            if isinstance(answer, RecordedResponse):
                return response_from_network(
                    sent.pop(), answer, _AsyncRawResponse, _AsyncRecordedBody
                )
            return response_from_cache(sender.request, answer, AsyncHTTPResponse, _build_async)
        finally:
            await discard()

    def _refresh(self, sender: Sender, cache_request: CacheRequest, ticket: Ticket) -> None:
        exchange = self._driver.refresh(cache_request, ticket, unseen_inputs=self._unseen_inputs)
        if exchange is None:
            return

        async def refresh() -> None:
            # The caller already has a response.
            with suppress(niquests.RequestException):
                response = await self._answer(sender, exchange)
                try:
                    async for _ in await response.iter_raw():
                        pass
                finally:
                    await response.close()

        self._refreshes.start(refresh(), self._driver.refresh_ended)


class CachedSession(CachedSessionMixin, niquests.Session):
    """A `niquests.Session` with a cache in front of all its adapters.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        options: Options of every request outside `request_options`.
        settings: Arguments of `niquests.Session`.
    """

    def get_adapter(self, url: str) -> BaseAdapter:
        """Returns the adapter of a URL, behind the cache if the URL is one of HTTP.

        Args:
            url: The URL.
        """
        adapter = super().get_adapter(url)
        return (
            CacheAdapter(self._driver, adapter, options=self._options) if is_http(url) else adapter
        )


class AsyncCachedSession(CachedSessionMixin, niquests.AsyncSession):
    """A `niquests.AsyncSession` with a cache in front of all its adapters.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        options: Options of every request outside `request_options`.
        settings: Arguments of `niquests.AsyncSession`.
    """

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(cache, options=options, **settings)
        self._refreshes = _drive.BackgroundTasks()

    def get_adapter(self, url: str) -> AsyncBaseAdapter:  # type: ignore[override]
        """Returns the adapter of a URL, behind the cache if the URL is one of HTTP.

        Args:
            url: The URL.
        """
        adapter = super().get_adapter(url)
        if not is_http(url):
            return adapter
        around = AsyncCacheAdapter(self._driver, adapter, options=self._options)
        around._refreshes = self._refreshes
        return around

    async def close(self) -> None:  # type: ignore[override]
        """Cancels background refreshes and closes the adapters."""
        await self._refreshes.cancel()
        await super().close()


def _close(response: Response) -> None:
    """Closes an unused response; reads a 304, which has no body, to reuse the connection."""
    with suppress(niquests.RequestException):
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            _ = response.content
        response.close()


async def _aclose(response: AsyncResponse) -> None:
    with suppress(niquests.RequestException):
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            await response.content
        await response.close()


class _RecordedBody(BodyReader):
    """A body from the network that is stored while it is read."""

    def __init__(self, raw: Any, recorded: RecordedResponse) -> None:
        super().__init__(self._record())
        self._raw, self._recorded = raw, recorded

    def _record(self) -> Iterator[bytes]:
        for piece in self._raw.stream(-1, decode_content=False):
            self._recorded.write(piece)
            yield piece
        self._recorded.finish()

    def close(self) -> None:
        super().close()
        self._recorded.abort()
        self._raw.close()


class _AsyncRecordedBody(AsyncLowLevelResponse):
    """The asynchronous `_RecordedBody`, in the form that urllib3 reads from."""

    def __init__(self, raw: Any, recorded: RecordedResponse) -> None:
        super().__init__("GET", raw.status, raw.version, raw.reason, HTTPHeaderDict(), None)
        self.closed = False
        self.raw, self._recorded = raw, recorded

    async def read(self, amount: int | None = None) -> bytes:
        return await self._record(self.raw.read, amount)

    async def read1(self, amount: int | None = None) -> bytes:
        return await self._record(self.raw.read1, amount)

    async def _record(self, read: Any, amount: int | None) -> bytes:
        try:
            piece: bytes = await read(amount, decode_content=False)
            if self._recorded.writes(len(piece)):
                await _drive.run_in_thread(self._recorded.write, piece)
            else:
                self._recorded.write(piece)
            self.data_in_count += len(piece)
            self.closed = self.raw.closed
            if self.closed and self._recorded.active:
                await _drive.run_in_thread(self._recorded.finish)
        except BaseException:
            # An interrupted read has lost bytes, so that the recording is incomplete.
            self._recorded.abort()
            raise
        return piece

    def close(self) -> None:
        super().close()
        self._recorded.abort()


class _AsyncRawResponse(AsyncHTTPResponse):
    """A raw response that closes the one of the network with it."""

    async def close(self) -> None:
        await super().close()
        await self._fp.raw.close()

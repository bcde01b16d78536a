"""Caching for httpx: transports around those that send, and clients with them in place.

A cache transport sees every hop of a redirect with the client's default headers, cookies and
credentials, and bodies before they are decoded. httpx itself follows redirects and decides which
headers go along.

It sees `verify`, `cert`, `proxy`, `trust_env` and `uds` if they are given to it or to the client;
requests that differ in them share no entries. It cannot inspect an `SSLContext`, which may have a
client certificate, or transports of your own: requests share entries only through the same object,
unless the option `transport` names it.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar, cast

import httpx

from . import _drive, _transport
from ._bodies import MAX_FILE_BYTES, read_and_rewind, rewindable_position
from ._drive import (
    CacheRequest,
    CallerTimeout,
    Driver,
    Exchange,
    Headers,
    RecordedResponse,
    ResponseHead,
    reason_phrase,
    title_case_headers,
)
from ._lacre import Cache, CacheInfo, Reply, Ticket, Transport
from ._options import RequestOptions

__all__ = [
    "AsyncCacheTransport",
    "AsyncCachedClient",
    "CacheTransport",
    "CachedClient",
    "cache_info",
]

_NETWORK_ERRORS = (httpx.TransportError,)
#: Transports that send requests without adding anything to them.
_TRANSPARENT = (
    httpx.HTTPTransport,
    httpx.AsyncHTTPTransport,
    httpx.MockTransport,
    httpx.WSGITransport,
    httpx.ASGITransport,
)

_Lookup = tuple[CacheRequest, Reply | Ticket | None]
#: The request extension that carries the result of a lookup to the transport.
_LOOKUP = "lacre.lookup"
_DEFAULT = httpx.USE_CLIENT_DEFAULT
#: Versions of HTTP by their names in httpx, times ten.
_VERSIONS = {"HTTP/0.9": 9, "HTTP/1.0": 10, "HTTP/1.1": 11, "HTTP/2": 20, "HTTP/3": 30}
_VERSION_NAMES = {number: name.encode() for name, number in _VERSIONS.items()}
#: The logger of httpx, which logs every response.
_LOG = logging.getLogger("httpx")


def cache_info(response: httpx.Response) -> CacheInfo | None:
    """Returns what the cache did with a request.

    Args:
        response: A response of a cached client or transport.

    Returns:
        None if the cache was not asked.
    """
    return cast("CacheInfo | None", response.extensions.get("lacre"))


class CacheTransport(httpx.BaseTransport):
    """A transport that answers from a cache and sends other requests through another transport.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        transport: The transport that sends. By default an `httpx.HTTPTransport` is made from
            `settings`.
        options: Options of every request that has none in its extension "lacre".
        settings: Arguments of `httpx.HTTPTransport`.

    Raises:
        TypeError: Both `transport` and `settings` are given.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        transport: httpx.BaseTransport | None = None,
        *,
        options: RequestOptions | None = None,
        **settings: Any,
    ) -> None:
        self._driver = Driver(Cache() if cache is None else cache, _NETWORK_ERRORS)
        self._route = _transport_of(transport, settings)
        self._transport = httpx.HTTPTransport(**settings) if transport is None else transport
        self._unseen_inputs = type(self._transport) not in _TRANSPARENT
        self._options = options
        self._refreshes: set[threading.Thread] = set()

    @property
    def cache(self) -> Cache:
        """The cache of this transport."""
        return self._driver.cache

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answers a request from the cache or through the other transport.

        Args:
            request: The request.
        """
        cache_request, found = request.extensions.pop(_LOOKUP, None) or _ask(self, request)
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(request, cache_request, found.refresh)
            return _from_cache(found, _StoredBody(found))
        if found is None:
            return self._transport.handle_request(request)
        owner, timeout = threading.get_ident(), _caller_timeout(request)
        return self._answer(
            request,
            self._driver.exchange(
                cache_request,
                found,
                owner=owner,
                unseen_inputs=self._unseen_inputs,
                timeout=timeout,
            ),
        )

    def close(self) -> None:
        """Waits for background refreshes and closes the transport."""
        for thread in list(self._refreshes):
            thread.join()
        self._transport.close()

    def _answer(self, request: httpx.Request, exchange: Exchange) -> httpx.Response:
        sent: list[httpx.Response] = []

        def discard() -> None:
            while sent:
                _close(sent.pop())

        def send(headers: Headers | None) -> ResponseHead:
            discard()
            sent.append(self._transport.handle_request(_with_headers(request, headers)))
            return _head(sent[0])

        try:
            answer = _drive.run_exchange(exchange, _NETWORK_ERRORS, send, discard)
            if isinstance(answer, RecordedResponse):
                response = sent.pop()
                return _from_network(response, answer, _RecordedBody(response, answer))
            return _from_cache(answer, _StoredBody(answer))
        finally:
            discard()

    def _refresh(self, request: httpx.Request, cache_request: CacheRequest, ticket: Ticket) -> None:
        exchange = self._driver.refresh(cache_request, ticket, unseen_inputs=self._unseen_inputs)
        if exchange is None:
            return

        def refresh() -> None:
            try:
                # The caller already has a response.
                with suppress(*_NETWORK_ERRORS):
                    response = self._answer(request, exchange)
                    for _ in cast("httpx.SyncByteStream", response.stream):
                        pass
            finally:
                self._driver.refresh_ended()
                self._refreshes.discard(thread)

        thread = threading.Thread(target=refresh, name="lacre-refresh", daemon=True)
        self._refreshes.add(thread)
        thread.start()


class AsyncCacheTransport(httpx.AsyncBaseTransport):
    """The asynchronous `CacheTransport`.

    It answers hits in place and moves work that may block to a thread. Under trio, it refreshes
    stale responses before it uses them, and does not coalesce equal requests.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        transport: The transport that sends. By default an `httpx.AsyncHTTPTransport` is made from
            `settings`.
        options: Options of every request that has none in its extension "lacre".
        settings: Arguments of `httpx.AsyncHTTPTransport`.

    Raises:
        TypeError: Both `transport` and `settings` are given.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        options: RequestOptions | None = None,
        **settings: Any,
    ) -> None:
        self._driver = Driver(Cache() if cache is None else cache, _NETWORK_ERRORS)
        self._route = _transport_of(transport, settings)
        self._transport = httpx.AsyncHTTPTransport(**settings) if transport is None else transport
        self._unseen_inputs = type(self._transport) not in _TRANSPARENT
        self._options = options
        self._refreshes = _drive.BackgroundTasks()

    @property
    def cache(self) -> Cache:
        """The cache of this transport."""
        return self._driver.cache

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answers a request from the cache or through the other transport.

        Args:
            request: The request.
        """
        cache_request, found = request.extensions.pop(_LOOKUP, None) or _ask(self, request)
        if isinstance(found, Reply):
            if found.refresh is None or self._refresh(request, cache_request, found.refresh):
                return _from_cache(found, _AsyncStoredBody(found))
            found = found.refresh
        if found is None:
            return await self._transport.handle_async_request(request)
        owner, timeout = _drive.current_task() or object(), _caller_timeout(request)
        return await self._answer(
            request,
            self._driver.exchange(
                cache_request,
                found,
                owner=owner,
                unseen_inputs=self._unseen_inputs,
                timeout=timeout,
            ),
        )

    async def aclose(self) -> None:
        """Cancels background refreshes and closes the transport."""
        await self._refreshes.cancel()
        await self._transport.aclose()

    async def _answer(self, request: httpx.Request, exchange: Exchange) -> httpx.Response:
        sent: list[httpx.Response] = []

        async def discard() -> None:
            while sent:
                await _aclose(sent.pop())

        async def send(headers: Headers | None) -> ResponseHead:
            await discard()
            sent.append(await self._transport.handle_async_request(_with_headers(request, headers)))
            return _head(sent[0])

        try:
            answer = await _drive.run_exchange_async(exchange, _NETWORK_ERRORS, send, discard)
            if isinstance(answer, RecordedResponse):
                response = sent.pop()
                return _from_network(response, answer, _AsyncRecordedBody(response, answer))
            return _from_cache(answer, _AsyncStoredBody(answer))
        finally:
            await discard()

    def _refresh(self, request: httpx.Request, cache_request: CacheRequest, ticket: Ticket) -> bool:
        """Starts a refresh in the background if needed; False if that is impossible here."""
        if _drive.current_task() is None:
            return False
        exchange = self._driver.refresh(cache_request, ticket, unseen_inputs=self._unseen_inputs)
        if exchange is None:
            return True

        async def refresh() -> None:
            with suppress(*_NETWORK_ERRORS):
                response = await self._answer(request, exchange)
                async for _ in cast("httpx.AsyncByteStream", response.stream):
                    pass

        self._refreshes.start(refresh(), self._driver.refresh_ended)
        return True


class CachedClient(httpx.Client):
    """An `httpx.Client` with a cache in front of all its transports, proxies and mounts included.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        options: Options of every request that has none in its extension "lacre".
        settings: Arguments of `httpx.Client`.
    """

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.cache = cache = Cache() if cache is None else cache
        given = _given_transports(settings)
        self._transport = _describe_transport(
            CacheTransport(cache, self._transport, options=options), given, settings
        )
        for pattern, transport in self._mounts.items():
            if transport is not None:
                cached = CacheTransport(cache, transport, options=options)
                self._mounts[pattern] = _describe_transport(cached, given, settings)

    def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = _DEFAULT,
        follow_redirects: Any = _DEFAULT,
    ) -> httpx.Response:
        """Sends a request as `httpx.Client.send` does. A fresh hit skips its steps.

        Args:
            request: The request.
            stream: Whether the caller reads the body itself.
            auth: Credentials for this request.
            follow_redirects: Whether to follow redirects.
        """
        start = time.perf_counter()
        reply = None if stream else _fast_hit(self, request, auth)
        if reply is None:
            try:
                return super().send(
                    request, stream=stream, auth=auth, follow_redirects=follow_redirects
                )
            finally:
                request.extensions.pop(_LOOKUP, None)
        response = _from_cache(reply, _StoredBody(reply))
        response.read()
        return _complete(self, request, response, start)


class AsyncCachedClient(httpx.AsyncClient):
    """The asynchronous `CachedClient`.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        options: Options of every request that has none in its extension "lacre".
        settings: Arguments of `httpx.AsyncClient`.
    """

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.cache = cache = Cache() if cache is None else cache
        given = _given_transports(settings)
        self._transport = _describe_transport(
            AsyncCacheTransport(cache, self._transport, options=options), given, settings
        )
        for pattern, transport in self._mounts.items():
            if transport is not None:
                cached = AsyncCacheTransport(cache, transport, options=options)
                self._mounts[pattern] = _describe_transport(cached, given, settings)

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = _DEFAULT,
        follow_redirects: Any = _DEFAULT,
    ) -> httpx.Response:
        """Sends a request as `httpx.AsyncClient.send` does. A fresh hit skips its steps.

        Args:
            request: The request.
            stream: Whether the caller reads the body itself.
            auth: Credentials for this request.
            follow_redirects: Whether to follow redirects.
        """
        start = time.perf_counter()
        reply = None if stream else _fast_hit(self, request, auth)
        if reply is None:
            try:
                return await super().send(
                    request, stream=stream, auth=auth, follow_redirects=follow_redirects
                )
            finally:
                request.extensions.pop(_LOOKUP, None)
        response = _from_cache(reply, _AsyncStoredBody(reply))
        await response.aread()
        return _complete(self, request, response, start)


def _fast_hit(
    client: CachedClient | AsyncCachedClient, request: httpx.Request, auth: Any
) -> Reply | None:
    """Returns a fresh reply for a request that the client would not change any more.

    Any other result of the lookup goes along with the request to its transport.
    """
    if auth is not _DEFAULT or client.auth is not None or request.url.userinfo:
        return None
    if client.is_closed or any(client.event_hooks.values()):
        return None
    transport = client._transport_for_url(request.url)
    if not isinstance(transport, CacheTransport | AsyncCacheTransport):
        return None
    cache_request, found = _ask(transport, request)
    if (
        isinstance(found, Reply)
        and found.refresh is None
        and not httpx.codes.is_redirect(found.status)
    ):
        return found
    request.extensions = {**request.extensions, _LOOKUP: (cache_request, found)}
    return None


def _complete(
    client: CachedClient | AsyncCachedClient,
    request: httpx.Request,
    response: httpx.Response,
    start: float,
) -> httpx.Response:
    """Completes a response as httpx does after it has read the body."""
    response.request = request
    response.default_encoding = client._default_encoding
    if "set-cookie" in response.headers:
        client.cookies.extract_cookies(response)
    response.elapsed = timedelta(seconds=time.perf_counter() - start)
    status = response.http_version, response.status_code, response.reason_phrase
    _LOG.info('HTTP Request: %s %s "%s %d %s"', request.method, request.url, *status)
    return response


def _ask(transport: CacheTransport | AsyncCacheTransport, request: httpx.Request) -> _Lookup:
    cache_request = _cache_request(request, transport._options, transport._route)
    return cache_request, cache_request.ask(transport.cache)


def _cache_request(
    request: httpx.Request, options: RequestOptions | None, route: Transport | None
) -> CacheRequest:
    options = request.extensions.get("lacre", options)
    # The name that the certificate is verified for, instead of the host of the URL.
    name = request.extensions.get("sni_hostname")
    if name is not None and name != request.url.host:
        route = (route or _transport.DEFAULT).verified_name(str(name))
    return CacheRequest(
        request.method,
        str(request.url),
        request.headers.raw,
        _body(request.stream),
        options,
        route,
    )


def _body(stream: Any) -> bytes | None:
    """Returns the body of a request, or None if it cannot be read twice."""
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    if isinstance(getattr(stream, "fields", None), list) and hasattr(stream, "get_content_length"):
        return _form(stream)
    # The argument `content=`, a file or a list. httpx has no public access to it.
    source = getattr(stream, "_stream", None)
    if hasattr(source, "read"):
        return read_and_rewind(source)
    return b"".join(source) if isinstance(source, list | tuple) else None


def _form(stream: Any) -> bytes | None:
    """Returns a multipart body and rewinds its files."""
    length = stream.get_content_length()
    files = [
        field.file
        for field in stream.fields
        if not isinstance(getattr(field, "file", b""), str | bytes)
    ]
    places = [rewindable_position(file) for file in files]
    if length is None or length > MAX_FILE_BYTES or None in places:
        return None
    try:
        return b"".join(stream)
    finally:
        for file, at in zip(files, places, strict=True):
            file.seek(at)


def _caller_timeout(request: httpx.Request) -> CallerTimeout | None:
    """Returns the read timeout of the caller."""
    seconds = (request.extensions.get("timeout") or {}).get("read")
    if seconds is None:
        return None
    return CallerTimeout(
        seconds, lambda: httpx.ReadTimeout("The read operation timed out", request=request)
    )


def _head(response: httpx.Response) -> ResponseHead:
    return ResponseHead(
        response.status_code, response.headers.raw, _VERSIONS.get(response.http_version)
    )


def _transport_of(transport: object | None, settings: dict[str, Any]) -> Transport | None:
    """Describes how a transport made from settings, or one of the caller, reaches origins.

    Returns None for the default.
    """
    if transport is not None:
        if settings:
            names = ", ".join(settings)
            raise TypeError(
                f"{names}: pass settings to your own transport, or to this class without one"
            )
        return _transport_of_object(transport)
    route = _transport.from_environment() if settings.get("trust_env", True) else _transport.DEFAULT
    verify = settings.get("verify", True)
    if verify is not True:
        # httpx ignores the environment then.
        route = _transport.DEFAULT
    route = _transport.with_tls(route, verify, settings.get("cert"))
    if settings.get("uds") is not None:
        route = route.route(f"unix:{settings['uds']}")
    if settings.get("proxy") is not None:
        proxy = settings["proxy"]
        route = route.proxy(_transport.proxy_url(getattr(proxy, "url", proxy)))
    return route


def _transport_of_object(transport: object) -> Transport:
    """Describes how a transport of the caller reaches origins, as far as it can be inspected."""
    context = getattr(getattr(transport, "_pool", None), "_ssl_context", None)
    route = _transport.DEFAULT
    if isinstance(context, ssl.SSLContext):
        route = _transport.with_ssl_context(route, context)
    return _transport.with_object(route, transport)


_Cached = TypeVar("_Cached", "CacheTransport", "AsyncCacheTransport")


def _given_transports(settings: dict[str, Any]) -> list[object]:
    """Returns the transports among the settings of a client."""
    return [settings.get("transport"), *(settings.get("mounts") or {}).values()]


def _describe_transport(cached: _Cached, given: list[object], settings: dict[str, Any]) -> _Cached:
    """Describes a transport by the settings of the client, if the client made it from them."""
    transport = cached._transport
    made = type(transport) in (httpx.HTTPTransport, httpx.AsyncHTTPTransport)
    if made and not any(transport is one for one in given):
        known = {
            name: settings[name] for name in ("verify", "cert", "trust_env") if name in settings
        }
        proxy = getattr(getattr(transport, "_pool", None), "_proxy_url", None)
        if proxy is not None:
            known["proxy"] = f"{proxy.scheme.decode()}://{proxy.host.decode()}:{proxy.port}"
        cached._route = _transport_of(None, known)
    return cached


def _with_headers(request: httpx.Request, headers: Headers | None) -> httpx.Request:
    if headers is None:
        return request
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        stream=request.stream,
        extensions=request.extensions,
    )


def _from_cache(reply: Reply, pieces: _StoredBody | _AsyncStoredBody) -> httpx.Response:
    body, version = reply.body, reply.version
    stream = pieces if body is None else httpx.ByteStream(body)
    extensions = {"http_version": _VERSION_NAMES.get(version, b"HTTP/1.1"), "lacre": reply.info}
    # HTTP/2 and later have no reason phrases.
    if version < 20:
        extensions["reason_phrase"] = reason_phrase(reply.status).encode()
    return httpx.Response(
        reply.status, headers=title_case_headers(reply), stream=stream, extensions=extensions
    )


def _from_network(
    response: httpx.Response,
    recorded: RecordedResponse,
    body: _RecordedBody | _AsyncRecordedBody,
) -> httpx.Response:
    stream = body if recorded.active else response.stream
    extensions = {**response.extensions, "lacre": recorded.info}
    return httpx.Response(
        response.status_code, headers=response.headers.raw, stream=stream, extensions=extensions
    )


def _close(response: httpx.Response) -> None:
    """Closes an unused response; reads a 304, which has no body, to reuse the connection."""
    with suppress(*_NETWORK_ERRORS):
        if response.status_code == httpx.codes.NOT_MODIFIED:
            response.read()
        response.close()


async def _aclose(response: httpx.Response) -> None:
    with suppress(*_NETWORK_ERRORS):
        if response.status_code == httpx.codes.NOT_MODIFIED:
            await response.aread()
        await response.aclose()


class _StoredBody(httpx.SyncByteStream):
    """A stored body, read from the store piece by piece."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._reply.next()) is not None:
            yield piece


class _AsyncStoredBody(httpx.AsyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := self._reply.next()) is not None:
            yield piece


class _RecordedBody(httpx.SyncByteStream):
    """A body from the network that is stored while it is read."""

    def __init__(self, response: httpx.Response, recorded: RecordedResponse) -> None:
        self._stream = cast("httpx.SyncByteStream", response.stream)
        self._recorded = recorded

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._recorded.write(piece)
            yield piece
        self._recorded.finish()

    def close(self) -> None:
        self._recorded.abort()
        self._stream.close()


class _AsyncRecordedBody(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response, recorded: RecordedResponse) -> None:
        self._stream = cast("httpx.AsyncByteStream", response.stream)
        self._recorded = recorded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            if self._recorded.writes(len(piece)):
                await _drive.run_in_thread(self._recorded.write, piece)
            else:
                self._recorded.write(piece)
            yield piece
        if self._recorded.active:
            await _drive.run_in_thread(self._recorded.finish)

    async def aclose(self) -> None:
        self._recorded.abort()
        await self._stream.aclose()

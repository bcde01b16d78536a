"""httpx with a cache: transports around those that send, and clients that have them in place.

A transport sees every hop of a redirect, with the client's default headers, cookies and credentials, and bodies as
they came, before they are decoded. It sees `verify`, `cert`, `proxy`, `trust_env` and `uds` where they are given to
it or to the client; what differs in them is never shared. It does not see into an `SSLContext`, which may have a client
certificate, nor into transports of your own: what came through one is served through the same object only, unless the
option `transport` names it. httpx follows redirects itself, and says which headers go along.
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
from ._bodies import MAX_FILE, place, reread
from ._drive import Asked, Driver, Exchange, Head, Headers, OwnTimeout, Passing, reason_of, spelled
from ._lacre import Cache, CacheInfo, Reply, Ticket, Transport
from ._options import RequestOptions

__all__ = [
    "AsyncCacheTransport",
    "AsyncCachedClient",
    "CacheTransport",
    "CachedClient",
    "cache_info",
]

_FAILURES = (httpx.TransportError,)
#: These send what they are given and nothing else.
_PLAIN = (
    httpx.HTTPTransport,
    httpx.AsyncHTTPTransport,
    httpx.MockTransport,
    httpx.WSGITransport,
    httpx.ASGITransport,
)

_Found = tuple[Asked, Reply | Ticket | None]
#: The extension by which a request has with it what was found for it.
_FOUND = "lacre.found"
_DEFAULT = httpx.USE_CLIENT_DEFAULT
#: Versions of HTTP as httpx names them, and as numbers.
_VERSIONS = {"HTTP/0.9": 9, "HTTP/1.0": 10, "HTTP/1.1": 11, "HTTP/2": 20, "HTTP/3": 30}
_NAMES = {number: name.encode() for name, number in _VERSIONS.items()}
#: The log in which httpx says what was answered.
_LOG = logging.getLogger("httpx")


def cache_info(response: httpx.Response) -> CacheInfo | None:
    """What the cache did; None where it was not asked."""
    return cast("CacheInfo | None", response.extensions.get("lacre"))


class CacheTransport(httpx.BaseTransport):
    """Answers from a cache, and sends through `transport` what it cannot answer.

    `options` are those of every request that has none of its own among its extensions, under "lacre". Without a
    `transport`, it makes an `httpx.HTTPTransport` of the `settings`, which it sees.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        transport: httpx.BaseTransport | None = None,
        *,
        options: RequestOptions | None = None,
        **settings: Any,
    ) -> None:
        self._driver = Driver(Cache() if cache is None else cache, _FAILURES)
        self._way = _way(transport, settings)
        self._transport = httpx.HTTPTransport(**settings) if transport is None else transport
        self._blind = type(self._transport) not in _PLAIN
        self._options = options
        self._refreshes: set[threading.Thread] = set()

    @property
    def cache(self) -> Cache:
        """The cache."""
        return self._driver.cache

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked, found = request.extensions.pop(_FOUND, None) or _ask(self, request)
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(request, asked, found.refresh)
            return _stored(found, _Pieces(found))
        if found is None:
            return self._transport.handle_request(request)
        owner, own = threading.get_ident(), _own_timeout(request)
        return self._answer(
            request, self._driver.exchange(asked, found, owner=owner, blind=self._blind, own=own)
        )

    def close(self) -> None:
        """Waits for what is refreshed in the background, and closes the transport."""
        for thread in list(self._refreshes):
            thread.join()
        self._transport.close()

    def _answer(self, request: httpx.Request, exchange: Exchange) -> httpx.Response:
        sent: list[httpx.Response] = []

        def drop() -> None:
            while sent:
                _close(sent.pop())

        def send(headers: Headers | None) -> Head:
            drop()
            sent.append(self._transport.handle_request(_with(request, headers)))
            return _head(sent[0])

        try:
            answer = _drive.carry_out(exchange, _FAILURES, send, drop)
            if isinstance(answer, Passing):
                response = sent.pop()
                return _passed(response, answer, _Recorded(response, answer))
            return _stored(answer, _Pieces(answer))
        finally:
            drop()

    def _refresh(self, request: httpx.Request, asked: Asked, ticket: Ticket) -> None:
        exchange = self._driver.refresh(asked, ticket, blind=self._blind)
        if exchange is None:
            return

        def refresh() -> None:
            try:
                # The caller has an answer, whatever comes of this.
                with suppress(*_FAILURES):
                    response = self._answer(request, exchange)
                    for _ in cast("httpx.SyncByteStream", response.stream):
                        pass
            finally:
                self._driver.refreshed()
                self._refreshes.discard(thread)

        thread = threading.Thread(target=refresh, name="lacre-refresh", daemon=True)
        self._refreshes.add(thread)
        thread.start()


class AsyncCacheTransport(httpx.AsyncBaseTransport):
    """The same for asynchronous code. Hits are answered in place; what may wait for a lock is done in a thread.

    Under trio, stale answers are refreshed before they are used, and equal requests at the same time are all sent.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        options: RequestOptions | None = None,
        **settings: Any,
    ) -> None:
        self._driver = Driver(Cache() if cache is None else cache, _FAILURES)
        self._way = _way(transport, settings)
        self._transport = httpx.AsyncHTTPTransport(**settings) if transport is None else transport
        self._blind = type(self._transport) not in _PLAIN
        self._options = options
        self._refreshes = _drive.Tasks()

    @property
    def cache(self) -> Cache:
        """The cache."""
        return self._driver.cache

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked, found = request.extensions.pop(_FOUND, None) or _ask(self, request)
        if isinstance(found, Reply):
            if found.refresh is None or self._refresh(request, asked, found.refresh):
                return _stored(found, _AsyncPieces(found))
            found = found.refresh
        if found is None:
            return await self._transport.handle_async_request(request)
        owner, own = _drive.current_task() or object(), _own_timeout(request)
        return await self._answer(
            request, self._driver.exchange(asked, found, owner=owner, blind=self._blind, own=own)
        )

    async def aclose(self) -> None:
        """Gives up what is refreshed in the background, and closes the transport."""
        await self._refreshes.cancel()
        await self._transport.aclose()

    async def _answer(self, request: httpx.Request, exchange: Exchange) -> httpx.Response:
        sent: list[httpx.Response] = []

        async def drop() -> None:
            while sent:
                await _aclose(sent.pop())

        async def send(headers: Headers | None) -> Head:
            await drop()
            sent.append(await self._transport.handle_async_request(_with(request, headers)))
            return _head(sent[0])

        try:
            answer = await _drive.carry_out_async(exchange, _FAILURES, send, drop)
            if isinstance(answer, Passing):
                response = sent.pop()
                return _passed(response, answer, _AsyncRecorded(response, answer))
            return _stored(answer, _AsyncPieces(answer))
        finally:
            await drop()

    def _refresh(self, request: httpx.Request, asked: Asked, ticket: Ticket) -> bool:
        """Whether it is, or need not be, refreshed in the background."""
        if _drive.current_task() is None:
            return False
        exchange = self._driver.refresh(asked, ticket, blind=self._blind)
        if exchange is None:
            return True

        async def refresh() -> None:
            with suppress(*_FAILURES):
                response = await self._answer(request, exchange)
                async for _ in cast("httpx.AsyncByteStream", response.stream):
                    pass

        self._refreshes.start(refresh(), self._driver.refreshed)
        return True


class CachedClient(httpx.Client):
    """A client whose requests go through a cache, proxies and mounts included. It takes what `httpx.Client` takes."""

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.cache = cache = Cache() if cache is None else cache
        given = _given(settings)
        self._transport = _behind(
            CacheTransport(cache, self._transport, options=options), given, settings
        )
        for pattern, transport in self._mounts.items():
            if transport is not None:
                cached = CacheTransport(cache, transport, options=options)
                self._mounts[pattern] = _behind(cached, given, settings)

    def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = _DEFAULT,
        follow_redirects: Any = _DEFAULT,
    ) -> httpx.Response:
        """As that of `httpx.Client`, and straight from the cache where nothing has to be decided on the way."""
        start = time.perf_counter()
        reply = None if stream else _at_once(self, request, auth)
        if reply is None:
            try:
                return super().send(
                    request, stream=stream, auth=auth, follow_redirects=follow_redirects
                )
            finally:
                request.extensions.pop(_FOUND, None)
        response = _stored(reply, _Pieces(reply))
        response.read()
        return _ended(self, request, response, start)


class AsyncCachedClient(httpx.AsyncClient):
    """The same for asynchronous code."""

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.cache = cache = Cache() if cache is None else cache
        given = _given(settings)
        self._transport = _behind(
            AsyncCacheTransport(cache, self._transport, options=options), given, settings
        )
        for pattern, transport in self._mounts.items():
            if transport is not None:
                cached = AsyncCacheTransport(cache, transport, options=options)
                self._mounts[pattern] = _behind(cached, given, settings)

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = _DEFAULT,
        follow_redirects: Any = _DEFAULT,
    ) -> httpx.Response:
        """As that of `httpx.AsyncClient`, and straight from the cache where nothing has to be decided on the way."""
        start = time.perf_counter()
        reply = None if stream else _at_once(self, request, auth)
        if reply is None:
            try:
                return await super().send(
                    request, stream=stream, auth=auth, follow_redirects=follow_redirects
                )
            finally:
                request.extensions.pop(_FOUND, None)
        response = _stored(reply, _AsyncPieces(reply))
        await response.aread()
        return _ended(self, request, response, start)


def _at_once(
    client: CachedClient | AsyncCachedClient, request: httpx.Request, auth: Any
) -> Reply | None:
    """What answers a request that the client would change no more, where it is fresh and sets nothing going. What was found otherwise
    goes with the request, so that its transport does not ask again."""
    if auth is not _DEFAULT or client.auth is not None or request.url.userinfo:
        return None
    if client.is_closed or any(client.event_hooks.values()):
        return None
    transport = client._transport_for_url(request.url)
    if not isinstance(transport, CacheTransport | AsyncCacheTransport):
        return None
    asked, found = _ask(transport, request)
    if (
        isinstance(found, Reply)
        and found.refresh is None
        and not httpx.codes.is_redirect(found.status)
    ):
        return found
    request.extensions = {**request.extensions, _FOUND: (asked, found)}
    return None


def _ended(
    client: CachedClient | AsyncCachedClient,
    request: httpx.Request,
    response: httpx.Response,
    start: float,
) -> httpx.Response:
    """What clients do to a response that they have read."""
    response.request = request
    response.default_encoding = client._default_encoding
    if "set-cookie" in response.headers:
        client.cookies.extract_cookies(response)
    response.elapsed = timedelta(seconds=time.perf_counter() - start)
    status = response.http_version, response.status_code, response.reason_phrase
    _LOG.info('HTTP Request: %s %s "%s %d %s"', request.method, request.url, *status)
    return response


def _ask(transport: CacheTransport | AsyncCacheTransport, request: httpx.Request) -> _Found:
    asked = _asked(request, transport._options, transport._way)
    return asked, asked.of(transport.cache)


def _asked(request: httpx.Request, options: RequestOptions | None, way: Transport | None) -> Asked:
    options = request.extensions.get("lacre", options)
    # The name that is verified in place of the URL's host.
    name = request.extensions.get("sni_hostname")
    if name is not None and name != request.url.host:
        way = (way or _transport.USUAL).verified_name(str(name))
    return Asked(
        request.method, str(request.url), request.headers.raw, _body(request.stream), options, way
    )


def _body(stream: Any) -> bytes | None:
    """The body of a request; `None` if it cannot be read twice."""
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    if isinstance(getattr(stream, "fields", None), list) and hasattr(stream, "get_content_length"):
        return _form(stream)
    # What `content=` was given, if it is a file or a list; httpx has no other way to it.
    source = getattr(stream, "_stream", None)
    if hasattr(source, "read"):
        return reread(source)
    return b"".join(source) if isinstance(source, list | tuple) else None


def _form(stream: Any) -> bytes | None:
    """A multipart body, whose files are where they were afterwards."""
    length = stream.get_content_length()
    files = [
        field.file
        for field in stream.fields
        if not isinstance(getattr(field, "file", b""), str | bytes)
    ]
    places = [place(file) for file in files]
    if length is None or length > MAX_FILE or None in places:
        return None
    try:
        return b"".join(stream)
    finally:
        for file, at in zip(files, places, strict=True):
            file.seek(at)


def _own_timeout(request: httpx.Request) -> OwnTimeout | None:
    """For how long the origin may be silent, as the caller has it."""
    seconds = (request.extensions.get("timeout") or {}).get("read")
    if seconds is None:
        return None
    return OwnTimeout(
        seconds, lambda: httpx.ReadTimeout("The read operation timed out", request=request)
    )


def _head(response: httpx.Response) -> Head:
    return Head(response.status_code, response.headers.raw, _VERSIONS.get(response.http_version))


def _way(transport: object | None, settings: dict[str, Any]) -> Transport | None:
    """How a transport that is made of settings, or one that somebody else made, reaches origins; None: the usual way."""
    if transport is not None:
        if settings:
            names = ", ".join(settings)
            raise TypeError(
                f"{names}: give settings to the transport, or give none, so that one is made of them"
            )
        return _of_object(transport)
    way = _transport.of_environment() if settings.get("trust_env", True) else _transport.USUAL
    verify = settings.get("verify", True)
    if verify is not True:
        # The environment is not asked, then.
        way = _transport.USUAL
    way = _transport.of_tls(way, verify, settings.get("cert"))
    if settings.get("uds") is not None:
        way = way.way(f"unix:{settings['uds']}")
    if settings.get("proxy") is not None:
        proxy = settings["proxy"]
        way = way.proxy(_transport.proxy_url(getattr(proxy, "url", proxy)))
    return way


def _of_object(transport: object) -> Transport:
    """How a transport that somebody else made reaches origins, as far as it can be seen."""
    context = getattr(getattr(transport, "_pool", None), "_ssl_context", None)
    way = _transport.USUAL
    if isinstance(context, ssl.SSLContext):
        way = _transport.of_context(way, context)
    return _transport.own(way, transport)


_Cached = TypeVar("_Cached", "CacheTransport", "AsyncCacheTransport")


def _given(settings: dict[str, Any]) -> list[object]:
    """The transports among the settings of a client."""
    return [settings.get("transport"), *(settings.get("mounts") or {}).values()]


def _behind(cached: _Cached, given: list[object], settings: dict[str, Any]) -> _Cached:
    """The transport of a client with these settings: where the client made it, it did so by them."""
    transport = cached._transport
    made = type(transport) in (httpx.HTTPTransport, httpx.AsyncHTTPTransport)
    if made and not any(transport is one for one in given):
        known = {
            name: settings[name] for name in ("verify", "cert", "trust_env") if name in settings
        }
        proxy = getattr(getattr(transport, "_pool", None), "_proxy_url", None)
        if proxy is not None:
            known["proxy"] = f"{proxy.scheme.decode()}://{proxy.host.decode()}:{proxy.port}"
        cached._way = _way(None, known)
    return cached


def _with(request: httpx.Request, headers: Headers | None) -> httpx.Request:
    if headers is None:
        return request
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        stream=request.stream,
        extensions=request.extensions,
    )


def _stored(reply: Reply, pieces: _Pieces | _AsyncPieces) -> httpx.Response:
    body, version = reply.body, reply.version
    stream = pieces if body is None else httpx.ByteStream(body)
    extensions = {"http_version": _NAMES.get(version, b"HTTP/1.1"), "lacre": reply.info}
    # From HTTP/2 on there are no phrases.
    if version < 20:
        extensions["reason_phrase"] = reason_of(reply.status).encode()
    return httpx.Response(
        reply.status, headers=spelled(reply), stream=stream, extensions=extensions
    )


def _passed(
    response: httpx.Response, passing: Passing, recorded: _Recorded | _AsyncRecorded
) -> httpx.Response:
    stream = recorded if passing.active else response.stream
    extensions = {**response.extensions, "lacre": passing.info}
    return httpx.Response(
        response.status_code, headers=response.headers.raw, stream=stream, extensions=extensions
    )


def _close(response: httpx.Response) -> None:
    """Done with a response that nobody gets. The connection of a 304, which has no body, can be used again."""
    with suppress(*_FAILURES):
        if response.status_code == httpx.codes.NOT_MODIFIED:
            response.read()
        response.close()


async def _aclose(response: httpx.Response) -> None:
    with suppress(*_FAILURES):
        if response.status_code == httpx.codes.NOT_MODIFIED:
            await response.aread()
        await response.aclose()


class _Pieces(httpx.SyncByteStream):
    """A stored body that is read from the store while it is handed out."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._reply.next()) is not None:
            yield piece


class _AsyncPieces(httpx.AsyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := self._reply.next()) is not None:
            yield piece


class _Recorded(httpx.SyncByteStream):
    """The network's body, stored as it passes."""

    def __init__(self, response: httpx.Response, passing: Passing) -> None:
        self._stream = cast("httpx.SyncByteStream", response.stream)
        self._passing = passing

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._passing.write(piece)
            yield piece
        self._passing.finish()

    def close(self) -> None:
        self._passing.abort()
        self._stream.close()


class _AsyncRecorded(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response, passing: Passing) -> None:
        self._stream = cast("httpx.AsyncByteStream", response.stream)
        self._passing = passing

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            if self._passing.writes(len(piece)):
                await _drive.in_thread(self._passing.write, piece)
            else:
                self._passing.write(piece)
            yield piece
        if self._passing.active:
            await _drive.in_thread(self._passing.finish)

    async def aclose(self) -> None:
        self._passing.abort()
        await self._stream.aclose()

"""Caching for aiohttp: `cached_session` makes a session with a `CacheMiddleware`.

The middleware sees every hop of a redirect with the session's default headers, cookies and
credentials. It does not see what an inner middleware adds. aiohttp itself follows redirects and
decides which headers go along.

It sees `ssl`, `server_hostname` and `proxy` of the request, and the session's connector; requests
that differ in them share no entries. It cannot inspect an `SSLContext`, which may have a client
certificate, or resolvers and connectors of your own: requests share entries only through the same
object, unless the option `transport` names it.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import ClientRequest, ClientResponse, ClientSession, hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.payload import IOBasePayload

from . import _drive, _transport
from ._bodies import MAX_FILE_BYTES, rewindable_position
from ._drive import (
    CacheRequest,
    CallerTimeout,
    Driver,
    Exchange,
    Headers,
    RecordedResponse,
    ResponseHead,
    current_request_options,
    reason_phrase,
    request_options,
    title_case_headers,
)
from ._lacre import Cache, CacheInfo, Reply, Ticket, Transport
from ._options import RequestOptions

__all__ = ["CacheMiddleware", "cache_info", "cached_session", "request_options"]

Handler = Callable[[ClientRequest], Awaitable[ClientResponse]]

_NETWORK_ERRORS = (aiohttp.ClientConnectionError,)
#: Resolvers that ask only the system or a name server.
_RESOLVERS = (aiohttp.ThreadedResolver, aiohttp.AsyncResolver)
#: The line limit of the parser, above that of stored responses.
_MAX_LINE = 1 << 20
#: The size limit of a redirect body that is read only to be stored.
_MAX_REDIRECT_BODY = 64 << 10
_INFOS: WeakKeyDictionary[ClientResponse, CacheInfo] = WeakKeyDictionary()


def cache_info(response: ClientResponse) -> CacheInfo | None:
    """Returns what the cache did with a request.

    Args:
        response: A response of a cached session.

    Returns:
        None if the cache was not asked.
    """
    return _INFOS.get(response)


def cached_session(
    cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
) -> ClientSession:
    """Makes a session that answers from a cache.

    The session does not decode bodies; the middleware does, so that they are stored as the origin
    sent them.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        options: Options of every request outside `request_options`.
        settings: Arguments of `aiohttp.ClientSession`.
    """
    decode = settings.pop("auto_decompress", True)
    middleware = CacheMiddleware(cache, options=options, auto_decompress=decode)
    middlewares = (*settings.pop("middlewares", ()), middleware)
    return ClientSession(auto_decompress=False, middlewares=middlewares, **settings)


class CacheMiddleware:
    """The middleware that answers from a cache; it must be the last one of a session.

    In a session that decodes bodies itself, encoded responses are not stored: use `cached_session`.
    A response that varies by a credential that the request does not show is not stored.

    Args:
        cache: The cache; `lacre.Cache()` by default.
        options: Options of every request outside `request_options`.
        auto_decompress: Whether the middleware decodes bodies.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        *,
        options: RequestOptions | None = None,
        auto_decompress: bool = True,
    ) -> None:
        self._driver = Driver(Cache() if cache is None else cache, _NETWORK_ERRORS)
        self._options = options
        self._decode = auto_decompress
        self._default_transport = _transport.from_environment()
        self._background = _drive.BackgroundTasks()

    @property
    def cache(self) -> Cache:
        """The cache of this middleware."""
        return self._driver.cache

    async def __call__(self, request: ClientRequest, handler: Handler) -> ClientResponse:
        # An upgraded connection carries no response to cache.
        cache_request = (
            None if hdrs.UPGRADE in request.headers else await self._cache_request(request)
        )
        found = None if cache_request is None else cache_request.ask(self._driver.cache)
        if cache_request is None or found is None:
            return await handler(request)
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(request, handler, cache_request, found.refresh)
            return await self._from_cache(request, found)
        owner, timeout = asyncio.current_task(), _caller_timeout(request)
        return await self._answer(
            request,
            handler,
            self._driver.exchange(
                cache_request, found, owner=owner, unseen_inputs=True, timeout=timeout
            ),
        )

    async def aclose(self) -> None:
        """Cancels background work: refreshes, and bodies that are still being replayed."""
        await self._background.cancel()

    async def _cache_request(self, request: ClientRequest) -> CacheRequest:
        options = current_request_options() or self._options
        route = _transport_of(self._default_transport, request)
        body = await _body(request.body)
        return CacheRequest(
            request.method, str(request.url), _headers(request), body, options, route
        )

    async def _answer(
        self, request: ClientRequest, handler: Handler, exchange: Exchange
    ) -> ClientResponse:
        sent: list[ClientResponse] = []

        async def discard() -> None:
            while sent:
                sent.pop().release()

        async def send(headers: Headers | None) -> ResponseHead:
            await discard()
            sent.append(await _send(request, handler, headers))
            got = sent[0]
            return ResponseHead(
                got.status, [*got.raw_headers], _version(got), _is_as_sent(request, got)
            )

        try:
            answer = await _drive.run_exchange_async(exchange, _NETWORK_ERRORS, send, discard)
            if isinstance(answer, RecordedResponse):
                return await self._from_network(request, sent.pop(), answer)
            return await self._from_cache(request, answer)
        finally:
            await discard()

    async def _from_cache(self, request: ClientRequest, reply: Reply) -> ClientResponse:
        connection = _ReplayConnection(request, decode=self._decode)
        # The parser only knows status lines of HTTP/1.
        version = min(reply.version, 11)
        response = await connection.respond(
            request, reply.status, title_case_headers(reply), reason_phrase(reply.status), version
        )
        _INFOS[response] = reply.info
        await self._replay(connection, _StoredBody(reply), response, at_once=reply.body is not None)
        return response

    async def _from_network(
        self, request: ClientRequest, sent: ClientResponse, recorded: RecordedResponse
    ) -> ClientResponse:
        to_decode = (
            self._decode and hdrs.CONTENT_ENCODING in sent.headers and _is_as_sent(request, sent)
        )
        if not recorded.active and not to_decode:
            _INFOS[sent] = recorded.info
            return sent
        connection = _ReplayConnection(request, decode=self._decode)
        head = sent.status, [*sent.raw_headers], sent.reason or "", _version(sent) or 11
        response = await connection.respond(request, *head)
        _INFOS[response] = recorded.info
        # aiohttp does not read the bodies of redirects, so read them here to store them.
        redirects = (
            hdrs.LOCATION in sent.headers and 0 <= (sent.content_length or -1) <= _MAX_REDIRECT_BODY
        )
        at_once = redirects or sent.content.is_eof()
        await self._replay(connection, _RecordedBody(sent, recorded), response, at_once=at_once)
        return response

    async def _replay(
        self,
        connection: _ReplayConnection,
        source: _StoredBody | _RecordedBody,
        response: ClientResponse,
        *,
        at_once: bool,
    ) -> None:
        """Replays a body, at once if it is complete and needs no decoding."""
        if at_once and not (self._decode and hdrs.CONTENT_ENCODING in response.headers):
            await connection.replay(source, at_once=True)
        else:
            self._background.start(connection.replay(source, at_once=False))

    def _refresh(
        self, request: ClientRequest, handler: Handler, cache_request: CacheRequest, ticket: Ticket
    ) -> None:
        exchange = self._driver.refresh(cache_request, ticket, unseen_inputs=True)
        if exchange is None:
            return

        async def refresh() -> None:
            # The caller already has a response.
            with suppress(aiohttp.ClientError, asyncio.TimeoutError):
                async with await self._answer(request, handler, exchange) as response:
                    async for _ in response.content.iter_any():
                        pass

        self._background.start(refresh(), self._driver.refresh_ended)


def _transport_of(route: Transport, request: ClientRequest) -> Transport:
    """Describes how a request reaches the origin."""
    session: Any = getattr(request, "_session", None)
    connector = getattr(session, "connector", None)
    verifies: Any = request.ssl
    if verifies is True:
        verifies = getattr(connector, "_ssl", True)
    if isinstance(verifies, ssl.SSLContext):
        route = _transport.with_ssl_context(_transport.DEFAULT, verifies)
    elif isinstance(verifies, aiohttp.Fingerprint):
        route = _transport.DEFAULT.unverified().roots([b"fingerprint:" + verifies.fingerprint])
    elif verifies is not True and verifies is not None:
        route = _transport.DEFAULT.unverified()
    if request.server_hostname is not None and request.server_hostname != request.url.host:
        route = route.verified_name(request.server_hostname)
    if request.proxy is not None:
        route = route.proxy(_transport.proxy_url(request.proxy))
    if type(connector) is aiohttp.TCPConnector:
        resolver = getattr(connector, "_resolver", None)
        return route if type(resolver) in _RESOLVERS else _transport.with_object(route, resolver)
    if type(connector) is aiohttp.UnixConnector or type(connector) is aiohttp.NamedPipeConnector:
        return route.route(f"unix:{connector.path}")
    return _transport.with_object(route, connector)


def _headers(request: ClientRequest) -> Headers:
    return [
        (name.encode(), value.encode("utf-8", "surrogateescape"))
        for name, value in request.headers.items()
    ]


def _version(response: ClientResponse) -> int | None:
    version = response.version
    return None if version is None else version.major * 10 + version.minor


def _caller_timeout(request: ClientRequest) -> CallerTimeout | None:
    """Returns the read timeout of the session.

    aiohttp enforces the total timeout itself, and does not tell middlewares that of a request.
    """
    timeout = getattr(getattr(request, "_session", None), "timeout", None)
    seconds = getattr(timeout, "sock_read", None)
    if not seconds:
        return None
    message = f"Timeout on reading data from socket ({request.url.host})"
    return CallerTimeout(seconds, lambda: aiohttp.SocketTimeoutError(message))


async def _body(sent: Any) -> bytes | None:
    """Returns the body of a request, or None if it cannot be read twice."""
    if isinstance(sent, bytes):
        return sent
    return await sent.as_bytes() if _can_be_read_again(sent) else None


def _can_be_read_again(sent: Any) -> bool:
    if isinstance(sent, aiohttp.BytesPayload):
        return True
    if isinstance(sent, aiohttp.MultipartWriter):
        return (sent.size or 0) <= MAX_FILE_BYTES and all(
            _can_be_read_again(part) for part, *_ in sent
        )
    if not isinstance(sent, IOBasePayload) or sent.consumed:
        return False
    # aiohttp rewinds to the start before it sends.
    return (
        sent.size is not None
        and sent.size <= MAX_FILE_BYTES
        and rewindable_position(sent._value) is not None
    )


def _is_as_sent(request: ClientRequest, response: ClientResponse) -> bool:
    """Returns whether neither the session nor the request had the body decoded."""
    if hdrs.CONTENT_ENCODING not in response.headers:
        return True
    session: Any = getattr(request, "_session", None)
    counts = getattr(response.content, "total_compressed_bytes", None)
    return session is not None and not session.auto_decompress and counts is None


async def _send(
    request: ClientRequest, handler: Handler, headers: Headers | None
) -> ClientResponse:
    """Sends a request with these headers and restores its own."""
    before = request.headers.copy()
    if headers is not None:
        request.headers.clear()
        request.headers.extend(
            [(name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in headers]
        )
    try:
        return await handler(request)
    except aiohttp.ServerDisconnectedError:
        # The server closed an idle connection. aiohttp retries, too, but only after the cache has
        # already used a stale response instead.
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            raise
        return await handler(request)
    finally:
        request.headers.clear()
        request.headers.extend(before)


class _StoredBody:
    """A stored body, read from the store piece by piece."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def next(self) -> bytes | None:
        return self._reply.next()

    def close(self) -> None:
        pass


class _RecordedBody:
    """A body from the network that is stored while it is read."""

    def __init__(self, response: ClientResponse, recorded: RecordedResponse) -> None:
        self._response, self._recorded = response, recorded

    async def next(self) -> bytes | None:
        piece = await self._response.content.readany()
        if not piece:
            if self._recorded.active:
                await _drive.run_in_thread(self._recorded.finish)
            return None
        if self._recorded.writes(len(piece)):
            await _drive.run_in_thread(self._recorded.write, piece)
        else:
            self._recorded.write(piece)
        return piece

    def close(self) -> None:
        self._recorded.abort()
        self._response.release()


class _ReplayConnection(asyncio.Transport):
    """A connection that replays a response for aiohttp to parse and decode."""

    def __init__(self, request: ClientRequest, *, decode: bool) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self._callbacks: list[Callable[[], None]] = []
        self._replay_task: asyncio.Task[Any] | None = None
        self._content: aiohttp.StreamReader | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._closed = self._complete = False
        self.protocol: ResponseHandler | None = ResponseHandler(loop)
        self._handler = self.protocol
        self._handler.connection_made(self)
        self._handler.set_response_params(
            timer=getattr(request, "_timer", None),
            skip_payload=request.method == hdrs.METH_HEAD,
            read_until_eof=True,
            auto_decompress=decode,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
        )

    async def respond(
        self, request: ClientRequest, status: int, headers: Headers, reason: str, version: int
    ) -> ClientResponse:
        """Replays the head and returns the response, whose body follows."""
        lines = [
            f"HTTP/{version // 10}.{version % 10} {status} {reason}".encode(
                "utf-8", "surrogateescape"
            )
        ]
        # The body is replayed without chunked coding.
        lines += [
            name + b": " + value for name, value in headers if name.lower() != b"transfer-encoding"
        ]
        settings: dict[str, Any] = {
            "writer": None,
            "continue100": None,
            "timer": getattr(request, "_timer", None),
            "request_info": request.request_info,
            "traces": getattr(request, "_traces", []),
            "loop": asyncio.get_running_loop(),
            "session": getattr(request, "_session", None),
        }
        if "stream_writer" in _PARAMETERS:
            settings["stream_writer"] = SimpleNamespace(output_size=0)
        response = request.response_class(request.method, request.original_url, **settings)
        self._handler.data_received(b"\r\n".join([*lines, b"", b""]))
        await response.start(self)  # type: ignore[arg-type]
        self._content = response.content
        return response

    async def replay(self, source: _StoredBody | _RecordedBody, *, at_once: bool) -> None:
        """Replays a body, at once or as fast as the caller reads it."""
        self._replay_task = None if at_once else asyncio.current_task()
        try:
            # A complete body is read to its end, so that it is stored, even if the caller left.
            while (at_once or not self._closed) and (piece := await source.next()) is not None:
                self._handler.data_received(piece)
                while not at_once and not self._may_write.is_set():
                    await self._may_write.wait()
            self._end(None)
        except Exception as error:
            if self._content is not None:
                self._content.set_exception(error)
            self._end(error)
        finally:
            source.close()

    def _end(self, error: BaseException | None) -> None:
        """Ends the body, or breaks it off with an error."""
        if not self._complete:
            self._complete = True
            self._handler.connection_lost(error)

    # The interface of a connection, for aiohttp.

    @property
    def transport(self) -> _ReplayConnection:
        return self

    @property
    def closed(self) -> bool:
        return self._closed

    def add_callback(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def release(self) -> None:
        self.close()

    # The interface of a transport, for its protocol.

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._may_write.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        if self._replay_task is not None and self._replay_task is not asyncio.current_task():
            self._replay_task.cancel()

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        self._may_write.clear()

    def resume_reading(self) -> None:
        self._may_write.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


_PARAMETERS = inspect.signature(ClientResponse.__init__).parameters

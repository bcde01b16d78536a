"""aiohttp with a cache: `cached_session` makes a session whose requests go through `CacheMiddleware`.

The middleware sees every hop of a redirect with the session's default headers, cookies and credentials. It sees how a
request is sent: `ssl`, `server_hostname` and `proxy` of the request, and the session's connector; what differs in them is
never shared. It does not see into an `SSLContext`, which may have a client certificate, nor into resolvers and connectors
of your own: what came through one is served through the same object only, unless the option `transport` names it.
It does not see what a middleware further in adds. aiohttp follows redirects itself, and says which headers go along.
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
from ._bodies import MAX_FILE, place
from ._drive import (
    Asked,
    Driver,
    Exchange,
    Head,
    Headers,
    OwnTimeout,
    Passing,
    options_within,
    reason_of,
    request_options,
    spelled,
)
from ._lacre import Cache, CacheInfo, Reply, Ticket, Transport
from ._options import RequestOptions

__all__ = ["CacheMiddleware", "cache_info", "cached_session", "request_options"]

Handler = Callable[[ClientRequest], Awaitable[ClientResponse]]

_FAILURES = (aiohttp.ClientConnectionError,)
#: These ask the system, or a name server, and nobody else.
_RESOLVERS = (aiohttp.ThreadedResolver, aiohttp.AsyncResolver)
#: Longer lines than a stored response can have.
_LONGEST = 1 << 20
#: The longest body of a redirect that is worth reading, so that it is stored.
_REDIRECT = 64 << 10
_INFOS: WeakKeyDictionary[ClientResponse, CacheInfo] = WeakKeyDictionary()


def cache_info(response: ClientResponse) -> CacheInfo | None:
    """What the cache did; None where it was not asked."""
    return _INFOS.get(response)


def cached_session(
    cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
) -> ClientSession:
    """A session that answers from a cache. It takes what `aiohttp.ClientSession` takes.

    aiohttp is told not to decode bodies: they are stored as they came, and decoded on their way to the caller.
    """
    decodes = settings.pop("auto_decompress", True)
    middleware = CacheMiddleware(cache, options=options, auto_decompress=decodes)
    middlewares = (*settings.pop("middlewares", ()), middleware)
    return ClientSession(auto_decompress=False, middlewares=middlewares, **settings)


class CacheMiddleware:
    """Answers from a cache, and sends what it cannot answer; the last of a session's middlewares.

    In a session that decodes bodies below it, what is encoded passes by unstored: `cached_session` makes one that does
    not. `options` are those of every request that is made outside `request_options`. What varies by a credential that the
    request does not show is not stored.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        *,
        options: RequestOptions | None = None,
        auto_decompress: bool = True,
    ) -> None:
        self._driver = Driver(Cache() if cache is None else cache, _FAILURES)
        self._options = options
        self._decodes = auto_decompress
        self._usual = _transport.of_environment()
        self._background = _drive.Tasks()

    @property
    def cache(self) -> Cache:
        """The cache."""
        return self._driver.cache

    async def __call__(self, request: ClientRequest, handler: Handler) -> ClientResponse:
        # What becomes another protocol is no answer.
        asked = None if hdrs.UPGRADE in request.headers else await self._asked(request)
        found = None if asked is None else asked.of(self._driver.cache)
        if asked is None or found is None:
            return await handler(request)
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(request, handler, asked, found.refresh)
            return await self._stored(request, found)
        owner, own = asyncio.current_task(), _own_timeout(request)
        return await self._answer(
            request, handler, self._driver.exchange(asked, found, owner=owner, blind=True, own=own)
        )

    async def aclose(self) -> None:
        """Gives up what is done in the background."""
        await self._background.cancel()

    async def _asked(self, request: ClientRequest) -> Asked:
        options = options_within() or self._options
        way = _way(self._usual, request)
        body = await _body(request.body)
        return Asked(request.method, str(request.url), _headers(request), body, options, way)

    async def _answer(
        self, request: ClientRequest, handler: Handler, exchange: Exchange
    ) -> ClientResponse:
        sent: list[ClientResponse] = []

        async def drop() -> None:
            while sent:
                sent.pop().release()

        async def send(headers: Headers | None) -> Head:
            await drop()
            sent.append(await _send(request, handler, headers))
            got = sent[0]
            return Head(got.status, [*got.raw_headers], _version(got), _is_as_sent(request, got))

        try:
            answer = await _drive.carry_out_async(exchange, _FAILURES, send, drop)
            if isinstance(answer, Passing):
                return await self._passed(request, sent.pop(), answer)
            return await self._stored(request, answer)
        finally:
            await drop()

    async def _stored(self, request: ClientRequest, reply: Reply) -> ClientResponse:
        line = _Line(request, decodes=self._decodes)
        # Only this line of HTTP/1 is known to the parser.
        version = min(reply.version, 11)
        response = await line.respond(
            request, reply.status, spelled(reply), reason_of(reply.status), version
        )
        _INFOS[response] = reply.info
        await self._play(line, _Pieces(reply), response, at_once=reply.body is not None)
        return response

    async def _passed(
        self, request: ClientRequest, sent: ClientResponse, passing: Passing
    ) -> ClientResponse:
        to_decode = (
            self._decodes and hdrs.CONTENT_ENCODING in sent.headers and _is_as_sent(request, sent)
        )
        if not passing.active and not to_decode:
            _INFOS[sent] = passing.info
            return sent
        line = _Line(request, decodes=self._decodes)
        head = sent.status, [*sent.raw_headers], sent.reason or "", _version(sent) or 11
        response = await line.respond(request, *head)
        _INFOS[response] = passing.info
        # aiohttp does not read the bodies of redirects.
        redirects = hdrs.LOCATION in sent.headers and 0 <= (sent.content_length or -1) <= _REDIRECT
        at_once = redirects or sent.content.is_eof()
        await self._play(line, _Recorded(sent, passing), response, at_once=at_once)
        return response

    async def _play(
        self, line: _Line, source: _Pieces | _Recorded, response: ClientResponse, *, at_once: bool
    ) -> None:
        """Plays a body: at once where it is there, and becomes no longer when it is decoded."""
        if at_once and not (self._decodes and hdrs.CONTENT_ENCODING in response.headers):
            await line.play(source, at_once=True)
        else:
            self._background.start(line.play(source, at_once=False))

    def _refresh(
        self, request: ClientRequest, handler: Handler, asked: Asked, ticket: Ticket
    ) -> None:
        exchange = self._driver.refresh(asked, ticket, blind=True)
        if exchange is None:
            return

        async def refresh() -> None:
            # The caller has an answer, whatever comes of this.
            with suppress(aiohttp.ClientError, asyncio.TimeoutError):
                async with await self._answer(request, handler, exchange) as response:
                    async for _ in response.content.iter_any():
                        pass

        self._background.start(refresh(), self._driver.refreshed)


def _way(way: Transport, request: ClientRequest) -> Transport:
    """How a request is sent, where that is not the usual `way`."""
    session: Any = getattr(request, "_session", None)
    connector = getattr(session, "connector", None)
    verifies: Any = request.ssl
    if verifies is True:
        verifies = getattr(connector, "_ssl", True)
    if isinstance(verifies, ssl.SSLContext):
        way = _transport.of_context(_transport.USUAL, verifies)
    elif isinstance(verifies, aiohttp.Fingerprint):
        way = _transport.USUAL.unverified().roots([b"fingerprint:" + verifies.fingerprint])
    elif verifies is not True and verifies is not None:
        way = _transport.USUAL.unverified()
    if request.server_hostname is not None and request.server_hostname != request.url.host:
        way = way.verified_name(request.server_hostname)
    if request.proxy is not None:
        way = way.proxy(_transport.proxy_url(request.proxy))
    if type(connector) is aiohttp.TCPConnector:
        resolver = getattr(connector, "_resolver", None)
        return way if type(resolver) in _RESOLVERS else _transport.own(way, resolver)
    if type(connector) is aiohttp.UnixConnector or type(connector) is aiohttp.NamedPipeConnector:
        return way.way(f"unix:{connector.path}")
    return _transport.own(way, connector)


def _headers(request: ClientRequest) -> Headers:
    return [
        (name.encode(), value.encode("utf-8", "surrogateescape"))
        for name, value in request.headers.items()
    ]


def _version(response: ClientResponse) -> int | None:
    version = response.version
    return None if version is None else version.major * 10 + version.minor


def _own_timeout(request: ClientRequest) -> OwnTimeout | None:
    """For how long the origin may be silent, as the session has it. That for all of a request is aiohttp's own to keep;
    one of a single request is not told to middlewares."""
    timeout = getattr(getattr(request, "_session", None), "timeout", None)
    seconds = getattr(timeout, "sock_read", None)
    if not seconds:
        return None
    message = f"Timeout on reading data from socket ({request.url.host})"
    return OwnTimeout(seconds, lambda: aiohttp.SocketTimeoutError(message))


async def _body(sent: Any) -> bytes | None:
    """The body of a request; `None` if it cannot be read twice."""
    if isinstance(sent, bytes):
        return sent
    return await sent.as_bytes() if _can_be_read_again(sent) else None


def _can_be_read_again(sent: Any) -> bool:
    if isinstance(sent, aiohttp.BytesPayload):
        return True
    if isinstance(sent, aiohttp.MultipartWriter):
        return (sent.size or 0) <= MAX_FILE and all(_can_be_read_again(part) for part, *_ in sent)
    if not isinstance(sent, IOBasePayload) or sent.consumed:
        return False
    # aiohttp goes back to where it began before it sends.
    return sent.size is not None and sent.size <= MAX_FILE and place(sent._value) is not None


def _is_as_sent(request: ClientRequest, response: ClientResponse) -> bool:
    """Whether the body was not decoded below the cache: by the session, or because the request wanted it."""
    if hdrs.CONTENT_ENCODING not in response.headers:
        return True
    session: Any = getattr(request, "_session", None)
    counts = getattr(response.content, "total_compressed_bytes", None)
    return session is not None and not session.auto_decompress and counts is None


async def _send(
    request: ClientRequest, handler: Handler, headers: Headers | None
) -> ClientResponse:
    """Sends a request with these headers, and leaves it as it was."""
    before = request.headers.copy()
    if headers is not None:
        request.headers.clear()
        request.headers.extend(
            [(name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in headers]
        )
    try:
        return await handler(request)
    except aiohttp.ServerDisconnectedError:
        # A connection that was kept too long. aiohttp tries again as well, but after a stale answer took its place.
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            raise
        return await handler(request)
    finally:
        request.headers.clear()
        request.headers.extend(before)


class _Pieces:
    """A stored body that is read from the store while it is handed out."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def next(self) -> bytes | None:
        return self._reply.next()

    def close(self) -> None:
        pass


class _Recorded:
    """The network's body, stored as it passes."""

    def __init__(self, response: ClientResponse, passing: Passing) -> None:
        self._response, self._passing = response, passing

    async def next(self) -> bytes | None:
        piece = await self._response.content.readany()
        if not piece:
            if self._passing.active:
                await _drive.in_thread(self._passing.finish)
            return None
        if self._passing.writes(len(piece)):
            await _drive.in_thread(self._passing.write, piece)
        else:
            self._passing.write(piece)
        return piece

    def close(self) -> None:
        self._passing.abort()
        self._response.release()


class _Line(asyncio.Transport):
    """What aiohttp takes for a connection: a response is played on it, which aiohttp's own parser reads and decodes."""

    def __init__(self, request: ClientRequest, *, decodes: bool) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self._callbacks: list[Callable[[], None]] = []
        self._player: asyncio.Task[Any] | None = None
        self._content: aiohttp.StreamReader | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._closed = self._ended = False
        self.protocol: ResponseHandler | None = ResponseHandler(loop)
        self._handler = self.protocol
        self._handler.connection_made(self)
        self._handler.set_response_params(
            timer=getattr(request, "_timer", None),
            skip_payload=request.method == hdrs.METH_HEAD,
            read_until_eof=True,
            auto_decompress=decodes,
            max_line_size=_LONGEST,
            max_field_size=_LONGEST,
        )

    async def respond(
        self, request: ClientRequest, status: int, headers: Headers, reason: str, version: int
    ) -> ClientResponse:
        """The response to a request, with its body yet to come."""
        lines = [
            f"HTTP/{version // 10}.{version % 10} {status} {reason}".encode(
                "utf-8", "surrogateescape"
            )
        ]
        # Where one piece ends is not played.
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

    async def play(self, source: _Pieces | _Recorded, *, at_once: bool) -> None:
        """Plays a body at the pace of who listens, or at once."""
        self._player = None if at_once else asyncio.current_task()
        try:
            # What is there is stored, even where nobody listens.
            while (at_once or not self._closed) and (piece := await source.next()) is not None:
                self._handler.data_received(piece)
                while not at_once and not self._flows.is_set():
                    await self._flows.wait()
            self._end(None)
        except Exception as error:
            if self._content is not None:
                self._content.set_exception(error)
            self._end(error)
        finally:
            source.close()

    def _end(self, error: BaseException | None) -> None:
        """The body ends, or breaks off."""
        if not self._ended:
            self._ended = True
            self._handler.connection_lost(error)

    # What aiohttp asks of a connection.

    @property
    def transport(self) -> _Line:
        return self

    @property
    def closed(self) -> bool:
        return self._closed

    def add_callback(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def release(self) -> None:
        self.close()

    # What its protocol asks of a transport.

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._flows.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        if self._player is not None and self._player is not asyncio.current_task():
            self._player.cancel()

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        self._flows.clear()

    def resume_reading(self) -> None:
        self._flows.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


_PARAMETERS = inspect.signature(ClientResponse.__init__).parameters

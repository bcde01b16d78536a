"""Code that the synchronous and the asynchronous niquests driver share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message
from io import BytesIO
from types import SimpleNamespace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import niquests
from niquests.models import PreparedRequest, Response
from niquests.packages.urllib3 import ConnectionInfo, HTTPHeaderDict, HttpVersion
from niquests.structures import CaseInsensitiveDict

from . import _transport
from ._bodies import read_and_rewind
from ._drive import (
    CacheRequest,
    CallerTimeout,
    Driver,
    Headers,
    RecordedResponse,
    ResponseHead,
    current_request_options,
    reason_phrase,
    title_case_headers,
)
from ._lacre import Cache, CacheInfo, Reply, Ticket, Transport
from ._options import RequestOptions

R = TypeVar("R", bound=Response)

_VERSIONS = {20: "HTTP/2.0", 30: "HTTP/3.0"}

NETWORK_ERRORS = (niquests.ConnectionError, niquests.Timeout)
INFOS: WeakKeyDictionary[Response, CacheInfo] = WeakKeyDictionary()


class Sender:
    """Sends one request through an adapter."""

    def __init__(
        self,
        adapter: Any,
        request: PreparedRequest,
        arguments: tuple[Any, ...],
        settings: dict[str, Any],
    ) -> None:
        self.request = request
        self._adapter, self._arguments, self._settings = adapter, arguments, settings

    def send(self, headers: Headers | None) -> Any:
        """Sends the request with these headers; returns the response, or an awaitable of it."""
        request = self.request
        if headers is not None:
            request = request.copy()
            request.headers = CaseInsensitiveDict(
                {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            )
        return self._adapter.send(request, *self._arguments, **self._settings)

    def attach(self, response: R) -> R:
        """Attaches the original request to the response."""
        response.request = self.request
        return response


class CacheAdapterBase:
    """The base of cache adapters.

    Args:
        cache: The cache, or a driver of one.
        adapter: The adapter that sends.
        plain: The adapter type that adds nothing to requests.
        options: Options of requests outside `request_options`.
    """

    def __init__(
        self,
        cache: Cache | Driver | None,
        adapter: Any,
        plain: type,
        options: RequestOptions | None,
    ) -> None:
        super().__init__()
        self._driver = (
            cache
            if isinstance(cache, Driver)
            else Driver(Cache() if cache is None else cache, NETWORK_ERRORS)
        )
        self._adapter = adapter
        self._unseen_inputs = type(adapter) is not plain
        self._options = options
        self._default_transport = _default_transport_of(adapter, plain)

    @property
    def cache(self) -> Cache:
        """The cache of this adapter."""
        return self._driver.cache

    def _ask(
        self, request: PreparedRequest, arguments: tuple[Any, ...], settings: dict[str, Any]
    ) -> tuple[Sender, CacheRequest | None, Reply | Ticket | None]:
        options = current_request_options() or self._options
        settings["multiplexed"] = False
        names = ("stream", "timeout", "verify", "cert", "proxies")
        route = _transport_of(
            self._default_transport,
            request,
            {**dict(zip(names, arguments, strict=False)), **settings},
        )
        cache_request = _cache_request(request, options, route)
        found = cache_request.ask(self._driver.cache)
        return Sender(self._adapter, request, arguments, settings), cache_request, found


class CachedSessionMixin:
    """The mixin of sessions that put a cache in front of all their adapters."""

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.cache = cache = Cache() if cache is None else cache
        self._driver = Driver(cache, NETWORK_ERRORS)
        self._options = options


def is_http(url: str) -> bool:
    """Returns whether a URL is one of HTTP, which the cache is for."""
    return url.lower().startswith(("http://", "https://"))


def head(response: Response) -> ResponseHead:
    """Returns the status and headers of a response for the cache."""
    raw: Any = response.raw
    headers = [(_bytes(name), _bytes(value)) for name, value in raw.headers.items()]
    return ResponseHead(raw.status, headers, raw.version)


def response_from_cache(
    request: PreparedRequest,
    reply: Reply,
    kind: Callable[..., Any],
    build: Callable[[PreparedRequest, Any], R],
) -> R:
    """Builds the response for a reply of the cache.

    Args:
        request: The request.
        reply: The reply.
        kind: The class of the raw response.
        build: The `build_response` of an adapter.
    """
    headers, message = HTTPHeaderDict(), Message()
    for name, value in title_case_headers(reply):
        headers.add(name.decode("latin-1"), value.decode("latin-1"))
        message[name.decode("latin-1")] = value.decode("latin-1")
    body = reply.body
    raw = kind(
        body=BytesIO(body) if body is not None else BodyReader(iter(reply.next, None)),
        headers=headers,
        status=reply.status,
        reason=reason_phrase(reply.status),
        version=reply.version,
        preload_content=False,
        decode_content=False,
        # niquests reads cookies from it.
        original_response=SimpleNamespace(msg=message, isclosed=lambda: True, close=lambda: None),
        request_method=request.method,
        request_url=request.path_url,
    )
    if request.conn_info is None:
        # There was no connection, but callers ask for its version of HTTP.
        request.conn_info = ConnectionInfo()
        with suppress(ValueError):
            request.conn_info.http_version = HttpVersion(_VERSIONS.get(reply.version, "HTTP/1.1"))
    response = build(request, raw)
    INFOS[response] = reply.info
    return response


def response_from_network(
    response: R,
    recorded: RecordedResponse,
    kind: Callable[..., Any],
    make_body: Callable[[Any, RecordedResponse], Any],
) -> R:
    """Returns the response of the network; if it is stored, its raw response records the body.

    Args:
        response: The response.
        recorded: Its recording.
        kind: The class of the raw response.
        make_body: Makes the body of the raw response.
    """
    INFOS[response] = recorded.info
    if recorded.active:
        raw: Any = response.raw
        response.raw = kind(
            body=make_body(raw, recorded),
            headers=raw.headers,
            status=raw.status,
            reason=raw.reason,
            version=raw.version,
            preload_content=False,
            decode_content=raw.decode_content,
            request_url=raw.url,
            original_response=raw._original_response,
            request_method=response.request.method if response.request else None,
        )
    return response


class BodyReader:
    """A file of the pieces of a body, for urllib3."""

    closed = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, amount: int | None = None) -> bytes:
        """Reads at most `amount` bytes; all for None; the next piece for a negative number."""
        if amount is None:
            rest, self._rest = self._rest, b""
            return rest + b"".join(self._pieces)
        piece = self._rest or next(self._pieces, b"")
        if amount < 0:
            amount = len(piece)
        self._rest = piece[amount:]
        return piece[:amount]

    def close(self) -> None:
        self.closed = True


def _default_transport_of(adapter: Any, plain: type) -> Transport:
    """Describes how an adapter reaches origins, apart from the settings of a request."""
    default = _transport.from_environment()
    if type(adapter) is not plain:
        return _transport.with_object(default, adapter)
    resolver = getattr(adapter, "_resolver", None)
    if resolver is None or type(resolver).__name__ == "SystemResolver":
        return default
    names = [resolver] if isinstance(resolver, str) else resolver
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return default if names == ["system://"] else default.route(f"resolver:{' '.join(names)}")
    return _transport.with_object(default, resolver)


def _transport_of(
    default: Transport, request: PreparedRequest, settings: dict[str, Any]
) -> Transport:
    """Describes how a request with these settings reaches the origin."""
    route = _transport.with_tls(default, settings.get("verify"), settings.get("cert"))
    proxies = settings.get("proxies")
    if proxies:
        proxy = niquests.utils.select_proxy(request.url or "", proxies)
        if proxy:
            route = route.proxy(_transport.proxy_url(proxy))
    return route


def caller_timeout(settings: dict[str, Any], request: PreparedRequest) -> CallerTimeout | None:
    """Returns the read timeout of the caller."""
    timeout: Any = settings.get("timeout")
    if isinstance(timeout, tuple):
        timeout = timeout[1] if len(timeout) > 1 else timeout[0]
    elif not isinstance(timeout, (int, float)):
        timeout = getattr(timeout, "_read", None)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        return None
    message = f"Read timed out. (read timeout={timeout})"
    return CallerTimeout(timeout, lambda: niquests.ReadTimeout(message, request=request))


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _cache_request(
    request: PreparedRequest, options: RequestOptions | None, route: Transport
) -> CacheRequest:
    sent = request.body
    body: bytes | None = None
    if sent is None or isinstance(sent, (str, bytes)):
        body = sent.encode() if isinstance(sent, str) else sent or b""
    elif hasattr(sent, "read"):
        body = read_and_rewind(sent)
    headers = [(_bytes(name), _bytes(value)) for name, value in (request.headers or {}).items()]
    return CacheRequest(request.method or "GET", request.url or "", headers, body, options, route)

"""What both halves of the niquests driver share: how a request is asked and sent, and how a response is made."""

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
from ._bodies import reread
from ._drive import (
    Asked,
    Driver,
    Head,
    Headers,
    OwnTimeout,
    Passing,
    options_within,
    reason_of,
    spelled,
)
from ._lacre import Cache, CacheInfo, Reply, Ticket, Transport
from ._options import RequestOptions

R = TypeVar("R", bound=Response)

_VERSIONS = {20: "HTTP/2.0", 30: "HTTP/3.0"}

FAILURES = (niquests.ConnectionError, niquests.Timeout)
INFOS: WeakKeyDictionary[Response, CacheInfo] = WeakKeyDictionary()


class Way:
    """The way of one request to the network."""

    def __init__(
        self,
        adapter: Any,
        request: PreparedRequest,
        arguments: tuple[Any, ...],
        settings: dict[str, Any],
    ) -> None:
        self.request = request
        self._adapter, self._arguments, self._settings = adapter, arguments, settings

    def begin(self, headers: Headers | None) -> Any:
        """What the adapter answers to the request with these headers: a response, or what is awaited for one."""
        request = self.request
        if headers is not None:
            request = request.copy()
            request.headers = CaseInsensitiveDict(
                {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            )
        return self._adapter.send(request, *self._arguments, **self._settings)

    def end(self, response: R) -> R:
        """The response, to the request as it was made."""
        response.request = self.request
        return response


class Around:
    """An adapter around one that sends; `plain` is the type that sends what it is given and nothing else."""

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
            else Driver(Cache() if cache is None else cache, FAILURES)
        )
        self._adapter = adapter
        self._blind = type(adapter) is not plain
        self._options = options
        self._usual = _usual_of(adapter, plain)

    @property
    def cache(self) -> Cache:
        """The cache."""
        return self._driver.cache

    def _ask(
        self, request: PreparedRequest, arguments: tuple[Any, ...], settings: dict[str, Any]
    ) -> tuple[Way, Asked | None, Reply | Ticket | None]:
        options = options_within() or self._options
        settings["multiplexed"] = False
        names = ("stream", "timeout", "verify", "cert", "proxies")
        way = _way(self._usual, request, {**dict(zip(names, arguments, strict=False)), **settings})
        asked = _asked(request, options, way)
        found = asked.of(self._driver.cache)
        return Way(self._adapter, request, arguments, settings), asked, found


class Cached:
    """A session whose adapters are all behind one cache."""

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.cache = cache = Cache() if cache is None else cache
        self._driver = Driver(cache, FAILURES)
        self._options = options


def is_http(url: str) -> bool:
    """Whether what is behind a URL is for the cache."""
    return url.lower().startswith(("http://", "https://"))


def head(response: Response) -> Head:
    """What came, for the cache."""
    raw: Any = response.raw
    headers = [(_bytes(name), _bytes(value)) for name, value in raw.headers.items()]
    return Head(raw.status, headers, raw.version)


def stored(
    request: PreparedRequest,
    reply: Reply,
    kind: Callable[..., Any],
    build: Callable[[PreparedRequest, Any], R],
) -> R:
    """The response from the cache, as adapters `build` it of a raw one, of this `kind`."""
    headers, message = HTTPHeaderDict(), Message()
    for name, value in spelled(reply):
        headers.add(name.decode("latin-1"), value.decode("latin-1"))
        message[name.decode("latin-1")] = value.decode("latin-1")
    body = reply.body
    raw = kind(
        body=BytesIO(body) if body is not None else Reader(iter(reply.next, None)),
        headers=headers,
        status=reply.status,
        reason=reason_of(reply.status),
        version=reply.version,
        preload_content=False,
        decode_content=False,
        # Where niquests finds cookies.
        original_response=SimpleNamespace(msg=message, isclosed=lambda: True, close=lambda: None),
        request_method=request.method,
        request_url=request.path_url,
    )
    if request.conn_info is None:
        # There was no connection; but what is asked most is the version.
        request.conn_info = ConnectionInfo()
        with suppress(ValueError):
            request.conn_info.http_version = HttpVersion(_VERSIONS.get(reply.version, "HTTP/1.1"))
    response = build(request, raw)
    INFOS[response] = reply.info
    return response


def passed(
    response: R, passing: Passing, kind: Callable[..., Any], recorded: Callable[[Any, Passing], Any]
) -> R:
    """The network's response, with a raw one of this `kind` where its body is to be `recorded`."""
    INFOS[response] = passing.info
    if passing.active:
        raw: Any = response.raw
        response.raw = kind(
            body=recorded(raw, passing),
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


class Reader:
    """Pieces of a body, as a file that urllib3 reads."""

    closed = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, amount: int | None = None) -> bytes:
        """So many bytes or fewer; all of them; or, where `amount` is negative, what comes next."""
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


def _usual_of(adapter: Any, plain: type) -> Transport:
    """How an adapter reaches origins, where a request does not say otherwise."""
    usual = _transport.of_environment()
    if type(adapter) is not plain:
        return _transport.own(usual, adapter)
    resolver = getattr(adapter, "_resolver", None)
    if resolver is None or type(resolver).__name__ == "SystemResolver":
        return usual
    names = [resolver] if isinstance(resolver, str) else resolver
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return usual if names == ["system://"] else usual.way(f"resolver:{' '.join(names)}")
    return _transport.own(usual, resolver)


def _way(usual: Transport, request: PreparedRequest, settings: dict[str, Any]) -> Transport:
    """How a request is sent with these settings."""
    way = _transport.of_tls(usual, settings.get("verify"), settings.get("cert"))
    proxies = settings.get("proxies")
    if proxies:
        proxy = niquests.utils.select_proxy(request.url or "", proxies)
        if proxy:
            way = way.proxy(_transport.proxy_url(proxy))
    return way


def own_timeout(settings: dict[str, Any], request: PreparedRequest) -> OwnTimeout | None:
    """For how long the origin may be silent, as the caller has it."""
    timeout: Any = settings.get("timeout")
    if isinstance(timeout, tuple):
        timeout = timeout[1] if len(timeout) > 1 else timeout[0]
    elif not isinstance(timeout, (int, float)):
        timeout = getattr(timeout, "_read", None)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        return None
    message = f"Read timed out. (read timeout={timeout})"
    return OwnTimeout(timeout, lambda: niquests.ReadTimeout(message, request=request))


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _asked(request: PreparedRequest, options: RequestOptions | None, way: Transport) -> Asked:
    sent = request.body
    body: bytes | None = None
    if sent is None or isinstance(sent, (str, bytes)):
        body = sent.encode() if isinstance(sent, str) else sent or b""
    elif hasattr(sent, "read"):
        body = reread(sent)
    headers = [(_bytes(name), _bytes(value)) for name, value in (request.headers or {}).items()]
    return Asked(request.method or "GET", request.url or "", headers, body, options, way)

"""niquests with a cache: an adapter around those that send, and a session whose adapters are all behind one.

An adapter sees every hop of a redirect with the session's headers, cookies and credentials, and bodies as they came,
before they are decoded. It does not see client certificates, unless they are given with the request or the session.
Requests that may share a connection (`multiplexed`) are sent one by one. There is nothing for `AsyncSession`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import niquests
from niquests.adapters import BaseAdapter, HTTPAdapter
from niquests.models import PreparedRequest, Response
from niquests.packages.urllib3 import HTTPHeaderDict, HTTPResponse
from niquests.structures import CaseInsensitiveDict

from . import _drive
from ._drive import Asked, Driver, Exchange, Head, Headers, Passing, options_within, request_options
from ._lacre import Cache, CacheInfo, Reply, Ticket
from ._options import RequestOptions

__all__ = ["CacheAdapter", "CachedSession", "cache_info", "request_options"]

_FAILURES = (niquests.ConnectionError, niquests.Timeout)
_INFOS: WeakKeyDictionary[Response, CacheInfo] = WeakKeyDictionary()


def cache_info(response: Response) -> CacheInfo | None:
    """What the cache did; None where it was not asked."""
    return _INFOS.get(response)


class CacheAdapter(BaseAdapter):
    """Answers from a cache, and sends through `adapter` what it cannot answer.

    `options` are those of every request that is made outside `request_options`. What is sent with a client certificate
    is not looked up, unless it has a `partition`.
    """

    def __init__(
        self,
        cache: Cache | Driver | None = None,
        adapter: BaseAdapter | None = None,
        *,
        options: RequestOptions | None = None,
    ) -> None:
        super().__init__()
        self._driver = cache if isinstance(cache, Driver) else Driver(cache or Cache(), _FAILURES)
        self._adapter = HTTPAdapter() if adapter is None else adapter
        self._blind = type(self._adapter) is not HTTPAdapter
        self._options = options

    @property
    def cache(self) -> Cache:
        """The cache."""
        return self._driver.cache

    def send(self, request: PreparedRequest, *arguments: Any, **settings: Any) -> Response:  # type: ignore[override]
        options = options_within() or self._options
        settings["multiplexed"] = False
        way = _Way(self._adapter, request, arguments, settings)
        asked = None if _hides(settings, options) else _asked(request, options)
        found = None if asked is None else asked.of(self._driver.cache)
        if asked is None or found is None:
            return way.send(None)
        if isinstance(found, Reply):
            if found.refresh is not None:
                self._refresh(way, asked, found.refresh)
            return _stored(request, found)
        owner = threading.get_ident()
        return self._answer(way, self._driver.exchange(asked, found, owner=owner, blind=self._blind))

    def close(self) -> None:
        self._adapter.close()

    def gather(self, *responses: Response, max_fetch: int | None = None) -> None:
        self._adapter.gather(*responses, max_fetch=max_fetch)

    def _answer(self, way: _Way, exchange: Exchange) -> Response:
        sent: list[Response] = []

        def send(headers: Headers | None) -> Head:
            while sent:
                sent.pop().close()
            sent.append(way.send(headers))
            raw: Any = sent[0].raw
            return Head(raw.status, [(_bytes(name), _bytes(value)) for name, value in raw.headers.items()])

        try:
            answer = _drive.carry_out(exchange, _FAILURES, send)
            if isinstance(answer, Passing):
                return _passed(sent.pop(), answer)
            return _stored(way.request, answer)
        finally:
            while sent:
                sent.pop().close()

    def _refresh(self, way: _Way, asked: Asked, ticket: Ticket) -> None:
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


class CachedSession(niquests.Session):
    """A session whose requests go through a cache, whatever is mounted. It takes what `niquests.Session` takes."""

    def __init__(
        self, cache: Cache | None = None, *, options: RequestOptions | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.cache = cache = Cache() if cache is None else cache
        self._driver = Driver(cache, _FAILURES)
        self._options = options

    def get_adapter(self, url: str) -> BaseAdapter:
        adapter = super().get_adapter(url)
        if not url.lower().startswith(("http://", "https://")):
            return adapter
        return CacheAdapter(self._driver, adapter, options=self._options)


class _Way:
    """The way of one request to the network."""

    def __init__(
        self, adapter: BaseAdapter, request: PreparedRequest, arguments: tuple[Any, ...], settings: dict[str, Any]
    ) -> None:
        self.request = request
        self._adapter, self._arguments, self._settings = adapter, arguments, settings

    def send(self, headers: Headers | None) -> Response:
        request = self.request
        if headers is not None:
            request = request.copy()
            request.headers = CaseInsensitiveDict(
                {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            )
        response = self._adapter.send(request, *self._arguments, **self._settings)
        response.request = self.request
        return response


def _hides(settings: dict[str, Any], options: RequestOptions | None) -> bool:
    """Whether a request shows who makes it in what the cache does not see."""
    return settings.get("cert") is not None and "partition" not in (options or {})


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _asked(request: PreparedRequest, options: RequestOptions | None) -> Asked:
    sent = request.body
    body: bytes | None = None
    if sent is None or isinstance(sent, (str, bytes)):
        body = sent.encode() if isinstance(sent, str) else sent or b""
    headers = [(_bytes(name), _bytes(value)) for name, value in (request.headers or {}).items()]
    return Asked(request.method or "GET", request.url or "", headers, body, options)


def _stored(request: PreparedRequest, reply: Reply) -> Response:
    headers, message = HTTPHeaderDict(), Message()
    for name, value in reply.headers:
        headers.add(name.decode("latin-1"), value.decode("latin-1"))
        message[name.decode("latin-1")] = value.decode("latin-1")
    reason = None
    with suppress(ValueError):
        reason = HTTPStatus(reply.status).phrase
    body = reply.body
    raw = HTTPResponse(
        body=BytesIO(body) if body is not None else _Reader(iter(reply.next, None)),  # type: ignore[arg-type]
        headers=headers,
        status=reply.status,
        reason=reason,
        version=11,
        preload_content=False,
        # Where niquests finds cookies.
        original_response=SimpleNamespace(msg=message, isclosed=lambda: True, close=lambda: None),  # type: ignore[arg-type]
        request_method=request.method,
    )
    response = _BUILDER.build_response(request, raw)
    _INFOS[response] = reply.info
    return response


def _passed(response: Response, passing: Passing) -> Response:
    _INFOS[response] = passing.info
    if passing.active:
        raw: Any = response.raw
        response.raw = HTTPResponse(
            body=_Recorded(raw, passing),  # type: ignore[arg-type]
            headers=raw.headers,
            status=raw.status,
            reason=raw.reason,
            version=raw.version,
            preload_content=False,
            original_response=raw._original_response,
            request_method=response.request.method if response.request else None,
        )
    return response


#: For what it makes of a response.
_BUILDER = HTTPAdapter()


class _Reader:
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


class _Recorded(_Reader):
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

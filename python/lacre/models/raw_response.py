"""The raw response of urllib3 for a cached response: bytes instead of a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from logging import getLogger
from typing import TYPE_CHECKING, Any

from urllib3._collections import HTTPHeaderDict
from urllib3.response import HTTPResponse
from urllib3.util.response import is_fp_closed

from .._repr import RichMixin

if TYPE_CHECKING:
    from requests import Response

    from .response import CachedResponse

_FIELDS = ("decode_content", "headers", "reason", "request_url", "status", "version")

logger = getLogger(__name__)


class CachedHTTPResponse(RichMixin, HTTPResponse):
    """A response of urllib3 whose body is in memory. After `reset`, it can be read again.

    Args:
        body: The body.
        kwargs: Arguments of `urllib3.HTTPResponse`, and `request_url`.
    """

    def __init__(self, body: bytes | None = None, **kwargs: Any) -> None:
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        super().__init__(body=BytesIO(body or b""), preload_content=False, **kwargs)
        self.decode_content = kwargs.get("decode_content")  # type: ignore[assignment]
        self.request_url: str | None = kwargs.get("request_url")
        self.was_read = False
        _rewind(self, body)

    @classmethod
    def from_response(cls, response: Response) -> CachedHTTPResponse:
        """Makes the raw response of a response; reads its body, which others can still read.

        Args:
            response: The response.
        """
        return cls.later(response)()

    @classmethod
    def later(cls, response: Response) -> Callable[[], CachedHTTPResponse]:
        """Returns a function that makes the raw response when needed. Reads the body now.

        Args:
            response: The response.
        """
        raw = response.raw
        kwargs = {name: getattr(raw, name, None) for name in _FIELDS}
        kwargs["request_url"] = getattr(raw, "_request_url", None)
        return partial(cls, body=_copy_body(response), **kwargs)

    @classmethod
    def from_cached_response(cls, response: CachedResponse) -> CachedHTTPResponse:
        """Makes the raw response of a stored response.

        Args:
            response: The response.
        """
        return cls(
            body=response._content or None,
            headers=HTTPHeaderDict(response.headers),
            reason=response.reason,
            status=response.status_code,
            request_url=response.request.url,
            # The version of HTTP is not stored.
            version=11,
        )

    def __rich_repr__(self) -> Iterator[tuple[str, Any, Any]]:
        defaults = (None, HTTPHeaderDict(), None, None, 0, 0)
        for name, default in zip(_FIELDS, defaults, strict=True):
            yield name, getattr(self, name), default

    @property
    def _request_url(self) -> str | None:
        return self.request_url

    @_request_url.setter
    def _request_url(self, value: str | None) -> None:
        self.request_url = value

    @property
    def closed(self) -> bool:
        """Whether the body was read, by the session or the caller. It can be read again."""
        return self.was_read or super().closed

    def release_conn(self) -> None:
        """Does nothing: there is no connection."""

    def read(  # type: ignore[override]
        self, amt: int | None = None, decode_content: bool | None = None, **_: Any
    ) -> bytes:
        """Reads from the body, which is already decoded.

        Args:
            amt: The maximum number of bytes; None for all.
            decode_content: Ignored.
        """
        if decode_content is False and "Content-Encoding" in self.headers:
            logger.warning("read(decode_content=False) is not supported for cached responses")
        if is_fp_closed(self._fp):
            return b""
        assert self._fp is not None
        data: bytes = self._fp.read(amt)
        if data:
            self._fp_bytes_read += len(data)
            if self.length_remaining is not None:
                self.length_remaining -= len(data)
        else:
            # Readers detect the end of the body by it.
            self._fp.close()
        return data

    def reset(self, body: bytes | None = None) -> None:
        """Rewinds to the beginning.

        Args:
            body: Another body to read from now on.
        """
        _rewind(self, body or self._body)  # type: ignore[arg-type]

    def stream(self, amt: int | None = None, **kwargs: Any) -> Iterator[bytes]:  # type: ignore[override]
        """Yields the rest of the body.

        Args:
            amt: The number of bytes in each piece.
            kwargs: Other arguments of `read`.
        """
        while self._fp is not None and not self._fp.closed:
            if piece := self.read(amt=amt, **kwargs):
                yield piece


def _copy_body(response: Response) -> bytes | None:
    """Returns the body as received, or decoded if it was read before; the response stays unread."""
    raw = response.raw
    if not getattr(raw, "_fp", None) or is_fp_closed(raw._fp):
        return response._content or None
    if getattr(raw, "_has_decoded_content", False):
        body = response.content
    else:
        body = raw.read(decode_content=False)
        _rewind(raw, body)
        # requests reads and decodes the body here, and keeps it.
        _ = response.content
    _rewind(raw, body)
    return body


def _rewind(raw: Any, body: bytes | None) -> None:
    body = body or b""
    raw._body = body
    raw._fp = BytesIO(body)
    raw._fp_bytes_read = 0
    raw.length_remaining = len(body)
    # The decoder has the state of the previous reading.
    raw._decoder, raw._has_decoded_content = None, False
    if hasattr(raw, "_decoder_initialized"):
        # The urllib3 of niquests has this flag.
        raw._decoder_initialized = False
    if getattr(raw, "_decoded_buffer", None) is not None:
        raw._decoded_buffer = type(raw._decoded_buffer)()

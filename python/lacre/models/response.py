"""The models of responses from the origin and from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Response
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from .._repr import RichMixin
from .._utils import copy_headers
from ..policy.expiration import ExpirationTime, add_tzinfo, get_expiration_datetime, utcnow
from .raw_response import CachedHTTPResponse
from .request import CachedRequest

if TYPE_CHECKING:
    from ..policy.actions import CacheActions

#: The attributes that are copied from a response of requests.
_TAKEN = (
    "content",
    "cookies",
    "elapsed",
    "encoding",
    "headers",
    "history",
    "reason",
    "request",
    "status_code",
    "url",
)

#: A JSON or text body as a value.
DecodedContent = dict[str, Any] | list[Any] | str | bool | int | float | None


class BaseResponse(Response):
    """A `requests.Response` with the attributes of cached and original responses."""

    created_at: datetime
    expires: datetime | None
    #: The key under which the response is stored.
    cache_key: str | None = ""
    #: Whether the origin has just validated the stored response.
    revalidated: bool = False

    @property
    def from_cache(self) -> bool:
        """Whether the response comes from the cache."""
        return False

    @property
    def is_expired(self) -> bool:
        """Whether the response has expired."""
        return False


class OriginalResponse(BaseResponse):
    """A response that comes from the origin."""

    expires = None

    def __init__(self) -> None:
        super().__init__()
        self.created_at = utcnow()

    @classmethod
    def wrap_response(cls, response: Response, actions: CacheActions) -> OriginalResponse:
        """Turns a response of requests into an `OriginalResponse`, in place.

        Args:
            response: The response.
            actions: The decisions about it: whether, where and until when it is stored.
        """
        if not isinstance(response, cls):
            response.__class__ = cls
            response.expires = None if actions.skip_write else actions.expires  # type: ignore[attr-defined]
            response.cache_key = None if actions.skip_write else actions.cache_key  # type: ignore[attr-defined]
            response.created_at = utcnow()  # type: ignore[attr-defined]
        return response  # type: ignore[return-value]


#: The fields of a stored response with their defaults. Responses with equal fields are equal.
_FIELDS: dict[str, Callable[[], Any]] = {
    "_content": lambda: None,
    "_decoded_content": lambda: None,
    "_next": lambda: None,
    "cookies": RequestsCookieJar,
    "created_at": utcnow,
    "elapsed": timedelta,
    "encoding": lambda: None,
    "expires": lambda: None,
    "headers": CaseInsensitiveDict,
    "history": list,
    "reason": lambda: None,
    "request": CachedRequest,
    "status_code": lambda: 0,
    "url": lambda: None,
}


class CachedResponse(RichMixin, BaseResponse):
    """A response that comes from the cache.

    Args:
        fields: Attributes of `requests.Response`, and `content`, `decoded_content` and `next`.
    """

    #: The source of fields that were not read yet; see `lazily`.
    _plain: Any = None
    _read: Callable[[Any, str], Any]
    _raw: CachedHTTPResponse | None = None
    _make_raw: Callable[[], CachedHTTPResponse] | None = None
    #: Whether the session was asked without `stream=True`, so that the body counts as read.
    _was_read: bool = False

    #: The adapter that received the response. requests asks it for proxies; there is none.
    connection: Any = None

    def __init__(self, **fields: Any) -> None:
        # `Response.__init__` would set the same attributes again.
        for name, default in _FIELDS.items():
            given = fields.pop(name.removeprefix("_"), None)
            setattr(self, name, default() if given is None else given)
        if fields:
            raise TypeError(f"CachedResponse has no field {next(iter(fields))!r}")
        self.expires = add_tzinfo(self.expires)

    @classmethod
    def lazily(cls, plain: Any, read: Callable[[Any, str], Any]) -> CachedResponse:
        """Makes a response whose fields are read on first access.

        Args:
            plain: The source of the fields.
            read: Reads a field by its name from the source.
        """
        response = cls.__new__(cls)
        own = response.__dict__
        own["_plain"], own["_read"] = plain, read
        return response

    def stored_header(self, name: str) -> str | None:
        """Returns a header of the response without building all headers.

        Args:
            name: The name of the header.
        """
        if "headers" in self.__dict__:
            return self.headers.get(name)
        found: str | None = self._plain.header(name)
        return found

    def requested_with(self, name: str) -> str | bytes | None:
        """Returns a header of the request without building the request.

        Args:
            name: The name of the header.
        """
        if "request" in self.__dict__:
            return self.request.headers.get(name)
        found: str | None = self._plain.request_header(name)
        return found

    @classmethod
    def from_response(cls, response: Response, **fields: Any) -> CachedResponse:
        """Copies a response of any type; reads its body if needed.

        Args:
            response: The response.
            fields: Attributes of the copy that differ.
        """
        if isinstance(response, CachedResponse):
            own = {name.removeprefix("_"): getattr(response, name) for name in _FIELDS}
            copy = cls(**{**own, **fields})
            copy.revalidated, copy.cache_key = response.revalidated, response.cache_key
        else:
            # First, since it reads the body if nothing has.
            make_raw = CachedHTTPResponse.later(response)
            own = {name: getattr(response, name) for name in _TAKEN}
            following = response.next
            own["next"] = CachedRequest.from_request(following) if following else None
            copy = cls(**{**own, **fields})
            copy._make_raw = make_raw
        # Redaction of the copy must not change the original.
        copy.headers = copy_headers(copy.headers)
        copy.request = CachedRequest.from_request(copy.request)  # type: ignore[assignment]
        # Each hop of requests has a history of its own, which is redundant.
        copy.history = [] if copy.is_redirect else [cls.from_response(hop) for hop in copy.history]
        return copy

    @property
    def raw(self) -> CachedHTTPResponse:
        """The raw response of urllib3, whose body can be read as a file."""
        if self._raw is None:
            make = self._make_raw
            self._raw = make() if make else CachedHTTPResponse.from_cached_response(self)
        self._raw.was_read = self._was_read
        return self._raw

    @raw.setter
    def raw(self, value: CachedHTTPResponse | None) -> None:
        self._raw = value

    def rewind(self) -> None:
        """Rewinds the body."""
        if self._raw is not None:
            self._raw.reset()

    @property
    def _content_consumed(self) -> bool:
        return True

    @_content_consumed.setter
    def _content_consumed(self, value: bool) -> None:
        """Ignores the assignment by requests: the value is always True."""

    @property
    def from_cache(self) -> bool:
        return True

    @property
    def is_expired(self) -> bool:
        expires = self.expires
        if expires is not None and expires.tzinfo is None:
            expires = add_tzinfo(expires)
        return expires is not None and utcnow() >= expires

    @property
    def expires_delta(self) -> int | None:
        """The rounded number of seconds until the response expires; None for never."""
        return None if self.expires is None else round((self.expires - utcnow()).total_seconds())

    @property
    def expires_unix(self) -> int | None:
        """The rounded time of expiry in seconds since 1970; None for never."""
        return None if self.expires is None else round(self.expires.timestamp())

    @property
    def size(self) -> int:
        """The length of the body in bytes."""
        return len(self.content or b"")

    @property
    def next(self) -> PreparedRequest | None:
        """The request that a redirect leads to, or None."""
        return self._next.prepare() if self._next else None  # type: ignore[func-returns-value]

    def is_older_than(self, older_than: ExpirationTime) -> bool:
        """Returns whether the response was received before a time.

        Args:
            older_than: A time, or an age in seconds or as a `timedelta`.
        """
        time = get_expiration_datetime(older_than, negative_delta=True)
        return time is not None and self.created_at < time

    def reset_expiration(self, expire_after: ExpirationTime) -> bool:
        """Sets a new lifetime, counted from now. Returns whether the response has expired.

        Args:
            expire_after: The lifetime.
        """
        self.expires = get_expiration_datetime(expire_after)
        return self.is_expired

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CachedResponse):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        state = {
            **{name: getattr(self, name) for name in _FIELDS},
            **self.__dict__,
            "_raw": None,
            "_make_raw": None,
        }
        return {name: value for name, value in state.items() if name not in ("_plain", "_read")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __rich_repr__(self) -> Iterator[tuple[str, Any, Any]]:
        for name, default in _FIELDS.items():
            # Bodies are long and may be private.
            if not name.startswith("_"):
                value = getattr(self, name)
                yield name, str(value) if isinstance(value, datetime) else value, default()

    def __str__(self) -> str:
        state = "stale" if self.is_expired else "fresh"
        return (
            f"<CachedResponse [{self.status_code}]: created: {_local(self.created_at)}, "
            f"expires: {_local(self.expires)} ({state}), size: {format_file_size(self.size)}, "
            f"request: {self.request}>"
        )


class _Field:
    """A descriptor that reads a field on first access and then sets it on the instance."""

    def __init__(self, name: str, default: Callable[[], Any]) -> None:
        self.name, self.default = name, default

    def __get__(self, response: CachedResponse | None, owner: type) -> Any:
        if response is None:
            return self
        own = response.__dict__
        if response._plain is None:
            raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}")
        value = own["_read"](own["_plain"], self.name)
        own[self.name] = value = self.default() if value is None else value
        return value


for _name, _default in _FIELDS.items():
    setattr(CachedResponse, _name, _Field(_name, _default))


def _local(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if time else "N/A"


def format_file_size(n_bytes: int | None) -> str:
    """Formats a number of bytes with a unit.

    Args:
        n_bytes: The number of bytes.
    """
    size = float(n_bytes or 0)
    if size < 1024:
        return f"{int(size)} bytes"
    for unit in ("KiB", "MiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.2f} {unit}"
    return f"{size / 1024:.2f} GiB"

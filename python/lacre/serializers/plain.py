"""The dict of plain data that requests-cache stores for a response, in all formats."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from requests.cookies import RequestsCookieJar, cookiejar_from_dict
from requests.structures import CaseInsensitiveDict

from .._utils import is_json_content_type
from ..models import CachedRequest, CachedResponse
from ..policy.expiration import add_tzinfo

Change = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _time(value: Any) -> datetime | None:
    return add_tzinfo(datetime.fromisoformat(value) if isinstance(value, str) else value)


def _duration(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=float(value))


def _bytes(value: Any) -> bytes:
    # DynamoDB returns its own class for bytes.
    return value if type(value) is bytes else bytes(getattr(value, "value", value))


@dataclass(frozen=True)
class Notation:
    """How a format represents bytes, times and durations."""

    bytes_out: Change = _same
    bytes_in: Change = _bytes
    time_out: Change = datetime.isoformat
    duration_out: Change = timedelta.total_seconds


PLAIN = Notation()
BASE64 = Notation(
    bytes_out=lambda value: b64encode(value).decode(),
    bytes_in=lambda value: b64decode(value, validate=True),
)
BSON = Notation(time_out=_same)
DYNAMODB = Notation(duration_out=lambda value: Decimal(str(value.total_seconds())))


def to_plain(response: CachedResponse, notation: Notation, decode_content: bool) -> dict[str, Any]:
    """Converts a response to a dict, without fields that have their default.

    Args:
        response: The response.
        notation: The notation of the format.
        decode_content: Store a JSON or text body as a value instead of bytes.
    """
    decoded = _decoded(response) if decode_content else None
    # The bytes are stored, too, if the value does not reproduce them exactly.
    again = (
        decoded is not None and _encoded(response, decoded["_decoded_content"]) == response._content
    )
    content = None if again else response._content
    plain: dict[str, Any] = {
        "_content": notation.bytes_out(content) if content is not None else None,
        "_next": _request_to_plain(response._next, notation) if response._next else None,
        "cookies": dict(response.cookies.items()),
        "created_at": notation.time_out(response.created_at),
        "elapsed": notation.duration_out(response.elapsed) if response.elapsed else None,
        "encoding": response.encoding,
        "expires": notation.time_out(response.expires) if response.expires else None,
        "headers": dict(response.headers),
        "history": [to_plain(hop, notation, decode_content) for hop in response.history],  # type: ignore[arg-type]
        "reason": response.reason,
        "request": _request_to_plain(response.request, notation),
        "status_code": response.status_code,
        "url": response.url,
    }
    # A JSON body may be null, so it is added after None values are removed.
    shown = {name: value for name, value in plain.items() if value not in (None, {}, [], 0)}
    return shown | (decoded or {})


class Readable(Protocol):
    """The source of fields: a dict or a `LazyDict`."""

    def get(self, name: str, /) -> Any: ...
    def __contains__(self, name: Any, /) -> bool: ...


#: The readers of the fields of a response.
_READERS: dict[str, Callable[[Any, Notation], Any]] = {
    "_content": lambda value, notation: notation.bytes_in(value or b""),
    "_next": lambda value, notation: _request_from_plain(value, notation) if value else None,
    "cookies": lambda value, _: _jar(value),
    "created_at": lambda value, _: _time(value),
    "elapsed": lambda value, _: _duration(value or 0),
    "encoding": lambda value, _: value,
    "expires": lambda value, _: _time(value),
    "headers": lambda value, _: CaseInsensitiveDict(value or {}),
    "history": lambda value, notation: [from_plain(hop, notation) for hop in value or []],
    "reason": lambda value, _: value,
    "request": lambda value, notation: _request_from_plain(value or {}, notation),
    "status_code": lambda value, _: int(value or 0),
    "url": lambda value, _: value,
}


def read_field(plain: Readable, name: str, notation: Notation = PLAIN) -> Any:
    """Reads a field that `to_plain` wrote; None if absent.

    Args:
        plain: The dict.
        name: The name of the field.
        notation: The notation of the format.
    """
    # An empty body differs from an absent one.
    if name not in _READERS or (name == "_content" and name not in plain):
        return None
    return _READERS[name](plain.get(name), notation)


def from_plain(plain: Readable, notation: Notation) -> CachedResponse:
    """Reads the response that `to_plain` or requests-cache wrote.

    Args:
        plain: The dict.
        notation: The notation of the format.

    Raises:
        ValueError, TypeError, AttributeError: The dict is no response.
    """
    response = CachedResponse(
        **{name.removeprefix("_"): read_field(plain, name, notation) for name in _READERS}
    )
    content = plain.get("_content")
    value = plain.get("_decoded_content")
    if value is not None and (content is None or _decoded(response) != {"_decoded_content": value}):
        # The bytes are absent, or the value was edited.
        response._content = _encoded(response, value)
        response.encoding = "utf-8"
        if "Content-Length" in response.headers:
            response.headers["Content-Length"] = str(len(response._content))
    return response


def _request_to_plain(request: Any, notation: Notation) -> dict[str, Any]:
    plain = {
        "body": notation.bytes_out(request.body or b""),
        "cookies": dict(request._cookies.items()) if request._cookies else {},
        "headers": dict(request.headers),
        "method": request.method,
        "url": request.url,
    }
    return {name: value for name, value in plain.items() if value not in (None, {})}


def _request_from_plain(plain: Mapping[str, Any], notation: Notation) -> CachedRequest:
    body = plain.get("body")
    return CachedRequest(
        body=notation.bytes_in(body) if body is not None else None,
        cookies=_jar(plain.get("cookies")),
        headers=CaseInsensitiveDict(plain.get("headers") or {}),
        method=plain.get("method"),
        url=plain.get("url"),
    )


def _jar(plain: Mapping[str, str] | None) -> RequestsCookieJar:
    return cookiejar_from_dict(dict(plain or {}))


def _decoded(response: CachedResponse) -> dict[str, Any] | None:
    content_type = response.headers.get("Content-Type", "")
    if is_json_content_type(content_type):
        try:
            return {"_decoded_content": response.json()}
        except ValueError:
            return None
    return {"_decoded_content": response.text} if content_type.startswith("text/") else None


def _encoded(response: CachedResponse, decoded: Any) -> bytes:
    """Encodes a body from its value; JSON as ujson writes it for requests-cache."""
    if is_json_content_type(response.headers.get("Content-Type")):
        decoded = json.dumps(decoded, default=_number, separators=(",", ":")).replace("/", "\\/")
    return str(decoded).encode()


def _number(value: Any) -> float | int:
    """Converts a `Decimal`, the only number type of DynamoDB."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    return int(value) if value == value.to_integral_value() else float(value)

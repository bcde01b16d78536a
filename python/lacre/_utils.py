"""Helpers that several modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from logging import getLogger
from threading import Lock
from typing import Any, NoReturn

from requests.structures import CaseInsensitiveDict

from ._bodies import rewindable_position

#: The fixed boundary of multipart bodies: equal uploads are equal bytes, and have equal keys.
FORM_BOUNDARY = "--requests-cache-form-boundary--"

logger = getLogger(__name__)


def chunkify(iterable: Iterable[Any] | None, max_size: int) -> Iterator[list[Any]]:
    """Yields lists of at most `max_size` items, in order."""
    items = list(iterable or [])
    for start in range(0, len(items), max_size):
        yield items[start : start + max_size]


def coalesce(*values: Any, default: Any = None) -> Any:
    """Returns the first value that is not None."""
    return next((value for value in values if value is not None), default)


def decode(value: str | bytes | None, encoding: str = "utf-8") -> str:
    """Returns the value as text; an empty one for None."""
    if isinstance(value, bytes):
        return value.decode(encoding)
    return value or ""


def encode(value: Any, encoding: str = "utf-8") -> bytes:
    """Returns the value as bytes; empty ones for None."""
    if isinstance(value, bytes):
        return value
    return str(value).encode(encoding) if value else b""


def copy_headers(headers: Mapping[str, Any] | None) -> CaseInsensitiveDict[Any]:
    """Copies headers, faster than `CaseInsensitiveDict.copy`."""
    if type(headers) is not CaseInsensitiveDict:
        return CaseInsensitiveDict(headers or {})
    copy = CaseInsensitiveDict.__new__(CaseInsensitiveDict)
    copy._store = headers._store.copy()
    return copy


def get_header(headers: Mapping[str, Any] | None, name: str) -> Any:
    """Returns the value of a header, or None; `name` is in lower case."""
    if type(headers) is not CaseInsensitiveDict:
        return CaseInsensitiveDict(headers or {}).get(name)
    # `headers.get` raises and catches a KeyError for an absent header, and most are absent.
    found = headers._store.get(name)
    return None if found is None else found[1]


def is_unrepeatable(body: Any) -> bool:
    """Returns whether a body can be read only once, so that it cannot be part of a key."""
    return (
        not (body is None or isinstance(body, str | bytes | bytearray))
        and rewindable_position(body) is None
    )


def try_int(value: Any) -> int | None:
    """Returns the value as an integer, or None if it is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def is_json_content_type(content_type: str | None) -> bool:
    """Returns whether a media type is JSON or based on it (`application/problem+json`)."""
    return bool(content_type and content_type.startswith("application/") and "json" in content_type)


def split_kwargs(
    func: Callable[..., Any], kwargs: Mapping[str, Any], extras: Iterable[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits arguments into those that `func` or `extras` name, and the others."""
    # The cache of `_parameters` would keep the object of a bound method alive.
    known = _parameters(getattr(func, "__func__", func)).union(extras or ())
    valid = {name: value for name, value in kwargs.items() if name in known}
    invalid = {name: value for name, value in kwargs.items() if name not in known}
    return valid, invalid


@lru_cache(maxsize=64)
def _parameters(func: Callable[..., Any]) -> frozenset[str]:
    from inspect import signature

    return frozenset(signature(func).parameters)


def get_valid_kwargs(
    func: Callable[..., Any], kwargs: Mapping[str, Any], extras: Iterable[str] | None = None
) -> dict[str, Any]:
    """Returns the arguments that `func` or `extras` name and that are not None."""
    valid, _ = split_kwargs(func, kwargs, extras)
    return {name: value for name, value in valid.items() if value is not None}


def get_placeholder_class(original_exception: Exception | None = None) -> type[Any]:
    """Returns a class that raises on use, in place of one whose library is not installed."""

    def refuse() -> NoReturn:
        message = "Dependencies are not installed for this feature"
        logger.error(message)
        raise original_exception or ImportError(message)

    class Placeholder:
        name = "placeholder"

        def __init__(self, *_args: Any, **_kwargs: Any) -> None:
            refuse()

        def dumps(self, *_args: Any, **_kwargs: Any) -> NoReturn:
            refuse()

        def loads(self, *_args: Any, **_kwargs: Any) -> NoReturn:
            refuse()

    return Placeholder


class _FixedBoundary:
    """Counts the threads that use the fixed boundary: urllib3 has one function for all threads."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.users = 0
        self.original: Callable[[], str] | None = None

    def enter(self) -> None:
        from urllib3 import filepost

        with self.lock:
            if self.users == 0:
                self.original = filepost.choose_boundary
                filepost.choose_boundary = lambda: FORM_BOUNDARY
            self.users += 1

    def leave(self) -> None:
        from urllib3 import filepost

        with self.lock:
            self.users -= 1
            if self.users == 0 and self.original is not None:
                filepost.choose_boundary = self.original


_fixed_boundary = _FixedBoundary()


@contextmanager
def patch_form_boundary() -> Iterator[None]:
    """Gives multipart bodies that are built within, in any thread, the boundary `FORM_BOUNDARY`."""
    _fixed_boundary.enter()
    try:
        yield
    finally:
        _fixed_boundary.leave()

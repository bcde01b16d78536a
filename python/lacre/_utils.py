"""What several modules need and none of them owns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from logging import getLogger
from threading import Lock
from typing import Any, NoReturn

from requests.structures import CaseInsensitiveDict

from ._bodies import place

#: The boundary of every multipart body, so that equal uploads are equal bytes.
FORM_BOUNDARY = "--requests-cache-form-boundary--"

logger = getLogger(__name__)


def chunkify(iterable: Iterable[Any] | None, max_size: int) -> Iterator[list[Any]]:
    """Lists of at most `max_size` items, in order."""
    items = list(iterable or [])
    for start in range(0, len(items), max_size):
        yield items[start : start + max_size]


def coalesce(*values: Any, default: Any = None) -> Any:
    """The first value that is not `None`."""
    return next((value for value in values if value is not None), default)


def decode(value: str | bytes | None, encoding: str = "utf-8") -> str:
    """The value as text; nothing is the empty text."""
    if isinstance(value, bytes):
        return value.decode(encoding)
    return value or ""


def encode(value: Any, encoding: str = "utf-8") -> bytes:
    """The value as bytes; nothing is no bytes."""
    if isinstance(value, bytes):
        return value
    return str(value).encode(encoding) if value else b""


def copy_headers(headers: Mapping[str, Any] | None) -> CaseInsensitiveDict[Any]:
    """The same headers. What requests has for that takes Python some ten steps for each of them."""
    if type(headers) is not CaseInsensitiveDict:
        return CaseInsensitiveDict(headers or {})
    copy = CaseInsensitiveDict.__new__(CaseInsensitiveDict)
    copy._store = headers._store.copy()
    return copy


def get_header(headers: Mapping[str, Any] | None, name: str) -> Any:
    """The value of a header, whose name is given in lower case; `None` if there is none."""
    if type(headers) is not CaseInsensitiveDict:
        return CaseInsensitiveDict(headers or {}).get(name)
    # To look for what is not there would be an exception, which most are not.
    found = headers._store.get(name)
    return None if found is None else found[1]


def is_unrepeatable(body: Any) -> bool:
    """Whether a request's body can be read only once, so that nothing can be said about it before it is sent."""
    return not (body is None or isinstance(body, str | bytes | bytearray)) and place(body) is None


def try_int(value: Any) -> int | None:
    """The value as a whole number, or `None` if it is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def is_json_content_type(content_type: str | None) -> bool:
    """Whether it names JSON or a format that is written in it (`application/problem+json`)."""
    return bool(content_type and content_type.startswith("application/") and "json" in content_type)


def split_kwargs(
    func: Callable[..., Any], kwargs: Mapping[str, Any], extras: Iterable[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that `func` names (or `extras` do), and the others."""
    # Not by a method, which would keep its object alive.
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
    """The arguments that `func` names (or `extras` do) and that are not `None`."""
    valid, _ = split_kwargs(func, kwargs, extras)
    return {name: value for name, value in valid.items() if value is not None}


def get_placeholder_class(original_exception: Exception | None = None) -> type[Any]:
    """A class in the place of one whose library is not installed: it says so when it is first used."""

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
    """How many threads want the fixed boundary at this moment: urllib3 has one function for all of them."""

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
    """Gives multipart bodies that are built meanwhile, in any thread, the boundary `FORM_BOUNDARY`."""
    _fixed_boundary.enter()
    try:
        yield
    finally:
        _fixed_boundary.leave()

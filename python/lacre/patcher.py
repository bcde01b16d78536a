"""The cache for everything that uses requests: `install_cache` puts a class of sessions in its place.

That is one setting of the whole process. Threads that must differ use `CachedSession`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import TYPE_CHECKING, Any

import requests
from requests import Session as OriginalSession

from .backends import init_backend
from .session import CachedSession

if TYPE_CHECKING:
    from .backends import BackendSpecifier, BaseCache, StrOrPath

__all__ = [
    "clear",
    "delete",
    "disabled",
    "enabled",
    "get_cache",
    "install_cache",
    "is_installed",
    "uninstall_cache",
]

logger = getLogger(__name__)


def install_cache(
    cache_name: StrOrPath = "http_cache",
    backend: BackendSpecifier | None = None,
    session_factory: type[OriginalSession] = CachedSession,
    **kwargs: Any,
) -> None:
    """Gives a cache to all functions of requests, and to every session that is made from now on.

    Args:
        session_factory: a class of sessions with `CacheMixin` among its bases
        kwargs: what `CachedSession` takes
    """
    shared = init_backend(cache_name, backend, **kwargs)
    # requests.get() and its like make a session each, and close it.
    kwargs.setdefault("autoclose", False)

    class ConfiguredCachedSession(session_factory):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(backend=shared, **kwargs)

    _use(ConfiguredCachedSession)


def uninstall_cache() -> None:
    """Takes it away again."""
    _use(OriginalSession)


@contextmanager
def disabled() -> Iterator[None]:
    """Without the cache meanwhile."""
    before = requests.Session
    uninstall_cache()
    try:
        yield
    finally:
        _use(before)


@contextmanager
def enabled(*args: Any, **kwargs: Any) -> Iterator[None]:
    """With a cache meanwhile; takes what `install_cache` takes."""
    install_cache(*args, **kwargs)
    try:
        yield
    finally:
        uninstall_cache()


def get_cache() -> BaseCache | None:
    """The cache that is installed, if one is."""
    return getattr(requests.Session(), "cache", None)


def is_installed() -> bool:
    """Whether one is."""
    return isinstance(requests.Session(), CachedSession)


def clear() -> None:
    """Deletes everything in the cache that is installed."""
    cache = get_cache()
    if cache is not None:
        cache.clear()


def delete(*args: Any, **kwargs: Any) -> None:
    """Deletes from the cache that is installed what fits the conditions of `BaseCache.delete`."""
    cache = get_cache()
    if cache is not None:
        cache.delete(*args, **kwargs)


def _use(session_class: type[OriginalSession]) -> None:
    logger.debug("requests.Session is now %s", session_class.__name__)
    requests.Session = requests.sessions.Session = session_class  # type: ignore[misc]

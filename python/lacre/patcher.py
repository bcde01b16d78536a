"""Caching for all users of requests: `install_cache` replaces `requests.Session`.

This is global to the process. Threads that need different settings use `CachedSession`.
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
    """Gives a cache to all functions of requests, and to every session made from now on.

    Args:
        cache_name: The path, prefix or namespace of the cache, depending on the backend.
        backend: A backend or its alias; see `CachedSession`.
        session_factory: A session class with `CacheMixin` among its bases.
        kwargs: Other arguments of `CachedSession`.
    """
    shared = init_backend(cache_name, backend, **kwargs)
    # `requests.get` and the like make a session for each call and close it.
    kwargs.setdefault("autoclose", False)

    class ConfiguredCachedSession(session_factory):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(backend=shared, **kwargs)

    _use(ConfiguredCachedSession)


def uninstall_cache() -> None:
    """Restores `requests.Session`."""
    _use(OriginalSession)


@contextmanager
def disabled() -> Iterator[None]:
    """Disables the installed cache within a `with` block."""
    before = requests.Session
    uninstall_cache()
    try:
        yield
    finally:
        _use(before)


@contextmanager
def enabled(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Installs a cache within a `with` block.

    Args:
        args: Arguments of `install_cache`.
        kwargs: Keyword arguments of `install_cache`.
    """
    install_cache(*args, **kwargs)
    try:
        yield
    finally:
        uninstall_cache()


def get_cache() -> BaseCache | None:
    """Returns the installed cache, or None."""
    return getattr(requests.Session(), "cache", None)


def is_installed() -> bool:
    """Returns whether a cache is installed."""
    return isinstance(requests.Session(), CachedSession)


def clear() -> None:
    """Deletes everything from the installed cache."""
    cache = get_cache()
    if cache is not None:
        cache.clear()


def delete(*args: Any, **kwargs: Any) -> None:
    """Deletes responses from the installed cache.

    Args:
        args: Keys, as for `BaseCache.delete`.
        kwargs: Conditions, as for `BaseCache.delete`.
    """
    cache = get_cache()
    if cache is not None:
        cache.delete(*args, **kwargs)


def _use(session_class: type[OriginalSession]) -> None:
    logger.debug("requests.Session is now %s", session_class.__name__)
    requests.Session = requests.sessions.Session = session_class  # type: ignore[misc]

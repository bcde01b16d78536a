"""The fast path of a session: it answers a GET from a fresh stored response without a request.

It skips the preparation of a request by requests. Every case that needs a decision takes the normal
path through `CachedSession.send`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from requests import PreparedRequest, RequestException, Session
from requests.structures import CaseInsensitiveDict

from . import _lacre
from .backends import BaseCache
from .policy import BYPASS_HEADER, DO_NOT_CACHE, METHOD_OVERRIDE_HEADERS

if TYPE_CHECKING:
    from .models import CachedResponse
    from .policy import CacheSettings, ExpirationTime
    from .session import CacheMixin

#: Arguments that neither affect the key nor the cache. Those that become a header, as cookies do,
#: matter only if `Vary` names it.
_NEUTRAL = frozenset({"allow_redirects", "cookies", "params", "proxies", "stream", "timeout"})
#: Variables that name the certificates of requests.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Request headers that affect the cache.
_CACHE_AFFECTING = frozenset(
    name.lower()
    for name in ("Cache-Control", "Host", "Range", BYPASS_HEADER, *METHOD_OVERRIDE_HEADERS)
)
#: Names in `Vary` that requests adds late, or that never match.
_ADDED_LATE = frozenset({"*", "authorization", "cookie"})
#: The limits of remembered keys, and of the length of their URLs and parameters.
_MAX_KEYS, _MAX_NAME_LENGTH = 10_000, 2_000

#: The bounds of ordinary lifetimes, which are neither constants nor over at once.
_SOME_TIME, _MAX_SECONDS = timedelta(seconds=1), 10**9

_create_key = BaseCache.create_key
_get_response = BaseCache.get_response
_prepare_request = Session.prepare_request
_merge_environment_settings = Session.merge_environment_settings


class Missed(NamedTuple):
    """The result of a lookup that found nothing, so that it is not repeated."""

    key: str
    #: How many requests had ended by then, in the cache's `Herd`.
    ended: int


class Shortcut:
    """The way of one session; it remembers the keys of URLs."""

    def __init__(self) -> None:
        self._known: tuple[tuple[Any, ...], dict[Any, str]] = ((), {})

    def find(
        self,
        session: CacheMixin,
        url: Any,
        headers: Mapping[str, Any] | None,
        options: dict[str, Any],
    ) -> CachedResponse | Missed | None:
        """Returns the fresh stored response to a GET request; None to take the normal path.

        Args:
            options: what `requests.Session.request` takes besides
        """
        cache = session.cache
        settings = cache._settings
        if not (
            type(url) is str
            and _is_neutral(session, options)
            and _has_own_ways_only(cache)
            and _is_simple(settings)
            and _says_nothing(session.headers)
        ):
            return None
        own = CaseInsensitiveDict(headers) if headers else None
        if own is not None and not _says_nothing(own):
            return None
        params = options.get("params")
        if session.params:
            params = _merged(session.params, params)
        key = self._key(cache, url, params)
        if key is None:
            return None
        ended = cache._herd.ended
        try:
            response = cache.get_response(key)
        except Exception as error:
            if not session._fault_tolerance.tolerates("read", error):
                raise
            return None
        if response is None:
            return Missed(key, ended)
        if response.is_expired:
            return None
        return response if _fits(response, settings, session.headers, own) else None

    def _key(self, cache: BaseCache, url: str, params: Any) -> str | None:
        """Returns the key of a GET request; None to take the normal path."""
        settings = cache._settings
        ignored = tuple(settings.ignored_parameters or ())
        serializer = cache.responses.serializer
        made_for, keys = self._known
        if made_for != (cache, serializer, ignored):
            keys = {}
            self._known = (cache, serializer, ignored), keys
        name = _name(url, params)
        if name is None:
            return None
        key = keys.get(name)
        if key is None:
            key = _make_key(cache, url, params, ignored)
            if key is not None and len(repr(name)) <= _MAX_NAME_LENGTH:
                if len(keys) >= _MAX_KEYS:
                    keys.clear()
                keys[name] = key
        return key


def is_default_lifetime(expire_after: ExpirationTime) -> bool:
    """Returns whether a lifetime only affects storing, not the use of a stored response."""
    if isinstance(expire_after, timedelta):
        return expire_after >= _SOME_TIME
    return type(expire_after) is int and 0 < expire_after < _MAX_SECONDS


def _is_neutral(session: CacheMixin, options: dict[str, Any]) -> bool:
    """Returns whether neither session nor request changes what is sent or returned."""
    for name, value in options.items():
        if (
            value is not None
            and name not in _NEUTRAL
            and not (name == "auth" and type(value) is tuple)
        ):
            return False
    cls = type(session)
    own = session.__dict__
    return (
        cls.prepare_request is _prepare_request
        and cls.merge_environment_settings is _merge_environment_settings
        and "send" not in own
        and "prepare_request" not in own
        and (session.auth is None or type(session.auth) is tuple)
        and not session.hooks.get("response")
        and session.verify is True
        and session.cert is None
        and not (session.trust_env and any(name in os.environ for name in _BUNDLES))
        and not getattr(session._sending, "bypasses", False)
    )


def _has_own_ways_only(cache: BaseCache) -> bool:
    cls = type(cache)
    own = cache.__dict__
    return (
        cls.create_key is _create_key
        and cls.get_response is _get_response
        and "create_key" not in own
        and "get_response" not in own
    )


def _is_simple(settings: CacheSettings) -> bool:
    """Whether a response that is stored and fresh is all that is wanted."""
    return not (
        settings.disabled
        or settings.always_revalidate
        or settings.match_headers
        or settings.key_fn
        or settings.filter_fn
        or settings.expire_after == DO_NOT_CACHE
        or (settings.urls_expire_after and DO_NOT_CACHE in settings.urls_expire_after.values())
        or "GET" not in settings.allowable_methods
    )


def _says_nothing(headers: Any) -> bool:
    return type(headers) is CaseInsensitiveDict and _CACHE_AFFECTING.isdisjoint(headers._store)


def _merged(defaults: Any, params: Any) -> Any:
    """Merges the parameters of session and request; a nameless value for other cases."""
    if type(defaults) is not dict or not (params is None or type(params) is dict):
        return (defaults, params)
    return {**defaults, **(params or {})}


def _name(url: str, params: Any) -> Any:
    """Returns the name of a request. Equal numbers may be sent differently: `1 == True`."""
    if not params:
        return url
    if type(params) is not dict:
        return None
    for name, value in params.items():
        if type(name) is not str or type(value) not in (str, int):
            return None
    return (url, *params.items())


def _make_key(cache: BaseCache, url: str, params: Any, ignored: tuple[str, ...]) -> str | None:
    if not params:
        key = _lacre.plain_key(url, ignored, str(cache.responses.serializer))
        if key is not None:
            return key
    request = PreparedRequest()
    try:
        request.prepare_method("GET")
        request.prepare_url(url, params)
    except (RequestException, ValueError):
        # Whoever sends it will say so.
        return None
    request.headers = CaseInsensitiveDict()
    return cache.create_key(request)


def _fits(
    response: CachedResponse,
    settings: CacheSettings,
    defaults: CaseInsensitiveDict[str],
    headers: CaseInsensitiveDict[Any] | None,
) -> bool:
    """Returns whether the origin allows its use for this request, as far as known here."""
    if settings.cache_control:
        said = (response.stored_header("Cache-Control") or "").lower()
        if "no-cache" in said or "must-revalidate" in said:
            return False
    vary = response.stored_header("Vary")
    if not vary:
        return True
    if response.history:
        return False
    ignored = {name.lower() for name in settings.ignored_parameters or ()}
    for name in vary.lower().split(","):
        name = name.strip()
        if name in _ADDED_LATE or name in ignored:
            return False
        ours = headers[name] if headers is not None and name in headers else defaults.get(name)
        if ours != response.requested_with(name):
            return False
    return True

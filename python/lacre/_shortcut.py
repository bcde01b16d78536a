"""Answers at once what needs no decision: a GET whose stored response is fresh, and fits.

It only leaves work out: requests would prepare what is not looked at here. Whatever could lead anywhere else goes
the long way, through `CachedSession.send`, which decides everything.
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

#: What a request may have besides its URL, and neither tells it from others nor is heard by the cache. What becomes
#: a header, as cookies do, counts only where `Vary` names it.
_NEUTRAL = frozenset({"allow_redirects", "cookies", "params", "proxies", "stream", "timeout"})
#: What requests verifies certificates against instead of its own.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Headers of a request of which the cache thinks something.
_CACHE_AFFECTING = frozenset(
    name.lower()
    for name in ("Cache-Control", "Host", "Range", BYPASS_HEADER, *METHOD_OVERRIDE_HEADERS)
)
#: What `Vary` may name and requests adds to a request late, or that never matches.
_ADDED_LATE = frozenset({"*", "authorization", "cookie"})
#: How many keys are remembered, and how long a URL may be for that, with its parameters.
_MOST_KEYS, _LONGEST_NAME = 10_000, 2_000

#: What is neither over when it is read again, nor one of the constants, in seconds too.
_SOME_TIME, _MAX_SECONDS = timedelta(seconds=1), 10**9

_create_key = BaseCache.create_key
_get_response = BaseCache.get_response
_prepare_request = Session.prepare_request
_merge_environment_settings = Session.merge_environment_settings


class Missed(NamedTuple):
    """That nothing is stored for a request, which is to be sent: what need not be found out once more."""

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
        """The response to a GET request, if it is stored, fresh, and the one for these headers. None: that takes more to tell.

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
        """The key of a GET request; `None` if it takes more to make it."""
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
            if key is not None and len(repr(name)) <= _LONGEST_NAME:
                if len(keys) >= _MOST_KEYS:
                    keys.clear()
                keys[name] = key
        return key


def is_default_lifetime(expire_after: ExpirationTime) -> bool:
    """Whether what is given says only for how long a response is to be stored, not that a stored one will not do."""
    if isinstance(expire_after, timedelta):
        return expire_after >= _SOME_TIME
    return type(expire_after) is int and 0 < expire_after < _MAX_SECONDS


def _is_neutral(session: CacheMixin, options: dict[str, Any]) -> bool:
    """Whether neither the session nor the request has anything that changes what would be sent, or what comes of it."""
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
    """The parameters of the session with those of a request; something without a name if it takes more to tell."""
    if type(defaults) is not dict or not (params is None or type(params) is dict):
        return (defaults, params)
    return {**defaults, **(params or {})}


def _name(url: str, params: Any) -> Any:
    """What a request is remembered under. Equal ones are prepared alike, which numbers need not be: `1 == True`."""
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
    """Whether the origin lets it be used for this request, as far as can be told without preparing one."""
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

"""The decisions about one request: read, send, validate, store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from logging import DEBUG, getLogger
from time import monotonic
from typing import TYPE_CHECKING, Any

from .._repr import RichMixin
from .._utils import coalesce, decode, get_header, try_int
from .directives import CacheDirectives
from .expiration import (
    DO_NOT_CACHE,
    EXPIRE_IMMEDIATELY,
    NEVER_EXPIRE,
    ExpirationTime,
    get_expiration_datetime,
    get_expiration_seconds,
    get_url_expiration,
    utcnow,
)
from .settings import CacheSettings

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    from ..models import AnyRequest, CachedResponse

#: Headers that override the method of a request.
METHOD_OVERRIDE_HEADERS = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]

logger = getLogger(__name__)


@dataclass(repr=False)
class CacheActions(RichMixin):
    """The decisions about one request, updated as more is known.

    `from_request` makes them; `CachedSession.send` carries them out.

    Args:
        cache_key: The key of the response.
        error_504: Answer with status 504: no stored response can be used, and sending is forbidden.
        expire_after: The lifetime of a new response, from the most specific source.
        send_request: Send the request because no response is stored.
        resend_request: Send the request because the stored response is stale or must be validated.
        resend_async: Send the request in the background and use the stored response meanwhile.
        skip_read: Do not read from the cache.
        skip_write: Do not write to the cache.
        vary_cache_key: The key of the variant of this request, if another variant is stored.
        directives: The caching directives of the request.
        settings: The settings of the session.
        request: The request.
        only_if_cached: Never send the request.
        refresh: Validate a stored response before it is used.
        stale_if_error: How stale a response may be if the request fails.
        stale_while_revalidate: How stale a response may be while it is refreshed.
    """

    cache_key: str | None = field(default=None, repr=False)
    error_504: bool = False
    expire_after: ExpirationTime = None
    send_request: bool = False
    resend_request: bool = False
    resend_async: bool = False
    skip_read: bool = False
    skip_write: bool = False
    vary_cache_key: str | None = None

    directives: CacheDirectives = field(default_factory=CacheDirectives, repr=False)
    settings: CacheSettings = field(default_factory=CacheSettings, repr=False)
    request: Any = field(default=None, repr=False)
    only_if_cached: bool = field(default=False, repr=False)
    refresh: bool = field(default=False, repr=False)
    stale_if_error: bool | ExpirationTime = field(default=None, repr=False)
    stale_while_revalidate: bool | ExpirationTime = field(default=None, repr=False)
    #: The monotonic time of the lookup. Later changes of the cache are not considered.
    decided: float = field(default_factory=monotonic, init=False, repr=False, compare=False)
    _validation_demanded: bool = field(default=False, init=False, repr=False)
    _validation_headers: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_request(
        cls, cache_key: str | None, request: AnyRequest, settings: CacheSettings | None = None
    ) -> CacheActions:
        """Decides from the request and the settings whether to read from the cache.

        `must-revalidate` in a request asks for a refresh. `max-age=0` would mean the same, but
        already states an `expire_after`.

        Args:
            cache_key: The key of the response.
            request: The request.
            settings: The settings of the session.
        """
        settings = settings or CacheSettings()
        directives = CacheDirectives.from_headers(request.headers)
        expire_after = coalesce(
            directives.max_age,
            get_url_expiration(decode(request.url), settings.urls_expire_after),
            settings.expire_after,
        )
        reasons = {
            "disabled cache": settings.disabled,
            "disabled method": not _is_method_allowed(request, settings),
            "no-cache or no-store": directives.no_cache or directives.no_store,
            "disabled by expiration": directives.actual_no_cache or expire_after == DO_NOT_CACHE,
            "a part only": _asks_for_a_part(request, settings),
        }
        return cls(
            cache_key=cache_key,
            directives=directives,
            expire_after=DO_NOT_CACHE if directives.actual_no_cache else expire_after,
            only_if_cached=settings.only_if_cached or directives.only_if_cached,
            refresh=directives.max_age == EXPIRE_IMMEDIATELY or directives.must_revalidate,
            request=request,
            settings=settings,
            skip_read=_any("not read", reasons),
            skip_write=directives.no_store or reasons["a part only"],
            stale_if_error=settings.stale_if_error or directives.stale_if_error,
            stale_while_revalidate=settings.stale_while_revalidate
            or directives.stale_while_revalidate,
        )

    @property
    def expires(self) -> datetime | None:
        """When a response that is stored now expires."""
        return get_expiration_datetime(self.expire_after)

    @property
    def conditions(self) -> dict[str, str]:
        """The conditional headers of the request."""
        return self._validation_headers

    def is_usable(self, cached_response: CachedResponse | None, error: bool = False) -> bool:
        """Returns whether a stored response is fresh, or is not too stale to be used.

        Args:
            cached_response: The stored response.
            error: Whether the request failed, so that `stale-if-error` applies.
        """
        if cached_response is None:
            return False
        allowed = [self.stale_while_revalidate] if cached_response.is_expired else []
        if error:
            allowed.append(self.stale_if_error)
            if self._validation_demanded and not self.stale_if_error:
                return False
        if cached_response.expires is None or any(staleness is True for staleness in allowed):
            return True
        allowed = [staleness for staleness in allowed if staleness]
        if allowed:
            offset = timedelta(seconds=max(map(get_expiration_seconds, allowed)))
        else:
            offset = self.directives.get_expire_offset()
        return utcnow() - offset < cached_response.expires

    def update_from_cached_response(
        self,
        cached_response: CachedResponse | None,
        create_key: Callable[..., str] | None = None,
        **key_kwargs: Any,
    ) -> None:
        """Decides whether to use a stored response, validate it, or send the request.

        Args:
            cached_response: The stored response, or None.
            create_key: Computes the keys that compare `Vary`; without it, `Vary` is ignored.
            key_kwargs: More arguments of `create_key`.
        """
        if cached_response is not None and self.settings.cache_control:
            self._take_allowances(cached_response)
        if create_key and not self._vary_matches(cached_response, create_key, key_kwargs):
            cached_response = None
        usable = self.is_usable(cached_response)
        usable_offline = usable or self.is_usable(cached_response, error=True)

        if cached_response is None or not usable_offline:
            self.error_504 = self.only_if_cached
        if cached_response is None:
            self.send_request = not self.only_if_cached
            return
        if self.only_if_cached:
            self.resend_async = bool(
                usable and cached_response.is_expired and self.stale_while_revalidate
            )
            return
        if not usable:
            self.resend_request = True
        elif cached_response.is_expired and self.stale_while_revalidate:
            self.resend_async = True
        self._validate(cached_response)
        logger.debug("after reading: %s", self)

    def update_from_response(self, response: Response) -> None:
        """Decides whether to store a new response and for how long.

        Args:
            response: The response.
        """
        directives = CacheDirectives.from_headers(response.headers)
        if self.settings.cache_control:
            self._take_freshness(directives, response)
        callback = self.settings.filter_fn
        stale_for_ever = self.expire_after == EXPIRE_IMMEDIATELY and not directives.has_validator
        reasons = {
            "disabled cache": self.settings.disabled,
            "disabled method": not _is_method_allowed(response.request, self.settings),
            "disabled status": response.status_code not in self.settings.allowable_codes,
            "disabled by filter": callback is not None and not callback(response),
            "disabled by headers": self.skip_write,
            "disabled by expiration": self.expire_after == DO_NOT_CACHE or stale_for_ever,
            "read-only": self.settings.read_only,
        }
        self.skip_write = _any("not stored", reasons)

    def update_request(self, request: PreparedRequest) -> PreparedRequest:
        """Makes a request conditional if a stored response is to be validated.

        Args:
            request: The request.
        """
        if self._validation_headers:
            request.headers.update(self._validation_headers)
        return request

    def update_revalidated_response(
        self, response: Response, cached_response: CachedResponse
    ) -> CachedResponse:
        """Updates a stored response with a 304 (RFC 9111 §4.3.4).

        It is written again only if it changes. Validators that the 304 lacks are kept.

        Args:
            response: The 304.
            cached_response: The stored response.
        """
        expires = self.expires
        changed = expires != cached_response.expires or any(
            cached_response.headers.get(name) != value for name, value in response.headers.items()
        )
        forbidden = self.settings.read_only or self.settings.disabled or self.directives.no_store
        self.skip_write = forbidden or not changed

        cached_response.expires = expires
        cached_response.headers.update(response.headers)
        if "Transfer-Encoding" in cached_response.headers:
            cached_response.headers.pop("Content-Length", None)
        cached_response.revalidated = True
        return cached_response

    def _take_allowances(self, cached_response: CachedResponse) -> None:
        """Returns how stale a response may be by the directives of the origin."""
        allowed = CacheDirectives.from_headers(cached_response.headers)
        if allowed.must_revalidate or allowed.no_cache:
            return
        self.stale_if_error = self.stale_if_error or allowed.stale_if_error
        self.stale_while_revalidate = self.stale_while_revalidate or allowed.stale_while_revalidate

    def _take_freshness(self, directives: CacheDirectives, response: Response) -> None:
        """Returns the freshness lifetime that the origin states; unlimited for `immutable`."""
        self.stale_if_error = self.stale_if_error or directives.stale_if_error
        self.skip_write = self.skip_write or directives.no_store
        if self.expire_after == DO_NOT_CACHE:
            return
        if directives.immutable:
            self.expire_after = NEVER_EXPIRE
        elif directives.max_age is not None:
            age = try_int(response.headers.get("Age")) or 0
            self.expire_after = max(directives.max_age - max(age, 0), EXPIRE_IMMEDIATELY)
        elif directives.expires is not None:
            readable = get_expiration_datetime(directives.expires, ignore_invalid_httpdate=True)
            # An invalid date is in the past (RFC 9111 §5.3).
            self.expire_after = EXPIRE_IMMEDIATELY if readable is None else directives.expires

    def _validate(self, cached_response: CachedResponse) -> None:
        """Validates the stored response if the user or the origin requires it."""
        stored = CacheDirectives.from_headers(cached_response.headers)
        wanted = cached_response.is_expired or self.refresh or self.settings.always_revalidate
        demanded = self.settings.cache_control and (stored.no_cache or stored.must_revalidate)
        if not (demanded or (wanted and stored.has_validator)):
            return
        self._validation_demanded = demanded
        if stored.etag:
            self._validation_headers["If-None-Match"] = stored.etag
        if stored.last_modified:
            self._validation_headers["If-Modified-Since"] = stored.last_modified
        self.resend_request = True

    def _vary_matches(
        self,
        cached_response: CachedResponse | None,
        create_key: Callable[..., str],
        key_kwargs: dict[str, Any],
    ) -> bool:
        """Returns whether the stored variant matches; if not, sets the key of the other variant."""
        if cached_response is None:
            return True
        names = [
            name.strip().lower() for name in (cached_response.headers.get("Vary") or "").split(",")
        ]
        names = [name for name in names if name]
        if not names:
            return True
        if "*" in names:
            return False
        # After redirects, the response is for the headers of the last request.
        chain = cached_response.history
        answered = chain[-1].request if chain else cached_response.request
        # requests keeps cookies separate from the headers.
        if "cookie" in names:
            if _cookies(answered) != _cookies(self.request):
                logger.debug("Vary: cookies differ")
                return False
            names.remove("cookie")
        if not names:
            return True
        # The stored request lacks the values of ignored headers.
        ignored = {name.lower() for name in self.settings.ignored_parameters or ()}
        if any(name in ignored and name in self.request.headers for name in names):
            logger.debug("Vary: names an ignored header")
            return False
        key = create_key(self.request, match_headers=names, **key_kwargs)
        if key == create_key(answered, match_headers=names, **key_kwargs):
            return True
        _log_differences(self.request.headers, answered.headers, names)
        self.vary_cache_key = create_key(
            self.request, match_headers=self._merged(names), **key_kwargs
        )
        return False

    def _merged(self, vary: list[str]) -> list[str] | bool:
        """Returns the headers that `Vary` and the user name."""
        wanted = self.settings.match_headers
        if isinstance(wanted, bool):
            return wanted or vary
        return sorted({*vary, *(name.lower() for name in wanted)})


def _is_method_allowed(request: AnyRequest, settings: CacheSettings) -> bool:
    """Checks the method of the request, or the one of an override header."""
    if request.method is not None and request.method in settings.allowable_methods:
        return True
    methods = [get_header(request.headers, name.lower()) for name in METHOD_OVERRIDE_HEADERS]
    return any(method is not None and method in settings.allowable_methods for method in methods)


def _asks_for_a_part(request: AnyRequest, settings: CacheSettings) -> bool:
    """Returns whether a partial response would be stored under the key of the complete one."""
    if get_header(request.headers, "range") is None or settings.key_fn is not None:
        return False
    matched = settings.match_headers
    return (
        not matched
        if isinstance(matched, bool)
        else "range" not in {name.lower() for name in matched}
    )


def _cookies(request: Any) -> list[str]:
    """Returns the cookies that a request sends: its header, or else its jar."""
    header = decode((request.headers or {}).get("Cookie"))
    if header:
        return sorted(pair.strip() for pair in header.split(";"))
    jar = getattr(request, "_cookies", None) or getattr(request, "cookies", None) or {}
    return sorted(f"{name}={value}" for name, value in jar.items())


def _any(consequence: str, reasons: dict[str, bool]) -> bool:
    if not any(reasons.values()):
        return False
    if logger.isEnabledFor(DEBUG):
        logger.debug(
            "%s: %s", consequence, ", ".join(name for name, holds in reasons.items() if holds)
        )
    return True


def _log_differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], names: list[str]) -> None:
    if logger.isEnabledFor(DEBUG):
        different = [name for name in names if decode(ours.get(name)) != decode(theirs.get(name))]
        logger.debug("Vary: %s differ", ", ".join(different))

"""Sessions of requests with a cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from logging import getLogger
from os import urandom
from threading import Lock, Thread, get_ident, local
from time import monotonic
from typing import TYPE_CHECKING, Any

from requests import ReadTimeout
from requests import Session as OriginalSession
from requests.hooks import dispatch_hook

from ._herd import PATIENCE, Beside, Lead, TimedOut, Wait, Waited
from ._shortcut import Missed, Shortcut, is_default_lifetime
from ._utils import get_valid_kwargs, is_unrepeatable, patch_form_boundary
from .backends import init_backend
from .backends._tolerance import FaultTolerance
from .models import CachedResponse, OriginalResponse
from .policy import (
    BYPASS_HEADER,
    DEFAULT_CACHE_NAME,
    DEFAULT_IGNORED_PARAMS,
    DEFAULT_METHODS,
    DEFAULT_STATUS_CODES,
    CacheActions,
    CacheSettings,
    set_request_headers,
)
from .serializers import choose_serializer

if TYPE_CHECKING:
    from requests import PreparedRequest, Response
    from requests.adapters import BaseAdapter

    from .backends import BackendSpecifier, BaseCache, StrOrPath
    from .models import AnyResponse
    from .policy import ExpirationPatterns, ExpirationTime, FilterCallback, KeyCallback
    from .serializers import SerializerType
    from .serializers.sealed import SecretKey

    _Session = OriginalSession
else:
    _Session = object

__all__ = ["CacheMixin", "CachedSession"]

#: Safe methods (RFC 9110 §9.2.1). A successful response to any other method invalidates stored
#: responses (RFC 9111 §4.4).
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
#: The statuses that count as an error for stale-if-error (RFC 5861 §4).
_ERROR_STATUSES = {500, 502, 503, 504}
#: The attributes that `wrap` copies from a session.
_SESSION_ATTRIBUTES = (
    "adapters",
    "auth",
    "cert",
    "cookies",
    "headers",
    "hooks",
    "max_redirects",
    "params",
    "proxies",
    "stream",
    "trust_env",
    "verify",
)

logger = getLogger(__name__)

#: Per thread: how many nested requests are in flight that other threads wait for.
_leading = local()


class CacheMixin(_Session):
    """A mixin that adds a cache to a session class of requests.

    Args:
        cache_name: The path, prefix or namespace of the cache, depending on the backend.
        backend: A backend or its alias: "sqlite" (the default), "filesystem", "memory", "redis",
            "mongodb", "gridfs" or "dynamodb".
        serializer: A serializer or its name. By default, data in SQLite, files and Redis is sealed.
        expire_after: The lifetime of stored responses: seconds, a `timedelta`, a `datetime`, -1 for
            unlimited, or 0 for responses that are validated on each use.
        urls_expire_after: Lifetimes by URL pattern. The first pattern that matches wins.
        cache_control: Let the headers of responses override these lifetimes.
        content_root_key: The field of a JSON body that holds the parameters.
        allowable_codes: The status codes of responses that are stored.
        allowable_methods: The methods of requests whose responses are stored.
        always_revalidate: Validate every stored response before it is used.
        ignored_parameters: Names of query parameters, headers and body fields that are neither part
            of the key nor stored.
        match_headers: Names of request headers that are part of the key; True for all.
        filter_fn: A function that decides whether a response is stored and used.
        key_fn: A function that computes the key of a request, instead of
            `lacre.cache_keys.create_key`.
        read_only: Answer from the cache, but store nothing.
        stale_if_error: Use an expired response if the request fails; a number limits by how many
            seconds it may be expired.
        autoclose: Close the cache together with the session.
        secret_key: A secret, a reference to one, or a `Keyring` that seals, instead of the keyring
            of the user; see `SealedSerializer`.
        kwargs: `stale_while_revalidate`, `only_if_cached`, `disabled`, and backend arguments.
    """

    cache: BaseCache

    def __init__(
        self,
        cache_name: StrOrPath = DEFAULT_CACHE_NAME,
        backend: BackendSpecifier | None = None,
        serializer: SerializerType | None = None,
        expire_after: ExpirationTime = -1,
        urls_expire_after: ExpirationPatterns | None = None,
        cache_control: bool = False,
        content_root_key: str | None = None,
        allowable_codes: Iterable[int] = DEFAULT_STATUS_CODES,
        allowable_methods: Iterable[str] = DEFAULT_METHODS,
        always_revalidate: bool = False,
        ignored_parameters: Iterable[str] | None = DEFAULT_IGNORED_PARAMS,
        match_headers: Iterable[str] | bool = False,
        filter_fn: FilterCallback | None = None,
        key_fn: KeyCallback | None = None,
        read_only: bool = False,
        stale_if_error: bool | int = False,
        autoclose: bool = True,
        secret_key: SecretKey | None = None,
        **kwargs: Any,
    ) -> None:
        serializer = choose_serializer(backend, serializer, secret_key)
        self.cache = init_backend(cache_name, backend, serializer=serializer, **kwargs)
        self.settings = CacheSettings.from_kwargs(
            expire_after=expire_after,
            urls_expire_after=urls_expire_after,
            cache_control=cache_control,
            content_root_key=content_root_key,
            allowable_codes=allowable_codes,
            allowable_methods=allowable_methods,
            always_revalidate=always_revalidate,
            ignored_parameters=ignored_parameters,
            match_headers=match_headers,
            filter_fn=filter_fn,
            key_fn=key_fn,
            read_only=read_only,
            stale_if_error=stale_if_error,
            autoclose=autoclose,
            **kwargs,
        )
        self._sending = local()
        self._refreshing: set[str | None] = set()
        self._lock = Lock()
        self._shortcut = Shortcut()
        self._fault_tolerance = FaultTolerance()
        # The other base class may take arguments, too.
        super().__init__(**get_valid_kwargs(super().__init__, kwargs) if kwargs else {})

    @classmethod
    def wrap(cls, original_session: OriginalSession, **kwargs: Any) -> CacheMixin:
        """Makes a cached session with the attributes and adapters of another session.

        Args:
            original_session: The other session.
            kwargs: Arguments of `CachedSession`.
        """
        session = cls(**kwargs)
        for name in _SESSION_ATTRIBUTES:
            setattr(session, name, getattr(original_session, name))
        return session

    @property
    def settings(self) -> CacheSettings:
        """The settings. Sessions that share a cache share them."""
        return self.cache._settings

    @settings.setter
    def settings(self, value: CacheSettings) -> None:
        self.cache._settings = value

    @property
    def expire_after(self) -> ExpirationTime:
        """The setting `settings.expire_after`."""
        return self.settings.expire_after

    @expire_after.setter
    def expire_after(self, value: ExpirationTime) -> None:
        self.settings.expire_after = value

    def get(self, url: str, params: Any = None, **kwargs: Any) -> AnyResponse:  # type: ignore[override]
        """Sends a GET request, or answers it from the cache.

        Args:
            url: The URL.
            params: The query parameters.
            kwargs: Other arguments of `request`.
        """
        kwargs.setdefault("allow_redirects", True)
        return self.request("GET", url, params=params, **kwargs)

    if TYPE_CHECKING:
        # Those of requests, which call `request`; only their return types differ.
        def options(self, url: str, **kwargs: Any) -> AnyResponse: ...  # type: ignore[override]
        def head(self, url: str, **kwargs: Any) -> AnyResponse: ...  # type: ignore[override]
        def post(self, url: str, data: Any = None, **kwargs: Any) -> AnyResponse: ...  # type: ignore[override]
        def put(self, url: str, data: Any = None, **kwargs: Any) -> AnyResponse: ...  # type: ignore[override]
        def patch(self, url: str, data: Any = None, **kwargs: Any) -> AnyResponse: ...  # type: ignore[override]
        def delete(self, url: str, **kwargs: Any) -> AnyResponse: ...  # type: ignore[override]

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *args: Any,
        headers: MutableMapping[str, str] | None = None,
        expire_after: ExpirationTime = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> AnyResponse:
        """Sends a request, or answers it from the cache.

        Args:
            method: The method.
            url: The URL.
            args: Other positional arguments of `requests.Session.request`.
            headers: The headers. The options below become `Cache-Control` directives in them.
            expire_after: The lifetime of the response.
            only_if_cached: Answer with status 504 if no stored response can be used.
            refresh: Validate a stored response before it is used.
            force_refresh: Send the request in any case, and store the response.
            kwargs: Other arguments of `requests.Session.request`.
        """
        plain = (
            method == "GET" and not (args or refresh or force_refresh) and type(self).send is _send
        )
        if plain and (expire_after is None or is_default_lifetime(expire_after)):
            found = self._shortcut.find(self, url, headers, kwargs)
            if isinstance(found, Missed):
                self._sending.missed = found
            elif found is not None:
                found._was_read = not (
                    self.stream if kwargs.get("stream") is None else kwargs["stream"]
                )
                return found
        if (
            headers is not None
            or expire_after is not None
            or only_if_cached
            or refresh
            or force_refresh
        ):
            headers = set_request_headers(
                headers, expire_after, only_if_cached, refresh, force_refresh
            )
        try:
            with patch_form_boundary() if kwargs.get("files") else nullcontext():
                return super().request(method, url, *args, headers=headers, **kwargs)  # type: ignore[return-value, misc]
        finally:
            self._sending.missed = None

    def send(
        self,
        request: PreparedRequest,
        expire_after: ExpirationTime = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> AnyResponse:
        """Sends a prepared request, or answers it from the cache. Runs for each hop of a redirect.

        Args:
            request: The prepared request.
            expire_after: The lifetime of the response.
            only_if_cached: Answer with status 504 if no stored response can be used.
            refresh: Validate a stored response before it is used.
            force_refresh: Send the request in any case, and store the response.
            kwargs: Other arguments of `requests.Session.send`.
        """
        request.headers = set_request_headers(  # type: ignore[assignment]
            request.headers, expire_after, only_if_cached, refresh, force_refresh
        )
        # Conditions about a stored response do not apply to the target of a redirect.
        _remove(getattr(self._sending, "conditions", None), request)
        if getattr(self._sending, "bypasses", False):
            request.headers[BYPASS_HEADER] = "true"
        # The lookup was for the first request only, not for its redirects.
        missed, self._sending.missed = getattr(self._sending, "missed", None), None
        if is_unrepeatable(request.body):
            # Reading the body for the key would consume it, so the request is never cached.
            request.headers[BYPASS_HEADER] = "true"
            unread = request.copy()
            unread.body = urandom(16)
            key = self.cache.create_key(unread, **kwargs)
        else:
            key = self.cache.create_key(request, **kwargs) if missed is None else missed.key
        actions = CacheActions.from_request(key, request, self.settings)
        missing = missed is not None and missed.ended == self.cache._herd.ended
        actions, cached_response = self._look_up(actions, missing, **kwargs)
        response = self._answer(request, actions, cached_response, **kwargs)

        if self.settings.filter_fn is not None and not self.settings.filter_fn(response):
            logger.debug("a response is removed from the cache: filter_fn rejects it")
            with self._fault_tolerance.writing():
                self.cache.delete(actions.cache_key or key)
            return response
        # For a response of the origin, requests has run the hooks.
        if response.from_cache:
            if isinstance(response, CachedResponse):
                response._was_read = not kwargs.get("stream")
            return dispatch_hook("response", request.hooks, response, **kwargs)  # type: ignore[return-value]
        return response

    def _look_up(
        self, actions: CacheActions, missing: bool = False, /, **kwargs: Any
    ) -> tuple[CacheActions, CachedResponse | None]:
        """Looks up the stored response of a request, including its `Vary` variant.

        Args:
            actions: The decisions so far, which are updated.
            missing: Whether the response is known to be absent.
            kwargs: Arguments of `send`.
        """
        cached_response = None
        if not (actions.skip_read or missing):
            cached_response = self._read(actions.cache_key)
        actions.update_from_cached_response(cached_response, self.cache.create_key, **kwargs)
        variant = actions.vary_cache_key
        if variant is None:
            return actions, None if actions.send_request else cached_response
        # The new response is stored as the same variant.
        again = CacheActions.from_request(variant, actions.request, self.settings)
        cached_response = self._read(variant)
        again.update_from_cached_response(cached_response, self.cache.create_key, **kwargs)
        return again, None if again.send_request else cached_response

    def _answer(
        self,
        request: PreparedRequest,
        actions: CacheActions,
        cached_response: CachedResponse | None,
        **kwargs: Any,
    ) -> AnyResponse:
        """Carries out the decisions."""
        if actions.error_504:
            return _not_cached(request)
        if cached_response is None:
            return self._fetch(request, actions, **kwargs)
        if actions.resend_async:
            self._resend_async(request, actions, cached_response, **kwargs)
        elif actions.resend_request:
            return self._resend(request, actions, cached_response, **kwargs)
        return cached_response

    def _read(self, key: str | None) -> CachedResponse | None:
        """Reads a stored response. A cache that cannot be read counts as empty."""
        try:
            found = self.cache.get_response(key)
        except Exception as error:
            if not self._fault_tolerance.tolerates("read", error):
                raise
            return None
        self._fault_tolerance.read_succeeded()
        return found

    def _fetch(self, request: PreparedRequest, actions: CacheActions, **kwargs: Any) -> AnyResponse:
        """Fetches a response that is not stored, and coalesces equal requests in flight."""
        if actions.skip_read or actions.skip_write or request.method not in _SAFE_METHODS:
            return self._send_and_cache(request, actions, **kwargs)
        lead, mine = self.cache._herd.join(
            actions.cache_key or "", get_ident(), monotonic() - actions.decided
        )
        if not mine:
            # A thread that is itself waited for never waits: two of them could deadlock.
            if lead.owner == get_ident() or getattr(_leading, "depth", None):
                return self._send_and_cache(request, actions, **kwargs)
            return self._wait_for_leader(lead, request, actions, **kwargs)
        depth = _leading.depth = getattr(_leading, "depth", 0) + 1
        try:
            found = self._look_up_again(request, actions, **kwargs) if lead.late else None
            return (
                self._send_and_cache(request, actions, lead=lead, **kwargs)
                if found is None
                else found
            )
        finally:
            _leading.depth = depth - 1
            lead.end(True)

    def _wait_for_leader(
        self, lead: Lead, request: PreparedRequest, actions: CacheActions, **kwargs: Any
    ) -> AnyResponse:
        """Waits for an equal request in flight, at most for the timeout of this request."""
        seconds = _seconds(kwargs.get("timeout"))
        wait = Wait(lead, seconds)
        waited = wait.here()
        if waited is Waited.OVER:
            found = self._look_up_again(request, actions, **kwargs)
            return self._send_and_cache(request, actions, **kwargs) if found is None else found
        late: list[AnyResponse] = []

        def send() -> AnyResponse:
            late.append(self._send_and_cache(request.copy(), actions, **kwargs))
            return late[-1]

        def drop() -> None:
            late[0].close()

        def look() -> AnyResponse | None:
            return self._look_up_again(request, actions, **kwargs)

        try:
            if waited is Waited.TIMED_OUT:
                raise TimedOut
            beside: Beside[AnyResponse, AnyResponse] = Beside(wait, send, drop, look)
            return beside.run()
        except TimedOut:
            message = f"Read timed out. (read timeout={seconds})"
            raise ReadTimeout(message, request=request) from None

    def _look_up_again(
        self, request: PreparedRequest, actions: CacheActions, **kwargs: Any
    ) -> CachedResponse | None:
        """Looks up the response that another request has stored meanwhile."""
        again = CacheActions.from_request(actions.cache_key, request, self.settings)
        again, cached_response = self._look_up(again, **kwargs)
        return None if again.resend_request else cached_response

    def _send_and_cache(
        self,
        request: PreparedRequest,
        actions: CacheActions,
        cached_response: CachedResponse | None = None,
        lead: Lead | None = None,
        **kwargs: Any,
    ) -> AnyResponse:
        """Sends a request and stores the response, or updates the stored one.

        Args:
            request: The request.
            actions: The decisions about it.
            cached_response: The stored response to validate.
            lead: The requests that wait for this one.
            kwargs: Arguments of `send`.
        """
        # The option is not sent to the origin. It also applies to the targets of redirects.
        bypasses = request.headers.pop(BYPASS_HEADER, None) is not None
        before, self._sending.bypasses = getattr(self._sending, "bypasses", False), bypasses
        outer, self._sending.lead = getattr(self._sending, "lead", None), lead
        conditions, self._sending.conditions = (
            getattr(self._sending, "conditions", None),
            actions.conditions,
        )
        try:
            response = super().send(actions.update_request(request), **kwargs)
        finally:
            self._sending.bypasses, self._sending.lead, self._sending.conditions = (
                before,
                outer,
                conditions,
            )
        if response.next is not None:
            _remove(actions.conditions, response.next)
        actions.update_from_response(response)
        self._invalidate(request, response, **kwargs)  # type: ignore[arg-type]

        if not actions.skip_write:
            self._write(response, actions)
        elif (
            cached_response is not None
            and response.status_code == 304
            and not _was_redirected(response)
        ):
            cached_response = actions.update_revalidated_response(response, cached_response)
            if not actions.skip_write:
                self._write(cached_response, actions)
            return cached_response
        else:
            logger.debug("the response is not stored")

        # A redirect may have led to a stored response.
        if isinstance(response, CachedResponse):
            return response
        return OriginalResponse.wrap_response(response, actions)

    def _write(self, response: Response, actions: CacheActions) -> None:
        """Stores a response. The caller gets it even if the cache cannot be written."""
        with self._fault_tolerance.writing():
            self.cache.save_response(response, actions.cache_key, actions.expires)
            return
        # Writing failed: the response counts as not stored.
        actions.skip_write = True

    def get_adapter(self, url: str) -> BaseAdapter:
        """Returns the adapter of a URL.

        Args:
            url: The URL.
        """
        adapter: BaseAdapter = super().get_adapter(url)
        lead = getattr(self._sending, "lead", None)
        return adapter if lead is None else _NotifyingAdapter(adapter, lead, self.settings)  # type: ignore[return-value]

    def _resend(
        self,
        request: PreparedRequest,
        actions: CacheActions,
        cached_response: CachedResponse,
        **kwargs: Any,
    ) -> AnyResponse:
        """Refreshes a stored response; if that fails, uses the stale one where allowed."""
        try:
            response = self._send_and_cache(request, actions, cached_response, **kwargs)
            if (
                self.settings.stale_if_error
                and response.status_code not in self.settings.allowable_codes
            ):
                response.raise_for_status()
        except Exception as error:
            if not actions.is_usable(cached_response, error=True):
                raise
            # The message of the error may contain the query of the URL.
            logger.warning("a request failed (%s); using a stale response", type(error).__name__)
            return cached_response
        if self.settings.stale_if_error or response.status_code not in _ERROR_STATUSES:
            return response
        allowed = actions.stale_if_error and actions.is_usable(cached_response, error=True)
        return cached_response if allowed else response

    def _resend_async(
        self,
        request: PreparedRequest,
        actions: CacheActions,
        cached_response: CachedResponse,
        **kwargs: Any,
    ) -> None:
        """Refreshes a stored response in a background thread, unless a refresh is in flight."""
        with self._lock:
            if actions.cache_key in self._refreshing:
                return
            self._refreshing.add(actions.cache_key)

        def refresh() -> None:
            try:
                self._send_and_cache(request, actions, cached_response, **kwargs)
            except Exception as error:
                logger.warning("refreshing a response failed (%s)", type(error).__name__)
            finally:
                with self._lock:
                    self._refreshing.discard(actions.cache_key)

        Thread(target=refresh).start()

    def _invalidate(self, request: PreparedRequest, response: AnyResponse, **kwargs: Any) -> None:
        """Invalidates stored responses after an unsafe request (RFC 9111 §4.4).

        A cache must invalidate the target URI when a non-error response to an unsafe method
        arrives.
        """
        unsafe = (request.method or "").upper() not in _SAFE_METHODS
        if self.settings.read_only or not (
            self.settings.cache_control and unsafe and response.status_code < 400
        ):
            return
        for method in ("GET", "HEAD"):
            stored = request.copy()
            stored.prepare_method(method)
            stored.body = None
            with self._fault_tolerance.writing():
                self.cache.delete(self.cache.create_key(stored, **kwargs))

    @contextmanager
    def cache_disabled(self) -> Iterator[None]:
        """Disables the cache for all threads within a `with` block. Blocks may be nested."""
        before = self.settings.disabled
        self.settings.disabled = True
        try:
            yield
        finally:
            self.settings.disabled = before

    def close(self) -> None:
        """Closes the session, and its cache if `autoclose` is set."""
        super().close()
        if self.settings.autoclose:
            self.cache.close()

    def __getstate__(self) -> Any:
        raise NotImplementedError("CachedSession cannot be pickled")

    def __repr__(self) -> str:
        return f"<CachedSession(cache={self.cache!r}, settings={self.settings})>"


#: The original method, to detect subclasses that override it.
_send = CacheMixin.send


class CachedSession(CacheMixin, OriginalSession):
    """A `requests.Session` that answers from a cache.

    Args:
        cache_name: The path, prefix or namespace of the cache, depending on the backend.
        backend: A backend or its alias: "sqlite" (the default), "filesystem", "memory", "redis",
            "mongodb", "gridfs" or "dynamodb".
        serializer: A serializer or its name. By default, data in SQLite, files and Redis is sealed.
        expire_after: The lifetime of stored responses: seconds, a `timedelta`, a `datetime`, -1 for
            unlimited, or 0 for responses that are validated on each use.
        urls_expire_after: Lifetimes by URL pattern. The first pattern that matches wins.
        cache_control: Let the headers of responses override these lifetimes.
        content_root_key: The field of a JSON body that holds the parameters.
        allowable_codes: The status codes of responses that are stored.
        allowable_methods: The methods of requests whose responses are stored.
        always_revalidate: Validate every stored response before it is used.
        ignored_parameters: Names of query parameters, headers and body fields that are neither part
            of the key nor stored.
        match_headers: Names of request headers that are part of the key; True for all.
        filter_fn: A function that decides whether a response is stored and used.
        key_fn: A function that computes the key of a request, instead of
            `lacre.cache_keys.create_key`.
        read_only: Answer from the cache, but store nothing.
        stale_if_error: Use an expired response if the request fails; a number limits by how many
            seconds it may be expired.
        autoclose: Close the cache together with the session.
        secret_key: A secret, a reference to one, or a `Keyring` that seals, instead of the keyring
            of the user; see `SealedSerializer`.
        kwargs: `stale_while_revalidate`, `only_if_cached`, `disabled`, and backend arguments.
    """


def _not_cached(request: PreparedRequest) -> CachedResponse:
    return CachedResponse(
        url=request.url or "", status_code=504, reason="Not Cached", request=request
    )


def _was_redirected(response: Response) -> bool:
    """Returns whether the response is from another URL than the request."""
    return isinstance(response.history, list) and bool(response.history)


def _remove(conditions: dict[str, str] | None, request: PreparedRequest) -> None:
    """Removes conditions that the cache has added to a request."""
    for name, value in (conditions or {}).items():
        if request.headers.get(name) == value:
            del request.headers[name]


class _NotifyingAdapter:
    """An adapter that notifies waiting requests when the head of the response arrives."""

    def __init__(self, adapter: BaseAdapter, lead: Lead, settings: CacheSettings) -> None:
        self._adapter, self._lead, self._settings = adapter, lead, settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def send(self, *args: Any, **kwargs: Any) -> Response:
        response = self._adapter.send(*args, **kwargs)
        if response.status_code in self._settings.allowable_codes or response.is_redirect:
            # The session reads the body at once and completely.
            self._lead.show(PATIENCE, PATIENCE)
        else:
            self._lead.end(True)
        return response


def _seconds(timeout: Any) -> float | None:
    """Returns the read timeout of a timeout argument of requests; None for unlimited."""
    if isinstance(timeout, tuple):
        timeout = timeout[-1]
    elif hasattr(timeout, "connect_timeout"):
        # A `urllib3.Timeout`, whose read timeout is a number or a sentinel.
        timeout = timeout._read
    return timeout if isinstance(timeout, int | float) and not isinstance(timeout, bool) else None

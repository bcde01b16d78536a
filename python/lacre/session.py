"""Sessions of requests that answer from a cache."""

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

#: RFC 9110 §9.2.1. What is sent with another method may have changed what is stored (RFC 9111 §4.4).
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
#: The responses in whose place a stale one may be used, if its own headers allow that (RFC 5861 §4).
_ERROR_STATUSES = {500, 502, 503, 504}
#: What `wrap` takes over from a session.
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

#: How many requests a thread has sent that others wait for, each redirected to the next.
_leading = local()


class CacheMixin(_Session):
    """Adds a cache to a class of sessions; `CachedSession` is the one of requests with it."""

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
        # The mixed-in class may take arguments of its own.
        super().__init__(**get_valid_kwargs(super().__init__, kwargs) if kwargs else {})

    @classmethod
    def wrap(cls, original_session: OriginalSession, **kwargs: Any) -> CacheMixin:
        """A session with a cache that is otherwise as `original_session`, and shares its adapters.

        Args:
            kwargs: what `CachedSession` takes
        """
        session = cls(**kwargs)
        for name in _SESSION_ATTRIBUTES:
            setattr(session, name, getattr(original_session, name))
        return session

    @property
    def settings(self) -> CacheSettings:
        """What the session does with requests and responses. Sessions that share a cache share it."""
        return self.cache._settings

    @settings.setter
    def settings(self, value: CacheSettings) -> None:
        self.cache._settings = value

    @property
    def expire_after(self) -> ExpirationTime:
        """The same as `settings.expire_after`."""
        return self.settings.expire_after

    @expire_after.setter
    def expire_after(self, value: ExpirationTime) -> None:
        self.settings.expire_after = value

    def get(self, url: str, params: Any = None, **kwargs: Any) -> AnyResponse:  # type: ignore[override]
        """As `requests.Session.get`, with the options of `request`."""
        kwargs.setdefault("allow_redirects", True)
        return self.request("GET", url, params=params, **kwargs)

    if TYPE_CHECKING:
        # As those of requests, which call `request`; only what they return is known better.
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
        """As `requests.Session.request`, with options for this request that become part of its headers.

        Args:
            expire_after: when the response is to expire
            only_if_cached: answer with status 504 rather than send
            refresh: ask the origin if the stored response still holds
            force_refresh: send in any case, and store what comes back
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
        """As `requests.Session.send`, with the options of `request`. Each hop of a redirect comes here."""
        request.headers = set_request_headers(  # type: ignore[assignment]
            request.headers, expire_after, only_if_cached, refresh, force_refresh
        )
        # What was asked about the stored response does not concern the one that a redirect leads to.
        _remove(getattr(self._sending, "conditions", None), request)
        if getattr(self._sending, "bypasses", False):
            request.headers[BYPASS_HEADER] = "true"
        # It is of the first request that is sent, not of those that it leads to.
        missed, self._sending.missed = getattr(self._sending, "missed", None), None
        if is_unrepeatable(request.body):
            # To read it for its key would be to lose it. It is like nothing else.
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
            logger.debug("a response is not wanted in the cache any more")
            with self._fault_tolerance.writing():
                self.cache.delete(actions.cache_key or key)
            return response
        # Those of a response that was sent for have run, where it was received.
        if response.from_cache:
            if isinstance(response, CachedResponse):
                response._was_read = not kwargs.get("stream")
            return dispatch_hook("response", request.hooks, response, **kwargs)  # type: ignore[return-value]
        return response

    def _look_up(
        self, actions: CacheActions, missing: bool = False, /, **kwargs: Any
    ) -> tuple[CacheActions, CachedResponse | None]:
        """What is stored for the request, in the variant for its headers; the actions follow from it.

        Args:
            missing: nothing is, as is known
        """
        cached_response = None
        if not (actions.skip_read or missing):
            cached_response = self._read(actions.cache_key)
        actions.update_from_cached_response(cached_response, self.cache.create_key, **kwargs)
        variant = actions.vary_cache_key
        if variant is None:
            return actions, None if actions.send_request else cached_response
        # What will be stored is that variant, too.
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
        """Does what was decided."""
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
        """What is stored under a key. A cache that cannot be read is an empty one."""
        try:
            found = self.cache.get_response(key)
        except Exception as error:
            if not self._fault_tolerance.tolerates("read", error):
                raise
            return None
        self._fault_tolerance.read_succeeded()
        return found

    def _fetch(self, request: PreparedRequest, actions: CacheActions, **kwargs: Any) -> AnyResponse:
        """Sends for what is not stored. Of equal requests at the same time one is sent, and serves all."""
        if actions.skip_read or actions.skip_write or request.method not in _SAFE_METHODS:
            return self._send_and_cache(request, actions, **kwargs)
        lead, mine = self.cache._herd.join(
            actions.cache_key or "", get_ident(), monotonic() - actions.decided
        )
        if not mine:
            # A thread that sends already, and was redirected, never waits: two of those could wait for each other.
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
        """Waits for another request that brings what this one wants, but no longer than its own timeout."""
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
        """What another request brought for this one."""
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
        """Sends the request, and stores or renews what that allows. `lead` is told when the head of the answer is there."""
        # That option is not for the origin, and holds for the requests that a redirect leads to as well.
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
            logger.debug("a response is not stored")

        # A redirect may have ended at something that was stored.
        if isinstance(response, CachedResponse):
            return response
        return OriginalResponse.wrap_response(response, actions)

    def _write(self, response: Response, actions: CacheActions) -> None:
        """Stores a response. A cache that cannot be written keeps no answer from anybody."""
        with self._fault_tolerance.writing():
            self.cache.save_response(response, actions.cache_key, actions.expires)
            return
        # It is said to be stored nowhere, and its body is the origin's.
        actions.skip_write = True

    def get_adapter(self, url: str) -> BaseAdapter:
        """As that of `requests.Session`; where others wait for this thread, they are told what comes."""
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
        """Sends for a fresh response; where that fails, a stale one may do."""
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
            # What the error says may have the URL's query in it.
            logger.warning("a request failed (%s); a stale response is used", type(error).__name__)
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
        """Sends for a fresh response in a thread of its own, unless one is on its way already."""
        with self._lock:
            if actions.cache_key in self._refreshing:
                return
            self._refreshing.add(actions.cache_key)

        def refresh() -> None:
            try:
                self._send_and_cache(request, actions, cached_response, **kwargs)
            except Exception as error:
                logger.warning("a response could not be refreshed (%s)", type(error).__name__)
            finally:
                with self._lock:
                    self._refreshing.discard(actions.cache_key)

        Thread(target=refresh).start()

    def _invalidate(self, request: PreparedRequest, response: AnyResponse, **kwargs: Any) -> None:
        """Forgets what an unsafe request may have changed (RFC 9111 §4.4), where headers are obeyed."""
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
        """Neither reads nor writes meanwhile, whichever thread asks. May be nested."""
        before = self.settings.disabled
        self.settings.disabled = True
        try:
            yield
        finally:
            self.settings.disabled = before

    def close(self) -> None:
        """Closes the session, and its cache unless `autoclose` is off."""
        super().close()
        if self.settings.autoclose:
            self.cache.close()

    def __getstate__(self) -> Any:
        raise NotImplementedError("CachedSession cannot be pickled")

    def __repr__(self) -> str:
        return f"<CachedSession(cache={self.cache!r}, settings={self.settings})>"


#: What a class of users may have replaced.
_send = CacheMixin.send


class CachedSession(CacheMixin, OriginalSession):
    """A session of requests that answers from a cache.

    Args:
        cache_name: path, prefix or namespace, as the backend has it
        backend: an instance, or one of `sqlite`, `filesystem`, `memory`, `redis`, `mongodb`, `gridfs`,
            `dynamodb`
        serializer: an instance, or the name of one; by default what is in a file or in Redis is sealed
        expire_after: when what is stored expires
        urls_expire_after: the same for URLs that fit a pattern; the first that fits counts
        cache_control: let the headers of responses decide, where they say anything
        content_root_key: where in a JSON body `ignored_parameters` are
        allowable_codes: the statuses that are stored
        allowable_methods: the methods whose responses are stored and used
        always_revalidate: ask the origin each time if what is stored still holds
        ignored_parameters: of queries, headers and bodies: neither part of the key nor stored
        match_headers: the headers of a request that are part of its key; `True`: all
        filter_fn: whether a response is to be stored, and used
        key_fn: makes the key of a request
        read_only: store nothing new
        stale_if_error: use what has expired if sending fails; or for how long
        autoclose: close the cache with the session
        secret_key: what seals, instead of the keyring of the user; see `SealedSerializer`
        kwargs: `stale_while_revalidate`, `only_if_cached`, `disabled`, and what the backend takes
    """


def _not_cached(request: PreparedRequest) -> CachedResponse:
    return CachedResponse(
        url=request.url or "", status_code=504, reason="Not Cached", request=request
    )


def _was_redirected(response: Response) -> bool:
    """Whether it is about another resource than the one that was asked for."""
    return isinstance(response.history, list) and bool(response.history)


def _remove(conditions: dict[str, str] | None, request: PreparedRequest) -> None:
    """Takes conditions that the cache has added out of a request."""
    for name, value in (conditions or {}).items():
        if request.headers.get(name) == value:
            del request.headers[name]


class _NotifyingAdapter:
    """An adapter that says when the head of an answer is there, to those who wait for it."""

    def __init__(self, adapter: BaseAdapter, lead: Lead, settings: CacheSettings) -> None:
        self._adapter, self._lead, self._settings = adapter, lead, settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def send(self, *args: Any, **kwargs: Any) -> Response:
        response = self._adapter.send(*args, **kwargs)
        if response.status_code in self._settings.allowable_codes or response.is_redirect:
            # It is read at once, and to its end.
            self._lead.show(PATIENCE, PATIENCE)
        else:
            self._lead.end(True)
        return response


def _seconds(timeout: Any) -> float | None:
    """Of what requests takes as a timeout, for how long the origin may be silent; `None`: for ever."""
    if isinstance(timeout, tuple):
        timeout = timeout[-1]
    elif hasattr(timeout, "connect_timeout"):
        # One of urllib3, which has it as a number, or as something that stands for none.
        timeout = timeout._read
    return timeout if isinstance(timeout, int | float) and not isinstance(timeout, bool) else None

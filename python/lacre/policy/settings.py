"""The settings of a session, which may be changed at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._repr import RichMixin
from .._utils import get_valid_kwargs
from .expiration import ExpirationPattern, ExpirationTime

if TYPE_CHECKING:
    from requests import Response

#: A function that decides whether a response is stored and used.
FilterCallback = Callable[["Response"], bool]
#: A function that computes the key of a request; see `lacre.cache_keys.create_key`.
KeyCallback = Callable[..., str]

ALL_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_CACHE_NAME = "http_cache"
DEFAULT_METHODS = ("GET", "HEAD")
DEFAULT_STATUS_CODES = (200,)

AUTH_HEADERS = (
    "Authorization",
    "Proxy-Authorization",
    "X-API-Key",
    "X-Auth-Token",
    "X-API-Token",
    "X-Access-Token",
)
AUTH_PARAMS = ("access_token", "api_key", "apikey")
#: Neither part of a key nor stored.
DEFAULT_IGNORED_PARAMS = AUTH_HEADERS + AUTH_PARAMS

_FORMER_NAMES = {"old_data_on_error": "stale_if_error", "include_get_headers": "match_headers"}


@dataclass(repr=False)
class CacheSettings(RichMixin):
    """The settings of a session; `CachedSession` has the same arguments.

    Args:
        allowable_codes: The status codes of responses that are stored.
        allowable_methods: The methods of requests whose responses are stored.
        always_revalidate: Validate every stored response before it is used.
        autoclose: Close the cache together with the session.
        cache_control: Let the headers of responses override lifetimes.
        content_root_key: The field of a JSON body that holds the parameters.
        disabled: Neither read from nor write to the cache.
        expire_after: The lifetime of stored responses.
        filter_fn: A function that decides whether a response is stored and used.
        ignored_parameters: Names of parameters that are neither part of the key nor stored.
        key_fn: A function that computes the key of a request.
        match_headers: Names of request headers that are part of the key; True for all.
        only_if_cached: Answer with status 504 if no stored response can be used.
        read_only: Answer from the cache, but store nothing.
        stale_if_error: Use an expired response if the request fails; a number limits by how many
            seconds it may be expired.
        stale_while_revalidate: Use an expired response while it is refreshed in the background;
            numbers as for `stale_if_error`.
        urls_expire_after: Lifetimes by URL pattern. The first pattern that matches wins.
    """

    allowable_codes: Iterable[int] = DEFAULT_STATUS_CODES
    allowable_methods: Iterable[str] = DEFAULT_METHODS
    always_revalidate: bool = False
    autoclose: bool = True
    cache_control: bool = False
    content_root_key: str | None = None
    disabled: bool = False
    expire_after: ExpirationTime = None
    filter_fn: FilterCallback | None = None
    ignored_parameters: Iterable[str] | None = DEFAULT_IGNORED_PARAMS
    key_fn: KeyCallback | None = None
    match_headers: Iterable[str] | bool = False
    only_if_cached: bool = False
    read_only: bool = False
    stale_if_error: bool | ExpirationTime = False
    stale_while_revalidate: bool | ExpirationTime = False
    urls_expire_after: dict[ExpirationPattern, ExpirationTime] = field(default_factory=dict)

    @classmethod
    def from_kwargs(cls, **kwargs: Any) -> CacheSettings:
        """Picks the settings out of mixed arguments.

        Args:
            kwargs: Arguments. Names of former versions are accepted; others are ignored.
        """
        named = {_FORMER_NAMES.get(name, name): value for name, value in kwargs.items()}
        return cls(**get_valid_kwargs(cls, named))

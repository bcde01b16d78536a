"""The settings of a session, all of which may be changed at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._repr import RichMixin
from .._utils import get_valid_kwargs
from .expiration import ExpirationPattern, ExpirationTime

if TYPE_CHECKING:
    from requests import Response

#: Whether a response is to be stored, and used.
FilterCallback = Callable[["Response"], bool]
#: The key of a request; see `lacre.cache_keys.create_key` for the arguments.
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
#: Neither part of a key nor ever stored.
DEFAULT_IGNORED_PARAMS = AUTH_HEADERS + AUTH_PARAMS

_FORMER_NAMES = {"old_data_on_error": "stale_if_error", "include_get_headers": "match_headers"}


@dataclass(repr=False)
class CacheSettings(RichMixin):
    """What a session does with requests and responses; `CachedSession` says what each setting means."""

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
        """Takes the settings out of mixed arguments; some may have the names of former versions."""
        named = {_FORMER_NAMES.get(name, name): value for name, value in kwargs.items()}
        return cls(**get_valid_kwargs(cls, named))

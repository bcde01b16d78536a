"""When a response may be stored, when it may be used again, and for how long."""

# The order matters: what is below imports what is above.
# isort: skip_file
from .expiration import (
    DO_NOT_CACHE as DO_NOT_CACHE,
    EXPIRE_IMMEDIATELY as EXPIRE_IMMEDIATELY,
    NEVER_EXPIRE as NEVER_EXPIRE,
    ExpirationPattern as ExpirationPattern,
    ExpirationPatterns as ExpirationPatterns,
    ExpirationTime as ExpirationTime,
    add_tzinfo as add_tzinfo,
    get_expiration_datetime as get_expiration_datetime,
    get_expiration_seconds as get_expiration_seconds,
    get_url_expiration as get_url_expiration,
    utcnow as utcnow,
)
from .settings import (
    ALL_METHODS as ALL_METHODS,
    AUTH_HEADERS as AUTH_HEADERS,
    AUTH_PARAMS as AUTH_PARAMS,
    DEFAULT_CACHE_NAME as DEFAULT_CACHE_NAME,
    DEFAULT_IGNORED_PARAMS as DEFAULT_IGNORED_PARAMS,
    DEFAULT_METHODS as DEFAULT_METHODS,
    DEFAULT_STATUS_CODES as DEFAULT_STATUS_CODES,
    CacheSettings as CacheSettings,
    FilterCallback as FilterCallback,
    KeyCallback as KeyCallback,
)
from .directives import (
    BYPASS_HEADER as BYPASS_HEADER,
    CacheDirectives as CacheDirectives,
    HeaderDict as HeaderDict,
    set_request_headers as set_request_headers,
)
from .actions import METHOD_OVERRIDE_HEADERS as METHOD_OVERRIDE_HEADERS
from .actions import CacheActions as CacheActions

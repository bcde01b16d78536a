"""Reads and writes `Cache-Control` and related headers."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from .._repr import RichMixin
from .._utils import copy_headers, decode, get_header, try_int
from .expiration import DO_NOT_CACHE, EXPIRE_IMMEDIATELY, ExpirationTime, get_expiration_seconds

if TYPE_CHECKING:
    from requests.structures import CaseInsensitiveDict

HeaderDict = MutableMapping[str, str]

#: How `DO_NOT_CACHE` gets from a session's `request()` to its `send()`.
BYPASS_HEADER = "X-ACTUAL-NO-CACHE"
_BYPASS = BYPASS_HEADER.lower()
#: What `max-stale` without a value accepts: everything.
_ANY_STALENESS = timedelta(days=36_500)

_DIRECTIVE = re.compile(r'([^\s,;="]+)(?:=(?:"([^"]*)"|([^,]*)))?')
_FLAGS = {"immutable", "must-revalidate", "no-cache", "no-store", "only-if-cached"}
_SECONDS = {"max-age", "max-stale", "min-fresh", "stale-if-error", "stale-while-revalidate"}


@dataclass(repr=False)
class CacheDirectives(RichMixin):
    """The caching directives in the headers of a request or response. Durations are in seconds.

    Args:
        expires: The header `Expires`.
        immutable: The directive `immutable` (RFC 8246).
        max_age: The directive `max-age`.
        max_stale: The directive `max-stale`; True without a value.
        min_fresh: The directive `min-fresh`.
        must_revalidate: The directive `must-revalidate`.
        no_cache: The directive `no-cache`.
        no_store: The directive `no-store`.
        actual_no_cache: Whether the request bypasses the cache.
        only_if_cached: The directive `only-if-cached`.
        stale_if_error: The directive `stale-if-error` (RFC 5861).
        stale_while_revalidate: The directive `stale-while-revalidate` (RFC 5861).
        etag: The header `ETag`.
        last_modified: The header `Last-Modified`.
    """

    expires: str | None = None
    immutable: bool = False
    max_age: int | None = None
    max_stale: int | bool | None = None
    min_fresh: int | None = None
    must_revalidate: bool = False
    no_cache: bool = False
    no_store: bool = False
    actual_no_cache: bool = False
    only_if_cached: bool = False
    stale_if_error: int | None = None
    stale_while_revalidate: int | None = None
    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str | bytes] | None) -> CacheDirectives:
        """Reads the headers of a request or response. Unknown directives are ignored.

        The first of several equal directives applies. A malformed `max-age` counts as 0: a response
        with invalid freshness information is stale (RFC 9111 §4.2.1).

        Args:
            headers: The headers.
        """
        directives = cls(
            expires=_text(get_header(headers, "expires")),
            actual_no_cache=get_header(headers, _BYPASS) is not None,
            etag=_text(get_header(headers, "etag")),
            last_modified=_text(get_header(headers, "last-modified")),
        )
        said = get_header(headers, "cache-control")
        if not said:
            return directives
        seen = set()
        for match in _DIRECTIVE.finditer(decode(said)):
            name = match[1].lower()
            if name not in seen:
                seen.add(name)
                directives._take(name, match[3] if match[2] is None else match[2])
        return directives

    def _take(self, name: str, value: str | None) -> None:
        attribute = name.replace("-", "_")
        if name in _FLAGS:
            setattr(self, attribute, True)
        elif name == "max-stale" and value is None:
            self.max_stale = True
        elif name in _SECONDS:
            seconds = try_int(value)
            if seconds is None and name == "max-age":
                seconds = EXPIRE_IMMEDIATELY
            setattr(self, attribute, seconds)

    def get_expire_offset(self) -> timedelta:
        """Returns how long after its expiry (negative: before) a response is still accepted."""
        if self.max_stale is True:
            return _ANY_STALENESS
        if self.max_stale:
            return timedelta(seconds=self.max_stale)
        return timedelta(seconds=-(self.min_fresh or 0))

    @property
    def has_validator(self) -> bool:
        """Whether the response can be validated."""
        return bool(self.etag or self.last_modified)


def set_request_headers(
    headers: Mapping[str, str | bytes] | None,
    expire_after: ExpirationTime,
    only_if_cached: bool,
    refresh: bool,
    force_refresh: bool,
) -> CaseInsensitiveDict[str]:
    """Adds the options of one request to its headers.

    Args:
        headers: The headers.
        expire_after: The lifetime, which replaces `max-age`.
        only_if_cached: Add `only-if-cached`.
        refresh: Add `must-revalidate`.
        force_refresh: Add `no-cache`.
    """
    result: CaseInsensitiveDict[str] = copy_headers(headers)
    if expire_after is None and not (only_if_cached or refresh or force_refresh):
        return result
    options = {
        "only-if-cached": only_if_cached,
        "must-revalidate": refresh,
        "no-cache": force_refresh,
    }
    added = {name for name, wanted in options.items() if wanted}
    stated = {
        match[0].strip() for match in _DIRECTIVE.finditer(decode(result.get("Cache-Control")))
    }
    if expire_after == DO_NOT_CACHE:
        result[BYPASS_HEADER] = "true"
    elif expire_after is not None:
        stated = {directive for directive in stated if not directive.lower().startswith("max-age")}
        added.add(f"max-age={get_expiration_seconds(expire_after)}")
    if added:
        result["Cache-Control"] = ",".join(sorted(added | stated))
    return result


def _text(value: str | bytes | None) -> str | None:
    return None if value is None else decode(value)

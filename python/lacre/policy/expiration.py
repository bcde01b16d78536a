"""Lifetimes in every form, as a time or as seconds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from fnmatch import fnmatch
from logging import getLogger
from math import ceil
from re import Pattern
from typing import Union

#: Seconds, a `timedelta`, a `datetime` or a constant below; in headers also an HTTP date.
ExpirationTime = Union[None, int, float, str, datetime, timedelta]
#: A glob for a URL without its scheme, or a regular expression for the whole URL.
ExpirationPattern = Union[str, Pattern[str]]
#: Lifetimes by pattern. The first pattern that matches a URL wins.
ExpirationPatterns = dict[ExpirationPattern, ExpirationTime]

#: Neither read from nor write to the cache (the number is that of RFC 4824).
DO_NOT_CACHE = 0x0D0E0200020704
#: Store only responses with a validator, and validate them on each use.
EXPIRE_IMMEDIATELY = 0
NEVER_EXPIRE = -1

logger = getLogger(__name__)


def get_expiration_datetime(
    expire_after: ExpirationTime,
    start_time: datetime | None = None,
    negative_delta: bool = False,
    ignore_invalid_httpdate: bool = False,
) -> datetime | None:
    """Returns the time of expiry in UTC, or None for never.

    Args:
        expire_after: The lifetime. A text of digits, which some servers send in `Expires`, has
            expired.
        start_time: The start of the lifetime, instead of now.
        negative_delta: Subtract the lifetime instead of adding it.
        ignore_invalid_httpdate: Return None for an invalid date.

    Raises:
        ValueError: A text is no valid date.
        TypeError: The value is no lifetime.
    """
    if expire_after is None or expire_after in (NEVER_EXPIRE, DO_NOT_CACHE):
        return None
    if isinstance(expire_after, str):
        if expire_after.removeprefix("-").isdigit():
            return start_time or utcnow()
        moment = _parse_http_date(expire_after)
        if moment is None and not ignore_invalid_httpdate:
            raise ValueError(f"Invalid HTTP date: {expire_after}")
        return moment
    if expire_after == EXPIRE_IMMEDIATELY:
        return start_time or utcnow()
    if isinstance(expire_after, datetime):
        return expire_after.astimezone(timezone.utc)
    delta = expire_after if isinstance(expire_after, timedelta) else timedelta(seconds=expire_after)
    return (start_time or utcnow()) + (-delta if negative_delta else delta)


def get_expiration_seconds(expire_after: ExpirationTime) -> int:
    """Returns the seconds until expiry, rounded up; `NEVER_EXPIRE` for never or an invalid date.

    Args:
        expire_after: The lifetime.
    """
    expires = get_expiration_datetime(expire_after, ignore_invalid_httpdate=True)
    return NEVER_EXPIRE if expires is None else ceil((expires - utcnow()).total_seconds())


def get_url_expiration(
    url: str | None, urls_expire_after: ExpirationPatterns | None = None
) -> ExpirationTime:
    """Returns the lifetime of the first pattern that matches a URL, or None.

    Args:
        url: The URL.
        urls_expire_after: Lifetimes by pattern.
    """
    if not url or not urls_expire_after:
        return None
    for pattern, expire_after in urls_expire_after.items():
        if _fits(url, pattern):
            logger.debug("a URL matches the pattern %s: %s", pattern, expire_after)
            return expire_after
    return None


def add_tzinfo(moment: datetime | None) -> datetime | None:
    """Returns the time in UTC if it has no time zone, else unchanged.

    Args:
        moment: The time.
    """
    if moment is not None and moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    return moment


def utcnow() -> datetime:
    """Returns the current time in UTC. It is the only clock of this part of the package."""
    return datetime.now(timezone.utc)


def _parse_http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        logger.debug("a date cannot be read")
        return None


def _fits(url: str, pattern: ExpirationPattern) -> bool:
    if isinstance(pattern, Pattern):
        return pattern.search(url) is not None
    return fnmatch(_without_scheme(url), _without_scheme(pattern).rstrip("*") + "*")


def _without_scheme(url: str) -> str:
    # Only the first: a query may hold another URL.
    _, separator, rest = url.partition("://")
    return rest if separator else url

"""Every way to say when something expires, as a moment or as seconds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from fnmatch import fnmatch
from logging import getLogger
from math import ceil
from re import Pattern
from typing import Union

#: Seconds from now, a duration, a moment, or one of the constants below; in headers also an HTTP date.
ExpirationTime = Union[None, int, float, str, datetime, timedelta]
#: A glob for a URL without its scheme, or a regular expression for all of it.
ExpirationPattern = Union[str, Pattern[str]]
#: The first pattern that fits a URL decides.
ExpirationPatterns = dict[ExpirationPattern, ExpirationTime]

#: Neither read nor write (the number is that of RFC 4824).
DO_NOT_CACHE = 0x0D0E0200020704
#: Stored only if it can be validated, and validated on each use.
EXPIRE_IMMEDIATELY = 0
NEVER_EXPIRE = -1

logger = getLogger(__name__)


def get_expiration_datetime(
    expire_after: ExpirationTime,
    start_time: datetime | None = None,
    negative_delta: bool = False,
    ignore_invalid_httpdate: bool = False,
) -> datetime | None:
    """The moment that `expire_after` means, in UTC; `None` for what never expires.

    Args:
        expire_after: any form; a text of digits only, as some servers send in `Expires`, has expired
        start_time: what a duration counts from, instead of now
        negative_delta: count back from there
        ignore_invalid_httpdate: return `None` for a text that is no date

    Raises:
        ValueError: a text that is no date.
        TypeError: something that means no time at all.
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
    """The seconds until then, rounded up; `NEVER_EXPIRE` for what never expires or is no date."""
    expires = get_expiration_datetime(expire_after, ignore_invalid_httpdate=True)
    return NEVER_EXPIRE if expires is None else ceil((expires - utcnow()).total_seconds())


def get_url_expiration(
    url: str | None, urls_expire_after: ExpirationPatterns | None = None
) -> ExpirationTime:
    """What the first pattern says that fits the URL; `None` if none does."""
    if not url or not urls_expire_after:
        return None
    for pattern, expire_after in urls_expire_after.items():
        if _fits(url, pattern):
            logger.debug("a URL fits the pattern %s: %s", pattern, expire_after)
            return expire_after
    return None


def add_tzinfo(moment: datetime | None) -> datetime | None:
    """The moment with a time zone: UTC, if it has none."""
    if moment is not None and moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    return moment


def utcnow() -> datetime:
    """Now, in UTC: the only clock of this package."""
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

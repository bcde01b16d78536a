"""A typed program of a user. A type checker must reject the lines marked `wrong`, no others."""

from datetime import timedelta

from requests import Session

import lacre
import lacre.requests_cache as requests_cache
from lacre import CachedResponse, CachedSession, Keyring, SQLiteCache, install_cache
from lacre.requests_cache.backends.sqlite import SQLiteDict
from lacre.requests_cache.policy.expiration import get_expiration_seconds


class Limited(lacre.CacheMixin, Session):
    """A session class with the cache mixed in."""


def titles(session: CachedSession) -> list[str]:
    response = session.get("https://example.org/", expire_after=timedelta(hours=1))
    from_cache: bool = response.from_cache
    if isinstance(response, CachedResponse):
        print(response.created_at.isoformat(), response.cache_key, from_cache)
    return [stored.url for stored in session.cache.filter(expired=False)]


session = CachedSession("cache", backend=SQLiteCache("cache"), secret_key=None)
number: int = titles(session)  # wrong
CachedSession(expire_after=object())  # wrong
lacre.no_such_name  # wrong
install_cache(expire_after=60)
Keyring.load("env:NAME")
Keyring.load(1)  # wrong
seconds: int | None = get_expiration_seconds(timedelta(hours=1))
other: requests_cache.CachedSession = session
table: SQLiteDict = SQLiteDict("cache")
limited = Limited(cache_name="cache")
limited.get("https://example.org/", only_if_cached=True)

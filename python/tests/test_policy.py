"""Lifetimes and `Cache-Control`, including deliberate differences from requests-cache."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

from lacre.policy import (
    DO_NOT_CACHE,
    NEVER_EXPIRE,
    CacheDirectives,
    CacheSettings,
    ExpirationTime,
    get_expiration_datetime,
    get_expiration_seconds,
    get_url_expiration,
    set_request_headers,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (NEVER_EXPIRE, None),
        (DO_NOT_CACHE, None),
        (0, NOON),
        (60, NOON + timedelta(minutes=1)),
        (0.5, NOON + timedelta(seconds=0.5)),
        (True, NOON + timedelta(seconds=1)),
        (timedelta(hours=1), NOON + timedelta(hours=1)),
        (
            datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            datetime(2029, 12, 31, 22, tzinfo=timezone.utc),
        ),
        ("Thu, 01 Jan 2026 13:00:00 GMT", NOON + timedelta(hours=1)),
        ("60", NOON),
        ("-1", NOON),
    ],
)
def test_every_form_of_a_lifetime_is_accepted(
    value: ExpirationTime, expected: datetime | None
) -> None:
    assert get_expiration_datetime(value, start_time=NOON) == expected


@pytest.mark.parametrize(
    ("value", "error"), [("tomorrow", ValueError), ("", ValueError), (float("inf"), OverflowError)]
)
def test_an_invalid_lifetime_is_refused(value: ExpirationTime, error: type[Exception]) -> None:
    with pytest.raises(error):
        get_expiration_datetime(value)


def test_seconds_are_rounded_up() -> None:
    assert get_expiration_seconds(timedelta(seconds=59.5)) == 60
    assert get_expiration_seconds(None) == NEVER_EXPIRE


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a/b", 1),
        ("http://example.com/c", 2),
        ("https://other.example/9", 3),
        ("https://other.example/?next=https://example.com/a", None),
    ],
)
def test_the_first_matching_url_pattern_applies(url: str, expected: int | None) -> None:
    patterns = {"example.com/a": 1, "https://example.com": 2, re.compile(r"/\d$"): 3}
    assert get_url_expiration(url, patterns) == expected  # type: ignore[arg-type]


def test_directives_are_read_in_any_case_and_quoting() -> None:
    header = 'Max-Age="60" , NO-CACHE="set-cookie, max-age=5",stale-if-error=7'
    directives = CacheDirectives.from_headers({"cache-control": header})
    assert (directives.max_age, directives.no_cache, directives.stale_if_error) == (60, True, 7)


@pytest.mark.parametrize("header", ["max-age=soon", "max-age", "max-age=", "max-age=1.5"])
def test_a_malformed_max_age_is_ignored(header: str) -> None:
    assert CacheDirectives.from_headers({"Cache-Control": header}).max_age == 0


def test_the_first_of_two_max_age_directives_applies() -> None:
    assert CacheDirectives.from_headers({"Cache-Control": "max-age=1, max-age=100"}).max_age == 1


def test_max_stale_without_a_number_accepts_any_age() -> None:
    directives = CacheDirectives.from_headers({"Cache-Control": "max-stale"})
    assert directives.get_expire_offset() > timedelta(days=10_000)


@pytest.mark.parametrize("stated", ["max-age=60", "max-age=6000", "no-transform, MAX-AGE=400"])
def test_a_request_option_overrides_its_header(stated: str) -> None:
    headers = set_request_headers({"Cache-Control": stated}, 360, False, False, False)
    assert CacheDirectives.from_headers(headers).max_age == 360


def test_headers_without_options_are_unchanged() -> None:
    headers = {"Cache-Control": "b=2 ,a", "X": "1"}
    assert set_request_headers(headers, None, False, False, False) == headers


def test_the_repr_of_settings_shows_changes_only() -> None:
    assert repr(CacheSettings()) == "CacheSettings()"
    assert repr(CacheSettings(expire_after=5)) == "CacheSettings(expire_after=5)"


def test_settings_accept_mixed_arguments_and_former_names() -> None:
    settings = CacheSettings.from_kwargs(
        old_data_on_error=True, include_get_headers=True, host="a", expire_after=None
    )
    assert settings == CacheSettings(stale_if_error=True, match_headers=True)

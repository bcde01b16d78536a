"""Requests have the names that requests-cache gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from conftest import shared
from lacre._lacre import cache_key, normalize_url

if TYPE_CHECKING:
    from lacre._lacre import PlainRequest


def request(url: str, **changes: Any) -> PlainRequest:
    return {"method": "GET", "url": url, "headers": [], "body": b"", "cookies": []} | changes


def test_every_key_is_the_one_that_requests_cache_gives() -> None:
    vectors = json.loads(shared("vectors/requests_cache_keys.json").read_text())["vectors"]
    assert len(vectors) >= 77
    for vector in vectors:
        options = vector["options"]
        ignored = options.get("ignored_parameters") or []
        key = cache_key(
            request(
                vector["url"],
                method=vector["method"],
                headers=list(vector["headers"].items()),
                body=bytes.fromhex(vector["body_hex"]),
            ),
            ignored_parameters=ignored,
            content_root_key=options.get("content_root_key"),
            match_headers=options.get("match_headers") or False,
            verify=bool(options.get("verify", True)),
            serializer=vector["serializer"],
        )
        assert key == vector["key"], vector
        assert normalize_url(vector["url"], ignored) == vector["norm_url"]


def test_what_is_ignored_tells_no_requests_apart() -> None:
    keys = {
        cache_key(request(f"https://h/?token={n}"), ignored_parameters=["token"]) for n in range(3)
    }
    assert len(keys) == 1
    named = {
        cache_key(request("https://h/", headers=[("Accept", v)]), match_headers=["accept"])
        for v in "ab"
    }
    assert len(named) == 2


def test_a_header_that_cannot_be_is_no_header_to_match() -> None:
    with pytest.raises(ValueError, match="match_headers"):
        cache_key(request("https://h/"), match_headers=["a b"])

"""Cache keys equal those of requests-cache."""

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


def test_keys_equal_those_of_requests_cache() -> None:
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


def test_ignored_parameters_do_not_affect_the_key() -> None:
    keys = {
        cache_key(request(f"https://h/?token={n}"), ignored_parameters=["token"]) for n in range(3)
    }
    assert len(keys) == 1
    named = {
        cache_key(request("https://h/", headers=[("Accept", v)]), match_headers=["accept"])
        for v in "ab"
    }
    assert len(named) == 2


def test_an_invalid_header_name_in_match_headers_is_refused() -> None:
    with pytest.raises(ValueError, match="match_headers"):
        cache_key(request("https://h/"), match_headers=["a b"])

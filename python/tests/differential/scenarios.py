"""Random scenarios from a seed: settings, requests and responses of the origin, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

Scenario = dict[str, Any]
Step = dict[str, Any]

DO_NOT_CACHE = 0x0D0E0200020704
PATHS = ["/a", "/b", "/etag", "/dated", "/vary", "/old", "/json"]
QUERIES = ["", "", "?x=1", "?x=1&y=2", "?y=2&x=1", "?token=t1&x=1", "?token=t2&x=1", "?flag", "?x="]
ACCEPTED = [None, None, "text/html", "application/json", "text/html, application/json"]
REQUEST_DIRECTIVES = [
    "max-age=5",
    "no-cache",
    "no-store",
    "max-stale=20",
    "max-stale",
    "min-fresh=10",
    "only-if-cached",
    "stale-if-error=50",
]
RESPONSE_DIRECTIVES = [
    "max-age=5",
    "max-age=60",
    "MAX-AGE=60, public",
    "max-age=5, max-age=60",
    "max-age=soon",
    "no-store",
    "no-cache",
    "must-revalidate",
    "immutable",
    "max-age=0",
    "max-age=5, stale-if-error=60",
]
EXPIRES = ["Sun, 01 Mar 2026 00:00:30 GMT", "Thu, 01 Jan 2026 00:00:00 GMT", "0", "soon"]
BODIES = [
    {"data": "plain"},
    {"data": {"x": "1", "y": "2"}},
    {"data": {"y": "2", "x": "1"}},
    {"json": {"x": 1, "y": [1, 2], "token": "t1"}},
    {"json": {"token": "t2", "y": [1, 2], "x": 1}},
    {"json": ["b", "a"]},
]


def generate(seed: int, count: int) -> Iterator[Scenario]:
    """Yields `count` scenarios. Each depends only on the seed and its number."""
    for number in range(count):
        yield scenario(Random(f"{seed}/{number}"), number)


def scenario(random: Random, number: int) -> Scenario:
    """Returns settings, the responses of each path, and steps that revisit a few URLs."""
    urls = [f"http://origin.test{random.choice(PATHS)}{random.choice(QUERIES)}" for _ in range(3)]
    return {
        "number": number,
        "backend": random.choice(["memory", "sqlite", "filesystem"]),
        "settings": settings(random),
        "origin": {path: habits(random, path) for path in PATHS},
        "steps": [step(random, urls) for _ in range(random.randint(4, 12))],
    }


def settings(random: Random) -> dict[str, Any]:
    """Returns arguments of `CachedSession`; each is usually absent."""
    choices: dict[str, list[Any]] = {
        "expire_after": [-1, 0, 5, 60, DO_NOT_CACHE, None],
        "urls_expire_after": [{"*/a": 5, "origin.test/b": DO_NOT_CACHE, "*": 60}],
        "cache_control": [True],
        "allowable_codes": [(200, 404), (200, 302)],
        "allowable_methods": [("GET", "HEAD", "POST"), ("GET", "POST", "PUT", "DELETE", "HEAD")],
        "always_revalidate": [True],
        "ignored_parameters": [["token"], [], ["x"]],
        "match_headers": [True, ["Accept"], ["accept", "X-Other"]],
        "stale_if_error": [True, 30],
        "read_only": [True],
        "content_root_key": ["y"],
    }
    return {
        name: random.choice(values) for name, values in choices.items() if random.random() < 0.2
    }


def habits(random: Random, path: str) -> dict[str, Any]:
    """Returns the headers of a path, and its statuses in order."""
    headers: dict[str, str] = {}
    if random.random() < 0.4:
        headers["Cache-Control"] = random.choice(RESPONSE_DIRECTIVES)
    if random.random() < 0.1:
        headers["Expires"] = random.choice(EXPIRES)
    if random.random() < 0.1:
        headers["Age"] = "3"
    if path == "/etag":
        headers["ETag"] = '"1"'
    if path == "/dated":
        headers["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
    if path == "/vary":
        headers["Vary"] = random.choice(["Accept", "accept, X-Other", "*", "Cookie", "Accept, *"])
    if path == "/json":
        headers["Content-Type"] = "application/json"
    if path == "/old":
        headers["Location"] = random.choice(["/a", "/etag?x=1"])
    usual = 302 if path == "/old" else 200
    statuses = (
        [usual] if random.random() < 0.7 else [usual, random.choice([404, 500, usual]), usual]
    )
    return {"headers": headers, "statuses": statuses}


def step(random: Random, urls: list[str]) -> Step:
    """Returns a request or an operation on the cache, after a delay."""
    wait = random.choice([0, 0, 0, 1, 8, 100])
    if random.random() < 0.15:
        asked = random.choice(
            ["urls", "count", "contains", "delete expired", "filter", "clear", "reset"]
        )
        return {"wait": wait, "ask": asked, "url": random.choice(urls)}
    method = random.choice(["GET"] * 8 + ["HEAD", "POST", "POST", "PUT", "DELETE"])
    request: dict[str, Any] = {
        "method": method,
        "url": random.choice(urls),
        "headers": headers(random),
    }
    if method in ("POST", "PUT"):
        request |= random.choice(BODIES)
    options = {"refresh": True, "force_refresh": True, "only_if_cached": True}
    request |= {name: value for name, value in options.items() if random.random() < 0.06}
    if random.random() < 0.12:
        request["expire_after"] = random.choice([-1, 0, 3, 3, 50, 50, 200, DO_NOT_CACHE])
    return {"wait": wait, "request": request, "fails": random.random() < 0.06}


def headers(random: Random) -> dict[str, str]:
    """Returns the headers of a request."""
    found = {}
    accepted = random.choice(ACCEPTED)
    if accepted:
        found["Accept"] = accepted
    if random.random() < 0.1:
        found["Cache-Control"] = random.choice(REQUEST_DIRECTIVES)
    if random.random() < 0.03:
        found["Range"] = "bytes=0-1"
    if random.random() < 0.1:
        found["X-Other"] = random.choice(["1", "2"])
    return found

"""The fast path for fresh responses: it answers as the normal path does and respects overrides."""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Callable, Iterator
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from requests.auth import HTTPDigestAuth

from lacre import DO_NOT_CACHE, CachedResponse, CachedSession, _lacre
from lacre._shortcut import Missed, Shortcut
from lacre.policy import utcnow
from origin import Origin, answer

URL = "http://example.test/"
SECRET = bytes(range(32))


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def normal_lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records the URLs of requests that took the normal path."""
    urls: list[str] = []
    original = CachedSession._look_up

    def look_up(self: CachedSession, actions: Any, *args: Any, **kwargs: Any) -> Any:
        urls.append(actions.request.url)
        return original(self, actions, *args, **kwargs)

    monkeypatch.setattr(CachedSession, "_look_up", look_up)
    return urls


@pytest.fixture(params=["memory", "sealed", "pickle", "filesystem"])
def session(
    request: pytest.FixtureRequest, tmp_path: Path, origin: Origin
) -> Iterator[CachedSession]:
    path = tmp_path / "cache"
    made = {
        "memory": lambda: CachedSession(backend="memory"),
        "sealed": lambda: CachedSession(path, secret_key=SECRET),
        "pickle": lambda: CachedSession(path, serializer="pickle"),
        "filesystem": lambda: CachedSession(path, backend="filesystem", secret_key=SECRET),
    }[request.param]()
    made.mount("http://", origin)
    with made:
        yield made


def test_a_fresh_response_needs_no_prepared_request(
    session: CachedSession, normal_lookups: list[str]
) -> None:
    first = session.get(URL)
    second = session.get(URL)
    assert len(normal_lookups) == 1
    assert second.from_cache
    assert second.content == first.content == b"hello"
    assert second.request.url == URL
    assert second.url == URL
    assert second.cache_key == first.cache_key
    assert [
        session.get(URL, timeout=3).from_cache,
        session.get(URL, headers={"X": "y"}).from_cache,
    ] == [True, True]
    assert len(normal_lookups) == 1


@pytest.mark.parametrize(
    ("url", "params"),
    [
        ("http://example.test", None),
        ("http://EXAMPLE.test/%7ea", None),
        (f"{URL}?b=1&a=2#part", None),
        (f"{URL}a b", {"q": "é", "n": 1}),
        ("http://user:secret@example.test/", None),
        ("http://bücher.test/", {"list": [1, 2]}),
    ],
)
def test_fast_path_keys_equal_normal_keys(
    session: CachedSession, url: str, params: Any, normal_lookups: list[str]
) -> None:
    first = session.get(url, params=params)
    hits = [session.get(url, params=params) for _ in range(2)]
    assert all(hit.from_cache and hit.cache_key == first.cache_key for hit in hits)
    assert len(normal_lookups) == (1 if params is None or "list" not in params else 3)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": (1, 2)},
        {"stream": True},
        {"allow_redirects": False},
        {"proxies": {"http": "http://127.0.0.1:1"}},
        {"cookies": {"a": "b"}},
        {"auth": ("user", "secret")},
        {"expire_after": 60},
        {"expire_after": timedelta(minutes=1)},
        {"only_if_cached": True},
        {"headers": {"Authorization": "Bearer secret"}},
    ],
    ids=str,
)
def test_irrelevant_arguments_keep_the_fast_path(
    session: CachedSession, options: Any, normal_lookups: list[str]
) -> None:
    key = session.get(URL).cache_key
    found = session.get(URL, **options)
    assert found.from_cache
    assert found.cache_key == key
    assert len(normal_lookups) == 1
    # The normal path gives the same result.
    assert CachedSession.send(session, requests.Request("GET", URL).prepare()).cache_key == key


def test_the_parameters_of_the_session_are_part_of_the_key(
    session: CachedSession, normal_lookups: list[str]
) -> None:
    session.params = {"a": "1", "b": "2"}
    first = session.get(URL, params={"b": "3", "c": "4"})
    assert session.get(URL, params={"b": "3", "c": "4"}).cache_key == first.cache_key
    assert session.get(URL, params={"b": "3"}).from_cache is False
    session.params = {}
    assert session.get(URL, params={"b": "3", "c": "4"}).from_cache is False
    assert len(normal_lookups) == 3


def test_parameters_of_different_types_have_different_keys(origin: Origin) -> None:
    session = CachedSession(backend="memory")
    session.mount("http://", origin)
    for params in ({"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}, {"a": b"1"}):
        for _ in range(2):
            assert session.get(URL, params=params).url == _prepared(params)


def _prepared(params: Any) -> str | None:
    return requests.Request("GET", URL, params=params).prepare().url


_CHANGES: dict[str, Callable[[CachedSession], Any]] = {
    "auth": lambda session: setattr(session, "auth", HTTPDigestAuth("user", "secret")),
    "params": lambda session: setattr(session, "params", [("a", "b")]),
    "verify": lambda session: setattr(session, "verify", False),
    "hooks": lambda session: session.hooks["response"].append(lambda response, **_: None),
    "no-cache": lambda session: session.headers.update({"Cache-Control": "no-cache"}),
    "range": lambda session: session.headers.update({"Range": "bytes=0-1"}),
    "method": lambda session: session.headers.update({"X-HTTP-Method": "PUT"}),
    "headers": lambda session: setattr(session, "headers", {"A": "b"}),
    "send": lambda session: setattr(session, "send", session.send),
    "prepare": lambda session: setattr(session, "prepare_request", session.prepare_request),
    "key": lambda session: setattr(session.cache, "create_key", session.cache.create_key),
    "read": lambda session: setattr(session.cache, "get_response", session.cache.get_response),
    "disabled": lambda session: setattr(session.settings, "disabled", True),
    "always_revalidate": lambda session: setattr(session.settings, "always_revalidate", True),
    "match_headers": lambda session: setattr(session.settings, "match_headers", ["X"]),
    "key_fn": lambda session: setattr(session.settings, "key_fn", lambda **_: "key"),
    "filter_fn": lambda session: setattr(session.settings, "filter_fn", lambda _: True),
    "expire_after": lambda session: setattr(session.settings, "expire_after", DO_NOT_CACHE),
    "urls": lambda session: setattr(session.settings, "urls_expire_after", {"*": DO_NOT_CACHE}),
    "methods": lambda session: setattr(session.settings, "allowable_methods", ["POST"]),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_overridden_attributes_disable_the_fast_path(
    origin: Origin, change: str, normal_lookups: list[str]
) -> None:
    session = CachedSession(backend="memory")
    session.mount("http://", origin)
    session.get(URL)
    _CHANGES[change](session)
    session.get(URL)
    assert len(normal_lookups) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"refresh": True},
        {"force_refresh": True},
        {"expire_after": 0},
        {"expire_after": -0.5},
        {"expire_after": timedelta(microseconds=1)},
        {"expire_after": DO_NOT_CACHE},
        {"verify": False},
        {"data": "a"},
        {"json": {}},
        {"auth": HTTPDigestAuth("user", "secret")},
        {"hooks": {"response": lambda response, **_: None}},
        {"headers": {"Cache-Control": "no-cache"}},
        {"headers": {"range": "bytes=0-1"}},
        {"headers": {"x-method-override": "PUT"}},
    ],
    # Without memory addresses: all processes of a run need the same test ids.
    ids=lambda options: re.sub(r" at 0x\w+", "", str(options)),
)
def test_request_options_disable_the_fast_path(
    origin: Origin, options: Any, normal_lookups: list[str]
) -> None:
    session = CachedSession(backend="memory")
    session.mount("http://", origin)
    session.get(URL)
    session.get(URL, **options)
    assert len(normal_lookups) == 2


@pytest.mark.parametrize("method", ["send", "prepare_request", "merge_environment_settings"])
def test_a_subclass_with_overrides_disables_the_fast_path(origin: Origin, method: str) -> None:
    calls: list[str] = []

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(method)
        return getattr(super(Own, self), method)(*args, **kwargs)

    class Own(CachedSession):
        pass

    setattr(Own, method, called)
    session = Own(backend="memory")
    session.mount("http://", origin)
    session.get(URL)
    session.get(URL)
    assert len(calls) == 2


def test_an_expired_response_is_not_served(session: CachedSession, origin: Origin) -> None:
    session.settings.expire_after = 60
    assert not session.get(URL).from_cache
    assert session.get(URL).from_cache
    with time_machine.travel(utcnow() + timedelta(seconds=61)):
        assert not session.get(URL).from_cache


def test_headers_that_vary_names_are_compared(
    session: CachedSession, origin: Origin, normal_lookups: list[str]
) -> None:
    origin.default = answer(Vary="Accept, X-Kind")
    session.get(URL, headers={"X-Kind": "a"})
    assert session.get(URL, headers={"x-kind": "a"}).from_cache
    assert len(normal_lookups) == 1
    assert not session.get(URL, headers={"X-Kind": "b"}).from_cache
    assert not session.get(URL).from_cache
    session.headers["Accept"] = "text/plain"
    assert not session.get(URL, headers={"X-Kind": "a"}).from_cache
    assert session.get(URL, headers={"X-Kind": "a", "Accept": "*/*"}).from_cache


@pytest.mark.parametrize("vary", ["*", "Accept, *", "Cookie", "Authorization", "X-API-Key"])
def test_headers_added_late_disable_the_fast_path_for_vary(
    session: CachedSession, origin: Origin, vary: str, normal_lookups: list[str]
) -> None:
    origin.default = answer(Vary=vary)
    session.get(URL)
    session.get(URL)
    assert len(normal_lookups) == 2


@pytest.mark.parametrize("said", ["no-cache", "max-age=60, must-revalidate"])
def test_responses_that_require_validation_are_validated(
    session: CachedSession, origin: Origin, said: str, normal_lookups: list[str]
) -> None:
    session.settings.cache_control = True
    origin.default = answer(Cache_Control=said, ETag='"a"')
    session.get(URL)
    session.get(URL)
    assert len(normal_lookups) == 2


def test_a_lazy_response_equals_an_eager_one(session: CachedSession, origin: Origin) -> None:
    origin.answers["/old"] = answer(status=302, Location="/")
    origin.default = answer(
        "é", Content_Type="text/plain; charset=utf-8", Set_Cookie="a=b", ETag='"e"'
    )
    session.get(f"{URL}old")
    found = session.cache.get_response(session.get(f"{URL}old").cache_key)
    assert found is not None
    again = pickle.loads(pickle.dumps(found))
    assert again == copy(found) == found == CachedResponse.from_response(found)
    assert [hop.status_code for hop in again.history] == [302]
    assert (again.text, again.reason, again.encoding) == ("é", found.reason, found.encoding)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = found.nothing
    assert str(found).startswith("<CachedResponse [200]")


def test_a_body_that_was_read_can_be_read_again(session: CachedSession) -> None:
    session.get(URL)
    for _ in range(3):
        found = session.get(URL, stream=True)
        assert found.from_cache
        assert found.raw.read() == b"hello"


def test_remembered_keys_are_bounded(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lacre._shortcut._MAX_KEYS", 3)
    shortcut = Shortcut()
    session = CachedSession(backend="memory")
    for number in range(10):
        assert isinstance(shortcut.find(session, f"{URL}{number}", None, {}), Missed)
        assert len(shortcut._known[1]) <= 3
    assert isinstance(shortcut.find(session, URL + "a" * 3000, None, {}), Missed)
    assert isinstance(shortcut.find(session, URL, None, {"params": {"a": "a" * 3000}}), Missed)
    assert all(len(repr(name)) < 3000 for name in shortcut._known[1])


def test_a_url_is_plain_only_if_requests_keeps_it() -> None:
    rng = random.Random(5)
    session = CachedSession(backend="memory")
    serializer = str(session.cache.responses.serializer)
    parts = [
        "a",
        "Z",
        "0",
        "-",
        ".",
        "_",
        "~",
        "/",
        "//",
        "..",
        "%41",
        "%",
        "?",
        "&",
        "=",
        "+",
        ":",
        "@",
        "#",
        " ",
        "é",
        ";",
        ",",
    ]
    hosts = [
        "example.test",
        "a.b-c.test",
        "127.0.0.1",
        "[::1]",
        "a..b",
        ".a",
        "*.a",
        "-a",
        "xn--a",
        "A.test",
        "a_b",
        "",
        "é",
    ]
    ports = ["", ":80", ":8080", ":0080", ":", ":x", ":70000", ":443"]
    plain = 0
    for _ in range(30_000):
        tail = "".join(
            rng.choice(parts[: rng.choice((8, len(parts)))]) for _ in range(rng.randrange(12))
        )
        slash = rng.choice(("/", "/", "/", ""))
        scheme = rng.choice(("http", "https", "HTTP", "ftp"))
        url = f"{scheme}://{rng.choice(hosts)}{rng.choice(ports)}{slash}{tail}"
        key = _lacre.plain_key(url, ("a",), serializer)
        if key is None:
            continue
        plain += 1
        prepared = requests.Request("GET", url).prepare()
        assert prepared.url == url
        session.settings.ignored_parameters = ["a"]
        assert session.cache.create_key(prepared) == key
    assert plain > 300


def test_a_miss_is_looked_up_once(session: CachedSession, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = type(session.cache.responses)
    looked_up: list[Any] = []
    original = storage.__getitem__

    def get(self: Any, key: str) -> Any:
        if self is session.cache.responses:
            looked_up.append(key)
        return original(self, key)

    monkeypatch.setattr(storage, "__getitem__", get)
    response = session.get(URL)
    assert not response.from_cache
    assert looked_up.count(response.cache_key) == 1


def test_a_response_stored_after_a_miss_is_found(
    session: CachedSession, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Shortcut.find
    between: list[str] = []

    def find(self: Shortcut, *args: Any) -> Any:
        found = original(self, *args)
        if not between:
            between.append("once")
            assert not session.get(URL).from_cache
        return found

    monkeypatch.setattr(Shortcut, "find", find)
    assert session.get(URL).from_cache
    assert len(origin.requests) == 1


def test_a_miss_does_not_affect_the_next_request(session: CachedSession, origin: Origin) -> None:
    session.get(URL)
    prepared = session.prepare_request(requests.Request("GET", URL))
    with pytest.raises(requests.exceptions.InvalidHeader):
        session.get(f"{URL}other", headers={"X": "two\nlines"})
    assert session.send(prepared).from_cache
    assert len(origin.requests) == 1

"""Sessions, including deliberate differences from requests-cache."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO, UnsupportedOperation
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
import time_machine
from requests import PreparedRequest, Response

import loopback
from lacre import (
    DO_NOT_CACHE,
    BaseCache,
    CachedSession,
    ConfigError,
    SQLiteCache,
    install_cache,
    uninstall_cache,
)
from lacre.policy import utcnow
from loopback import OriginResponse
from origin import Answer, Origin, answer

URL = "http://example.test/"


@pytest.fixture
def origin() -> Origin:
    return Origin()


def session(origin: Origin, **settings: Any) -> CachedSession:
    made = CachedSession(backend="memory", **settings)
    made.mount("http://", origin)
    return made


def later(seconds: float) -> time_machine.travel:
    return time_machine.travel(utcnow() + timedelta(seconds=seconds))


def test_a_second_request_is_answered_from_the_cache(origin: Origin) -> None:
    cached = session(origin)
    assert [cached.get(URL).from_cache, cached.get(URL).from_cache] == [False, True]
    assert len(origin.requests) == 1


def test_get_accepts_positional_parameters(origin: Origin) -> None:
    assert session(origin).get(URL, {"a": 1}).url == f"{URL}?a=1"


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_changing_the_headers_of_a_response_does_not_change_the_cache(
    origin: Origin, backend: str, tmp_path: Path
) -> None:
    origin.answers["/"] = answer(**{"X-Api-Key": "secret", "B": "1", "A": "2"})
    cached = CachedSession(
        tmp_path / "cache", backend, secret_key="of at least 32 random bytes, as it must be"
    )
    cached.mount("http://", origin)
    first = cached.get(URL, headers={"Authorization": "secret"})
    assert first.headers["X-Api-Key"] == "secret" == first.request.headers["Authorization"]
    names = list(first.headers)
    first.headers["A"] = first.request.headers["Accept"] = "changed"
    stored = cached.get(URL)
    assert stored.from_cache
    assert (list(stored.headers), stored.headers["A"]) == (names, "2")
    assert stored.headers["X-Api-Key"] == "REDACTED" == stored.request.headers["Authorization"]
    assert stored.request.headers["Accept"] == "*/*"


def test_changing_a_response_does_not_change_the_cache_without_redaction(
    origin: Origin,
) -> None:
    cached = session(origin, ignored_parameters=None)
    first = cached.get(URL)
    first.headers["A"] = first.request.headers["A"] = "added"
    stored = cached.get(URL)
    assert stored.from_cache
    assert "A" not in stored.headers
    assert "A" not in stored.request.headers


def test_the_bypass_header_is_never_sent_and_covers_redirects(origin: Origin) -> None:
    origin.answers["/old"] = answer(status=302, Location="/")
    cached = session(origin)
    cached.get(f"{URL}old", expire_after=DO_NOT_CACHE)
    assert [request.path_url for request in origin.requests] == ["/old", "/"]
    assert not any("X-ACTUAL-NO-CACHE" in request.headers for request in origin.requests)
    assert len(cached.cache.responses) == 0
    assert cached.get(URL).from_cache is False


def test_hooks_run_once_for_hits_and_misses(origin: Origin) -> None:
    calls: list[bool] = []

    def hook(response: Any, **_: Any) -> None:
        calls.append(getattr(response, "from_cache", False))

    cached = session(origin)
    for _ in range(2):
        cached.get(URL, hooks={"response": hook})
    assert calls == [False, True]


@pytest.mark.parametrize("vary", ["*", "Accept, *"])
def test_a_star_in_vary_is_never_a_hit(origin: Origin, vary: str) -> None:
    origin.default = answer(Vary=vary)
    cached = session(origin)
    cached.get(URL)
    assert cached.get(URL).from_cache is False


def test_variants_are_stored_side_by_side(origin: Origin) -> None:
    origin.default = answer(Vary="Accept")
    cached = session(origin)
    for expected in (False, True):
        for accepted in ("text/html", "application/json"):
            assert cached.get(URL, headers={"Accept": accepted}).from_cache is expected


def test_cookies_in_a_header_are_part_of_vary(origin: Origin) -> None:
    origin.default = answer(Vary="Cookie")
    cached = session(origin)
    cached.get(URL, headers={"Cookie": "user=1"})
    assert cached.get(URL, headers={"Cookie": "user=1"}).from_cache is True
    assert cached.get(URL, headers={"Cookie": "user=2"}).from_cache is False


def test_only_if_cached_never_sends(origin: Origin) -> None:
    origin.default = answer(Vary="Accept")
    cached = session(origin)
    cached.get(URL, headers={"Accept": "text/html"})
    assert cached.get(URL, headers={"Accept": "text/plain"}, only_if_cached=True).status_code == 504
    assert len(origin.requests) == 1


def test_a_partial_response_is_not_stored_as_complete(origin: Origin) -> None:
    origin.default = answer(body="ell", status=206, Content_Range="bytes 1-3/5")
    cached = session(origin, allowable_codes=(200, 206))
    assert cached.get(URL, headers={"Range": "bytes=1-3"}).text == "ell"
    origin.default = answer()
    assert cached.get(URL).text == "hello"


def test_a_partial_response_is_stored_if_range_is_matched(origin: Origin) -> None:
    origin.default = answer(body="ell", status=206)
    cached = session(origin, allowable_codes=(200, 206), match_headers=["Range"])
    for expected in (False, True):
        assert cached.get(URL, headers={"Range": "bytes=1-3"}).from_cache is expected


def test_age_reduces_the_lifetime(origin: Origin) -> None:
    origin.default = answer(Cache_Control="max-age=60", Age="50")
    cached = session(origin, cache_control=True)
    cached.get(URL)
    with later(5):
        assert cached.get(URL).from_cache is True
    with later(15):
        assert cached.get(URL).from_cache is False


def test_an_invalid_expires_date_has_expired(origin: Origin) -> None:
    origin.default = answer(Expires="some day")
    cached = session(origin, cache_control=True)
    assert cached.get(URL).status_code == 200
    assert cached.get(URL).from_cache is False


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_unsafe_request_invalidates_its_url(origin: Origin, method: str) -> None:
    cached = session(origin, cache_control=True)
    cached.get(URL)
    assert cached.get(URL).from_cache is True
    cached.request(method, URL, data="x")
    assert cached.get(URL).from_cache is False


def test_a_failed_unsafe_request_invalidates_nothing(origin: Origin) -> None:
    cached = session(origin, cache_control=True)
    cached.get(URL)
    origin.default = answer(status=500)
    cached.post(URL)
    assert cached.get(URL).from_cache is True


def test_stale_if_error_of_the_origin_is_obeyed(origin: Origin) -> None:
    origin.default = answer(Cache_Control="max-age=1, stale-if-error=100")
    cached = session(origin, cache_control=True)
    cached.get(URL)
    origin.default = answer(status=503)
    with later(10):
        assert (cached.get(URL).status_code, cached.get(URL).from_cache) == (200, True)
    with later(200):
        assert cached.get(URL).status_code == 503


def test_must_revalidate_forbids_stale_responses_on_errors(origin: Origin) -> None:
    origin.default = answer(Cache_Control="no-cache", ETag='"1"')
    cached = session(origin, cache_control=True)
    cached.get(URL)

    def fail(request: PreparedRequest) -> Response:
        raise requests.ConnectionError("no network")

    origin.default = fail
    with pytest.raises(requests.ConnectionError):
        cached.get(URL)


def test_simultaneous_stale_hits_start_one_refresh(origin: Origin) -> None:
    cached = session(origin, expire_after=1, stale_while_revalidate=True)
    cached.get(URL)
    proceed, usual, before = Event(), origin.default, set(threading.enumerate())

    def slow(request: PreparedRequest) -> Response:
        proceed.wait(60)
        return usual(request)

    origin.default = slow
    with later(5):
        assert all(cached.get(URL).from_cache for _ in range(5))
        proceed.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
    assert len(origin.requests) == 2


def test_simultaneous_equal_misses_send_one_request(origin: Origin) -> None:
    cached = session(origin)
    entered, proceed, usual = Event(), Event(), origin.default

    def slow(request: PreparedRequest) -> Response:
        entered.set()
        proceed.wait(60)
        return usual(request)

    origin.default = slow
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(cached.get, URL) for _ in range(8)]
        assert entered.wait(60)
        proceed.set()
        bodies = {each.result(20).text for each in answers}
    assert bodies == {"hello"}
    assert len(origin.requests) == 1


def test_a_waiter_sends_its_own_request_if_the_first_fails(origin: Origin) -> None:
    origin.default = answer(status=404)
    cached = session(origin)
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: cached.get(URL).status_code, range(4)))
    assert statuses == [404] * 4


def test_mutual_redirects_do_not_deadlock(origin: Origin) -> None:
    both = threading.Barrier(2, timeout=60)

    def to(path: str) -> Answer:
        def make(request: PreparedRequest) -> Response:
            both.wait()
            return answer(status=302, Location=path)(request)

        return make

    origin.answers = {"/a": to("/b"), "/b": to("/a")}
    cached = session(origin)
    cached.max_redirects = 3

    def follow(path: str) -> None:
        with pytest.raises(requests.TooManyRedirects):
            cached.get(f"http://example.test/{path}")

    with ThreadPoolExecutor(2) as pool:
        assert [each.result(30) for each in [pool.submit(follow, path) for path in "ab"]] == [
            None,
            None,
        ]


@pytest.mark.parametrize("settings", [{"expire_after": 1}, {"cache_control": True}], ids=str)
def test_validators_are_not_sent_to_the_target_of_a_redirect(
    origin: Origin, settings: dict[str, Any]
) -> None:
    def tagged(body: str) -> Answer:
        def make(request: PreparedRequest) -> Response:
            known = request.headers.get("If-None-Match") == '"1"'
            return answer(
                "" if known else body, 304 if known else 200, ETag='"1"', Cache_Control="max-age=1"
            )(request)

        return make

    origin.answers = {"/a": tagged("a"), "/b": tagged("b")}
    cached = session(origin, **settings)
    assert cached.get(f"{URL}a").text == "a"
    origin.answers["/a"] = answer(status=302, Location="/b")
    with later(10):
        assert [cached.get(f"{URL}a").text for _ in range(2)] == ["b", "b"]
        unfollowed = cached.get(f"{URL}a", force_refresh=True, allow_redirects=False)
        assert unfollowed.next is not None
        assert "If-None-Match" not in unfollowed.next.headers
    assert ["If-None-Match" in request.headers for request in origin.requests[:3]] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("said", ["no-cache", "max-age=0, must-revalidate"])
def test_stale_if_error_of_the_user_overrides_must_revalidate(origin: Origin, said: str) -> None:
    origin.default = answer(Cache_Control=said, ETag='"1"')
    cached = session(origin, cache_control=True, stale_if_error=True)
    cached.get(URL)
    origin.default = answer(status=503)
    assert cached.get(URL).from_cache


def test_ignored_parameters_are_redacted_in_any_case(
    origin: Origin,
) -> None:
    cached = session(origin)
    for expected in (False, True):
        assert cached.get(f"{URL}?api_key={expected}").from_cache is expected
    for name in ("API_KEY", "Api_Key"):
        assert not cached.get(f"{URL}?{name}=secret").from_cache
        stored = cached.get(f"{URL}?{name}=secret")
        assert stored.from_cache
        assert "secret" not in (stored.url or "") + (stored.request.url or "")


def test_a_class_as_backend_and_an_unusable_secret_are_refused() -> None:
    with pytest.raises(ValueError, match="Invalid backend"):
        CachedSession(backend=SQLiteCache)  # type: ignore[arg-type]
    for settings in ({"serializer": "json"}, {"backend": BaseCache()}):
        with pytest.raises(ConfigError):
            CachedSession(secret_key=b"0123456789" * 4, **settings)  # type: ignore[arg-type]


class Once(BytesIO):
    """A body that can be read only once."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: Any) -> int:
        raise UnsupportedOperation

    def tell(self) -> int:
        raise UnsupportedOperation


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_unrewindable_body_is_sent_complete_without_a_lookup(
    origin: Origin, method: str
) -> None:
    sent: list[bytes] = []

    def read(request: PreparedRequest) -> Response:
        body: Any = request.body
        sent.append(body.read() if hasattr(body, "read") else b"".join(body))
        return answer()(request)

    origin.default = read
    cached = session(origin, allowable_methods=["GET", "POST"])
    for _ in range(2):
        assert not cached.request(method, URL, data=Once(b"body")).from_cache
        assert not cached.request(method, URL, data=iter([b"bo", b"dy"])).from_cache
    assert sent == [b"body"] * 4
    assert not any("X-ACTUAL-NO-CACHE" in request.headers for request in origin.requests)


def test_a_file_body_is_keyed_from_its_position(origin: Origin) -> None:
    sent: list[bytes] = []

    def read(request: PreparedRequest) -> Response:
        body: Any = request.body
        sent.append(body.read())
        return answer()(request)

    def body(content: bytes) -> BytesIO:
        file = BytesIO(b"before " + content)
        file.seek(7)
        return file

    origin.default = read
    cached = session(origin, allowable_methods=["POST"])
    assert [cached.post(URL, data=body(content)).from_cache for content in (b"1", b"1", b"2")] == [
        False,
        True,
        False,
    ]
    assert sent == [b"1", b"2"]


@pytest.mark.parametrize("encoded", [False, True])
def test_a_raw_response_is_a_file_for_hits_and_misses(tmp_path: Path, encoded: bool) -> None:
    body = b"".join(b"line %d\n" % line for line in range(3000))
    headers = {"Content-Type": "text/csv", **({"Content-Encoding": "gzip"} if encoded else {})}
    with loopback.origin() as origin, CachedSession(tmp_path / "cache") as cached:
        url = origin.serve(
            "/", OriginResponse(gzip.compress(body) if encoded else body, headers=headers)
        )
        for expected in (False, True):
            assert len(list(cached.get(url, stream=True).raw)) == 3000 or encoded
            response = cached.get(url, stream=True, force_refresh=not expected)
            assert response.from_cache is expected
            assert (response.raw.version, response.raw.status, response.raw.closed) == (
                11,
                200,
                False,
            )
            assert response.raw.read(decode_content=True) == body
            whole = cached.get(url, force_refresh=not expected)
            assert whole.raw.closed
            assert whole.content == body
            assert list(cached.get(url, stream=True).iter_lines()) == body.splitlines()


@pytest.fixture
def installed() -> Iterator[None]:
    install_cache(backend="memory")
    yield
    uninstall_cache()


@pytest.mark.usefixtures("installed")
def test_all_sessions_share_the_installed_cache() -> None:
    origin = Origin()
    for expected in (False, True):
        with requests.Session() as plain:
            plain.mount("http://", origin)
            assert plain.get(URL).from_cache is expected  # type: ignore[attr-defined]

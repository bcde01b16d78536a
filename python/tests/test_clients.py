"""Sessions together with other libraries for requests: mocks, recorders, OAuth, proxies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import requests

from lacre import CachedSession, CacheMixin, install_cache, uninstall_cache
from origin import Origin, answer

URL = "http://example.test/data"


class Echo(BaseHTTPRequestHandler):
    """Answers with the request target, and records it."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = f"{self.path} for {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server() -> Iterator[tuple[str, list[str]]]:
    """Runs a server on loopback; yields its URL and the request targets."""
    asked: list[str] = []
    listening = ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (Echo,), {"asked": asked}))
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", asked
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def test_requests_mock_as_an_adapter_answers_misses() -> None:
    requests_mock = pytest.importorskip("requests_mock")
    session = CachedSession(backend="memory")
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", URL, text="mocked", headers={"X-Mock": "yes"})
    session.mount("http://", adapter)
    first, second = session.get(URL), session.get(URL)
    assert [first.from_cache, second.from_cache, adapter.call_count] == [False, True, 1]
    assert second.text == "mocked"
    assert second.headers["X-Mock"] == "yes"


def test_requests_mock_as_a_patch_precedes_an_installed_cache() -> None:
    requests_mock = pytest.importorskip("requests_mock")
    install_cache(backend="memory")
    try:
        with requests_mock.Mocker() as mocker:
            mocker.get(URL, text="mocked")
            assert [requests.get(URL).text for _ in range(2)] == ["mocked", "mocked"]
            assert mocker.call_count == 2
        with requests.Session() as session:
            assert not session.cache.contains(url=URL)  # type: ignore[attr-defined]
    finally:
        uninstall_cache()


def test_responses_answers_misses() -> None:
    responses = pytest.importorskip("responses")
    session = CachedSession(backend="memory")
    with responses.RequestsMock() as mocker:
        mocker.get(URL, json={"mocked": True}, headers={"Cache-Control": "max-age=60"})
        first, second = session.get(URL), session.get(URL)
        assert [first.from_cache, second.from_cache, len(mocker.calls)] == [False, True, 1]
        assert second.json() == {"mocked": True}


def test_a_cassette_records_misses_and_replays_them_to_a_new_cache(tmp_path: Path) -> None:
    vcr = pytest.importorskip("vcr")
    recorder = vcr.VCR(cassette_library_dir=str(tmp_path), record_mode="once")
    with server() as (origin, asked), recorder.use_cassette("tape.yaml") as cassette:
        session = CachedSession(backend="memory")
        texts = [session.get(f"{origin}/a?b=1").text for _ in range(2)]
        assert asked == ["/a?b=1"]
        assert len(cassette) == 1, "the hit did not pass the recorder"
    # The server is gone: the cassette answers.
    with recorder.use_cassette("tape.yaml") as cassette:
        session = CachedSession(tmp_path / "cache")
        played = [session.get(f"{origin}/a?b=1") for _ in range(2)]
        assert [response.text for response in played] == texts
        assert [response.from_cache for response in played] == [False, True]
        assert cassette.play_count == 1
        session.close()


def test_an_oauth_session_with_the_mixin_does_not_store_its_token(tmp_path: Path) -> None:
    oauthlib = pytest.importorskip("requests_oauthlib")

    class OAuth(CacheMixin, oauthlib.OAuth2Session):  # type: ignore[misc, name-defined]
        pass

    token = {"access_token": "hidden-from-the-disk", "token_type": "Bearer"}
    origin = Origin(answer("private"))
    with OAuth(
        cache_name=tmp_path / "cache", backend="sqlite", client_id="me", token=token
    ) as session:
        session.mount("https://", origin)
        found = [session.get("https://example.test/me") for _ in range(2)]
        assert [response.from_cache for response in found] == [False, True]
        assert [response.text for response in found] == ["private", "private"]
    assert origin.requests[0].headers["Authorization"] == "Bearer hidden-from-the-disk"
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"hidden-from-the-disk" not in file.read_bytes(), file


def test_an_oauth1_signature_costs_no_hit() -> None:
    oauthlib = pytest.importorskip("requests_oauthlib")
    origin = Origin(answer("private"))
    session = CachedSession(backend="memory")
    session.auth = oauthlib.OAuth1("client", "client-secret", "owner", "owner-secret")
    session.mount("https://", origin)
    found = [session.get("https://example.test/me") for _ in range(2)]
    assert [response.from_cache for response in found] == [False, True]
    assert b"oauth_signature" in origin.requests[0].headers["Authorization"]  # type: ignore[operator]


def test_only_misses_use_the_proxy_of_the_session() -> None:
    with server() as (proxy, asked):
        session = CachedSession(backend="memory")
        session.proxies = {"http": proxy}
        found = [session.get("http://example.invalid/page") for _ in range(2)]
        assert [response.text for response in found] == [
            "http://example.invalid/page for example.invalid"
        ] * 2
        assert [response.from_cache for response in found] == [False, True]
        assert asked == ["http://example.invalid/page"]


def test_misses_use_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (proxy, asked):
        for name in ["no_proxy", "NO_PROXY"]:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy)
        session = CachedSession(backend="memory")
        assert session.get("http://example.invalid/page").text.endswith("for example.invalid")
        assert session.get("http://example.invalid/page").from_cache
        assert asked == ["http://example.invalid/page"]


def test_requests_ratelimiter_as_a_mixin_limits_no_hit(tmp_path: Path) -> None:
    from requests_ratelimiter import LimiterMixin, SQLiteBucket

    class CachedLimiterSession(CacheMixin, LimiterMixin, requests.Session):
        """The setup from its documentation: the limits are stored in the cache file."""

    options = {
        "path": tmp_path / "cache.db",
        "isolation_level": "EXCLUSIVE",
        "check_same_thread": False,
    }
    with (
        server() as (url, asked),
        CachedLimiterSession(
            per_hour=1,
            cache_name=tmp_path / "cache.db",
            bucket_class=SQLiteBucket,
            bucket_kwargs=options,
        ) as session,
    ):
        # A second limited request would wait for an hour.
        assert [session.get(f"{url}/data").from_cache for _ in range(20)] == [False] + [True] * 19
        assert asked == ["/data"]


def test_requests_ratelimiter_as_an_adapter_limits_misses(tmp_path: Path) -> None:
    from requests_ratelimiter import LimiterAdapter, LimiterSession

    class CachedLimiterSession(CacheMixin, LimiterSession):
        pass

    mounted = CachedSession(tmp_path / "cache")
    mounted.mount("http://", LimiterAdapter(per_hour=1))
    with (
        server() as (url, asked),
        mounted,
        CachedLimiterSession(backend="memory", per_hour=1) as below,
    ):
        for session in (mounted, below):
            assert [session.get(f"{url}/data").from_cache for _ in range(3)] == [False, True, True]
        assert asked == ["/data"] * 2

"""Published packages that use requests, with a cached session or the mixin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests_cache
from requests_cache import CachedSession, CacheMixin

from conftest import RELEASED, Internet

URL = "https://api.example.org/data"


@pytest.fixture
def data(internet: Internet) -> Internet:
    internet.answers["api.example.org/data"] = json.dumps({"answer": 42})
    return internet


def test_requests_futures_uses_a_cached_session(data: Internet, tmp_path: Path) -> None:
    from requests_futures.sessions import FuturesSession

    with FuturesSession(session=CachedSession(tmp_path / "cache"), max_workers=4) as session:
        assert session.get(URL).result().json() == {"answer": 42}
        hits = [future.result() for future in [session.get(URL) for _ in range(20)]]
    assert all(hit.from_cache and hit.json() == {"answer": 42} for hit in hits)
    assert len(data.asked) == 1


def test_requests_toolbelt_sets_base_urls_dumps_and_streams(data: Internet, tmp_path: Path) -> None:
    from requests_toolbelt.downloadutils.stream import stream_response_to_file
    from requests_toolbelt.sessions import BaseUrlSession
    from requests_toolbelt.utils import dump

    class CachedBaseUrlSession(CacheMixin, BaseUrlSession):
        pass

    session = CachedBaseUrlSession(
        base_url="https://api.example.org/", cache_name=str(tmp_path / "cache")
    )
    first, hit = session.get("data"), session.get("data")
    assert [first.from_cache, hit.from_cache] == [False, True]
    assert b'{"answer": 42}' in dump.dump_response(first)
    if not RELEASED:
        # It reads the sender of a response, which responses of requests-cache do not have.
        assert b'{"answer": 42}' in dump.dump_response(hit)
    path = stream_response_to_file(session.get("data", stream=True), path=str(tmp_path / "file"))
    assert Path(path).read_text() == '{"answer": 42}'
    assert len(data.asked) == 1


def test_mechanicalsoup_browses_from_the_cache(internet: Internet, tmp_path: Path) -> None:
    import mechanicalsoup

    page = ("Content-Type", "text/html")
    internet.answers["pages.example.org/"] = (200, dict([page]), '<a href="/next">next</a>')
    internet.answers["pages.example.org/next"] = (200, dict([page]), "<h1>There</h1>")
    for _ in range(2):
        session = CachedSession(tmp_path / "cache")
        with mechanicalsoup.StatefulBrowser(session=session) as browser:
            browser.open("https://pages.example.org/")
            browser.follow_link("next")
            assert browser.page.h1.text == "There"
    assert len(internet.asked) == 2


def test_spotipy_takes_a_cached_session(internet: Internet, tmp_path: Path) -> None:
    import spotipy

    internet.answers["api.spotify.com/v1/artists/1"] = json.dumps({"name": "An artist"})
    session = CachedSession(tmp_path / "cache", expire_after=60)
    for _ in range(2):
        client = spotipy.Spotify(auth="token", requests_session=session)
        assert client.artist("1")["name"] == "An artist"
    assert len(internet.asked) == 1
    assert b"token" not in (tmp_path / "cache.sqlite").read_bytes()


def test_wikipedia_uses_an_installed_cache(internet: Internet, tmp_path: Path) -> None:
    import wikipedia

    found = {"query": {"search": [{"title": "Lacre"}], "searchinfo": {}}}
    internet.answers["en.wikipedia.org/w/api.php"] = json.dumps(found)
    requests_cache.install_cache(str(tmp_path / "cache"))
    try:
        for _ in range(2):
            assert wikipedia.search("sealing wax") == ["Lacre"]
            # It has a cache of its own, too.
            wikipedia.search.clear_cache()
    finally:
        requests_cache.uninstall_cache()
    assert len(internet.asked) == 1


def test_pystac_client_walks_a_catalog_from_the_cache(internet: Internet, tmp_path: Path) -> None:
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO

    root = "https://stac.example.org/"
    links = [{"rel": "self", "href": root}, {"rel": "child", "href": f"{root}child"}]
    catalog = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "root",
        "description": "-",
        "links": links,
    }
    child = catalog | {"id": "child", "links": [{"rel": "self", "href": f"{root}child"}]}
    internet.answers["stac.example.org/"] = json.dumps(catalog)
    internet.answers["stac.example.org/child"] = json.dumps(child)
    for _ in range(2):
        io = StacApiIO()
        io.session = requests_cache.CachedSession.wrap(
            io.session, cache_name=str(tmp_path / "cache")
        )
        client = Client.open(root, stac_io=io)
        assert [found.id for found in client.get_children()] == ["child"]
    assert sorted(set(internet.asked)) == ["GET stac.example.org/", "GET stac.example.org/child"]
    assert len(internet.asked) == 2


def test_internetarchive_sessions_take_the_mixin(internet: Internet, tmp_path: Path) -> None:
    from internetarchive import get_item
    from internetarchive.session import ArchiveSession

    class CachedArchiveSession(CacheMixin, ArchiveSession):
        """The mixin class from the documentation of requests-cache."""

    metadata = {
        "metadata": {"identifier": "nasa", "title": "NASA"},
        "files": [],
        "server": "a",
        "dir": "/",
    }
    internet.answers["archive.org/metadata/nasa"] = json.dumps(metadata)
    session = CachedArchiveSession(cache_name=str(tmp_path / "cache"))
    for _ in range(2):
        assert get_item("nasa", archive_session=session).metadata["title"] == "NASA"
    assert len(internet.asked) == 1

"""Published packages that import requests_cache, with lacre in its place."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache

from conftest import RELEASED, Internet


def is_ours(session: Any) -> bool:
    return isinstance(session, requests_cache.CacheMixin)


def test_pyinaturalist_caches_limits_and_revalidates(internet: Internet, tmp_path: Path) -> None:
    from pyinaturalist import ClientSession, get_taxa_by_id
    from pyinaturalist.formatters import format_response

    found = [{"id": 70118, "name": "N. vespilloides"}]
    body = json.dumps({"total_results": 1, "page": 1, "per_page": 30, "results": found})
    url = "api.inaturalist.org/v1/taxa/70118"
    internet.answers[url] = (200, {"Cache-Control": "max-age=3600", "ETag": '"1"'}, body)

    def session() -> ClientSession:
        return ClientSession(
            cache_file=tmp_path / "inat.db", ratelimit_path=str(tmp_path / "limits.db")
        )

    first, second = session(), session()
    assert is_ours(first)
    for each in (first, first, second):
        taxon = get_taxa_by_id(70118, session=each)
        assert taxon["results"][0]["name"] == "N. vespilloides"
    assert internet.asked == [f"GET {url}"]
    hit = second.request("GET", f"https://{url}")
    assert hit.from_cache
    assert format_response(hit)
    assert second.request("GET", f"https://{url}", refresh=True).revalidated
    assert len(internet.asked) == 2
    assert second.request("GET", f"https://{url}", force_refresh=True).from_cache is False
    with pytest.raises(requests.HTTPError):
        second.request("GET", "https://api.inaturalist.org/v1/places/1", only_if_cached=True)
    assert len(internet.asked) == 3


def test_bgg_api_keeps_games_in_memory_and_sqlite(internet: Internet, tmp_path: Path) -> None:
    from boardgamegeek import BGGClient
    from boardgamegeek.cache import CacheBackendMemory, CacheBackendSqlite

    internet.answers["boardgamegeek.com/xmlapi2/hot"] = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<items><item id="9209" rank="1"><name value="Ticket to Ride"/></item></items>'
    )
    for cache in (CacheBackendMemory(ttl=60), CacheBackendSqlite(path=tmp_path / "bgg.db", ttl=60)):
        before = len(internet.asked)
        for _ in range(2):
            client = BGGClient("token", cache=cache, requests_per_minute=10_000)
            assert [item.name for item in client.hot_items("boardgame")] == ["Ticket to Ride"]
        assert len(internet.asked) == before + 1
    assert (tmp_path / "bgg.db").exists()


def test_pygbif_installs_and_uninstalls_the_cache(
    internet: Internet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pygbif
    from pygbif import species

    # It ignores the given name.
    monkeypatch.chdir(tmp_path)
    sparrow = {"key": 5231190, "canonicalName": "Passer domesticus"}
    internet.answers["api.gbif.org/v1/species/5231190"] = json.dumps(sparrow)
    settings = pygbif.caching(cache=True, name="gbif")
    try:
        assert settings["cache"] is True
        for _ in range(3):
            assert species.name_usage(key=5231190)["canonicalName"] == "Passer domesticus"
        assert len(internet.asked) == 1
    finally:
        pygbif.caching(cache=False)
    species.name_usage(key=5231190)
    assert len(internet.asked) == 2


def test_sdmx1_derives_its_session_from_the_mixin(internet: Internet, tmp_path: Path) -> None:
    import sdmx
    from sdmx.session import Session

    message = (
        '<mes:Structure xmlns:mes="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/message">'
        "<mes:Header><mes:ID>1</mes:ID><mes:Test>false</mes:Test>"
        "<mes:Prepared>2026-01-01T00:00:00</mes:Prepared></mes:Header></mes:Structure>"
    )
    internet.answers["data-api.ecb.europa.eu/service/dataflow/ECB/EXR/latest"] = message
    client = sdmx.Client(
        "ECB", backend="sqlite", cache_name=str(tmp_path / "sdmx"), expire_after=60
    )
    assert isinstance(client.session, Session)
    assert is_ours(client.session)
    for _ in range(2):
        found = client.dataflow("EXR")
        assert found.header.id == "1"
    assert len(internet.asked) == 1
    assert not is_ours(requests.Session())
    assert Session().settings.disabled


def test_fastf1_works_online_and_offline(internet: Internet, tmp_path: Path) -> None:
    import fastf1
    from fastf1.req import Cache

    url = "api.jolpi.ca/ergast/f1/2023.json"
    internet.answers[url] = (
        200,
        {"Cache-Control": "max-age=0", "ETag": '"1"'},
        json.dumps({"Year": 2023}),
    )
    fastf1.Cache.configure(cache_dir=str(tmp_path))
    try:
        assert is_ours(Cache._requests_session_cached)
        answers = [Cache.requests_get(f"https://{url}") for _ in range(2)]
        assert [answer.json() for answer in answers] == [{"Year": 2023}] * 2
        # With max-age=0 it is validated each time, and is unchanged.
        assert [getattr(answer, "from_cache", None) for answer in answers] == [False, True]
        fastf1.Cache.offline_mode(True)
        asked = len(internet.asked)
        assert Cache.requests_get(f"https://{url}?another").status_code == 504
        assert len(internet.asked) == asked
        fastf1.Cache.offline_mode(False)
        Cache.delete_response(f"https://{url}")
        assert not Cache.requests_get(f"https://{url}").from_cache
        fastf1.Cache.clear_cache(str(tmp_path), deep=True)
    finally:
        fastf1.Cache.set_disabled()
    assert (tmp_path / "fastf1_http_cache.sqlite").exists()


def test_bioservices_makes_a_cached_session(internet: Internet, tmp_path: Path) -> None:
    from bioservices.services import REST

    internet.answers["rest.example.org/entry/1"] = json.dumps({"id": 1})
    service = REST("Example", url="https://rest.example.org", cache=True, verbose=False)
    service.CACHE_NAME = str(tmp_path / "bioservices")
    try:
        for _ in range(2):
            assert service.http_get("entry/1", frmt="json") == {"id": 1}
        assert is_ours(service.session)
        assert len(internet.asked) == 1
    finally:
        requests_cache.uninstall_cache()


def test_stored_data_of_packages_is_sealed(internet: Internet, tmp_path: Path) -> None:
    if RELEASED:
        pytest.skip("requests-cache is not replaced")
    from boardgamegeek.cache import CacheBackendSqlite

    internet.answers["boardgamegeek.com/page"] = "a page that nobody else should read"
    session = CacheBackendSqlite(path=tmp_path / "bgg.db", ttl=60).cache
    session.get("https://boardgamegeek.com/page")
    session.close()
    connection = sqlite3.connect(tmp_path / "bgg.db")
    ((value,),) = connection.execute("SELECT value FROM responses").fetchall()
    connection.close()
    assert b"\x89LAC" in value
    assert b"nobody else" not in value

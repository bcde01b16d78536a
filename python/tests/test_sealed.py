"""Stored data is encrypted and opens only at the place where it was sealed."""

from __future__ import annotations

import logging
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lacre import (
    BadSignature,
    Cache,
    CachedSession,
    ConfigError,
    Keyring,
    LacreError,
    SealedSerializer,
    SQLiteCache,
    safe_pickle_serializer,
)
from lacre.backends import SQLiteDict
from origin import Origin, answer

SECRET = "0123456789abcdef0123456789abcdef-a"
OTHER = "fedcba9876543210fedcba9876543210-b"


URL = "http://example.test"
BODY = b"a body that nobody else should read"


@pytest.fixture
def origin() -> Origin:
    origin = Origin(answer(BODY))
    origin.answers["/redirect"] = answer("", 302, Location=f"{URL}/target")
    return origin


@pytest.fixture(params=["sqlite", "filesystem"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _origin_is_mounted(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CachedSession, "get_adapter", lambda *_, **__: origin)


def stored_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def test_stored_data_is_sealed_by_default(tmp_path: Path, backend: str) -> None:
    for from_cache in (False, True):
        session = CachedSession(tmp_path / "store" / "cache", backend=backend)
        response = session.get(URL + "/page?q=visible")
        assert (response.from_cache, response.content) == (from_cache, BODY)
        session.close()
    stored = stored_bytes(tmp_path / "store")
    assert b"\x89LAC" in stored
    assert BODY not in stored
    assert b"visible" not in stored


def test_another_key_opens_nothing(tmp_path: Path, backend: str) -> None:
    CachedSession(tmp_path / "cache", backend=backend, secret_key=SECRET).get(URL)
    with pytest.raises(BadSignature):
        CachedSession(tmp_path / "cache", backend=backend, secret_key=OTHER).get(URL)


def test_the_last_of_several_keys_seals_and_all_open(tmp_path: Path) -> None:
    def session(secret_key: Any) -> CachedSession:
        return CachedSession(tmp_path / "cache", secret_key=secret_key)

    session(SECRET).get(URL)
    both = session([SECRET, OTHER.encode()])
    assert both.get(URL).from_cache
    both.get(URL, force_refresh=True)
    assert session(OTHER).get(URL).from_cache


def test_a_reference_and_a_keyring_name_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LACRE_TEST_SECRET", "6b" * 16 + "0123456789abcdef" * 2)
    CachedSession(tmp_path / "cache", secret_key="env:LACRE_TEST_SECRET").get(URL)
    keyring = Keyring.load("env:LACRE_TEST_SECRET")
    assert CachedSession(tmp_path / "cache", secret_key=keyring).get(URL).from_cache


def test_a_weak_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="32 random bytes"):
        CachedSession(tmp_path / "cache", secret_key="a different key")


def test_a_secret_for_an_unsealed_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs no serializer"):
        CachedSession(tmp_path / "cache", serializer="json", secret_key=SECRET)
    with pytest.raises(ConfigError, match="SealedSerializer"):
        CachedSession(backend=SQLiteCache(tmp_path / "cache"), secret_key=SECRET)


def test_a_custom_backend_accepts_the_sealed_serializer(tmp_path: Path) -> None:
    cache = SQLiteCache(tmp_path / "cache", serializer=SealedSerializer(SECRET))
    CachedSession(backend=cache).get(URL)
    assert CachedSession(tmp_path / "cache", secret_key=SECRET).get(URL).from_cache


def rows(path: Path, statement: str, *parameters: Any) -> list[Any]:
    connection = sqlite3.connect(path)
    with connection:
        found = connection.execute(statement, parameters).fetchall()
    connection.close()
    return found


def test_a_changed_moved_or_planted_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    session = CachedSession(path, secret_key=SECRET)
    first, second = (session.get(f"{URL}/{name}").cache_key for name in ("first", "second"))
    ((value,),) = rows(path, "SELECT value FROM responses WHERE key=?", second)
    changed = value[:-1] + bytes([value[-1] ^ 1])
    planted = safe_pickle_serializer(OTHER).dumps("exploit!")
    for forged in (value, changed, value[:200], planted, b"{}", b""):
        rows(path, "UPDATE responses SET value=? WHERE key=?", forged, first)
        with pytest.raises(BadSignature):
            session.get(f"{URL}/first")
    assert [response.cache_key for response in session.cache.filter()] == [second]
    session.cache.delete(invalid=True)
    assert not session.get(f"{URL}/first").from_cache


def test_a_row_of_another_store_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        CachedSession(tmp_path / name, secret_key=SECRET).get(URL)
    ((value,),) = rows(tmp_path / "a.sqlite", "SELECT value FROM responses")
    rows(tmp_path / "b.sqlite", "UPDATE responses SET value=?", value)
    with pytest.raises(BadSignature):
        CachedSession(tmp_path / "b", secret_key=SECRET).get(URL)


def test_a_redirect_leads_only_to_its_original_target(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    session = CachedSession(path, secret_key=SECRET)
    assert session.get(f"{URL}/redirect").history
    hit = session.get(f"{URL}/redirect")
    assert hit.from_cache
    other = session.get(f"{URL}/other").cache_key
    rows(path, "UPDATE redirects SET value=?", other)
    again = session.get(f"{URL}/redirect")
    assert again.url == hit.url


def test_entries_of_requests_cache_can_be_imported(tmp_path: Path) -> None:
    CachedSession(tmp_path / "old", serializer="pickle").get(URL)
    old = CachedSession(tmp_path / "old", serializer="pickle")
    new = CachedSession(tmp_path / "new", secret_key=SECRET)
    new.cache.update(old.cache)
    new.cache.recreate_keys()
    assert new.get(URL).from_cache


def test_the_error_of_a_damaged_store_id_names_a_remedy(tmp_path: Path) -> None:
    CachedSession(tmp_path / "cache").get(URL)
    for damaged in (None, "text", b"short"):
        rows(tmp_path / "cache.sqlite", "UPDATE lacre_store SET id=?", damaged)
        with pytest.raises(BadSignature, match="delete the store"):
            CachedSession(tmp_path / "cache")
    CachedSession(tmp_path / "files", backend="filesystem").close()
    (tmp_path / "files" / "lacre-store-id").write_bytes(b"short")
    with pytest.raises(BadSignature, match="delete the store"):
        CachedSession(tmp_path / "files", backend="filesystem")


def test_a_misspelt_reference_never_becomes_the_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        Keyring.load("nothing")
    schemes = set(re.findall(r"([a-z]+):[A-Z]", str(refused.value)))
    assert len(schemes) == 8
    long = "x" * 40
    for wrong in (
        "File:/",
        " file:/",
        "keyrng:",
        "vault:",
        *(scheme.upper() + ":" for scheme in schemes),
    ):
        for taken in (
            Keyring.of_text,
            Keyring.load,
            lambda text: CachedSession(tmp_path / "c", secret_key=text),
        ):
            with pytest.raises(ConfigError) as refused:
                taken(wrong + long)
            assert all(f"{scheme}:" in str(refused.value) for scheme in schemes)
            assert long not in str(refused.value)
    for secret in (SECRET, f"{long[:8]} {SECRET}: a text", (wrong + SECRET).encode()):
        CachedSession(tmp_path / "c", secret_key=secret).close()
    assert not (tmp_path / "File:").exists()


def test_lacre_key_sets_the_key_of_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "6b" * 16 + "0123456789abcdef" * 2)
    monkeypatch.setenv("LACRE_KEY", "env:A_KEY")
    CachedSession(tmp_path / "cache").get(URL)
    assert CachedSession(tmp_path / "cache", secret_key="env:A_KEY").get(URL).from_cache
    monkeypatch.setenv("LACRE_KEY", "env:ANOTHER_KEY")
    with pytest.raises(LacreError, match="ANOTHER_KEY"):
        CachedSession(tmp_path / "cache")


def test_a_copied_store_is_emptied_and_gets_a_new_id(
    tmp_path: Path, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fetched(name: str) -> bool:
        with CachedSession(tmp_path / name, backend=backend) as session:
            from_cache = session.get(URL).from_cache
            session.cache.close()
        return bool(from_cache)

    suffix = ".sqlite" if backend == "sqlite" else ""
    a, b, c = (tmp_path / f"{name}{suffix}" for name in "abc")
    assert not fetched("a")
    (shutil.copy2 if backend == "sqlite" else shutil.copytree)(a, b)
    with caplog.at_level(logging.WARNING, logger="lacre"):
        assert not fetched("b")
    assert str(a) in caplog.text
    caplog.clear()
    assert fetched("a")
    assert fetched("b")
    a.rename(c)
    assert fetched("c")
    assert not caplog.text


def test_a_sealed_value_needs_a_place() -> None:
    serializer = SealedSerializer(SECRET)
    with pytest.raises(TypeError, match="place"):
        serializer.dumps("value")
    with pytest.raises(TypeError, match="place"):
        serializer.loads(b"value")


def test_a_sealed_file_uses_wal_by_default(tmp_path: Path) -> None:
    def mode(session: CachedSession) -> str:
        session.get(URL)
        with session.cache.responses.connection() as connection:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    assert mode(CachedSession(tmp_path / "sealed")) == "wal"
    assert mode(CachedSession(tmp_path / "asked", wal=False)) == "delete"
    assert mode(CachedSession(tmp_path / "theirs", serializer="pickle")) == "delete"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("sealed*")} == {0o600}


def test_a_store_of_the_native_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "native" / "lacre.sqlite"
    Cache(path, key=Keyring.of_secret(SECRET.encode())).close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="choose another file for this session"):
        CachedSession(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("length", [1000, 131_000, 3_000_000])
@pytest.mark.parametrize("in_pieces", [True, False])
def test_values_of_any_length_are_read_and_verified(
    length: int, in_pieces: bool, tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_pieces:
        # Python 3.10 has no `blobopen`.
        monkeypatch.setattr(
            SQLiteDict, "_in_pieces", property(lambda _: False, lambda *_: None), raising=False
        )
    body = bytes(range(250)) * (length // 250)
    origin.default = answer(body)
    with CachedSession(tmp_path / "cache", secret_key=SECRET) as session:
        key = session.get(URL).cache_key
        assert session.get(URL).from_cache
        assert session.get(URL).content == body
        with session.cache.responses.bulk_commit():
            assert session.get(URL).content == body, "in a transaction"
        path = tmp_path / "cache.sqlite"
        [(value,)] = rows(path, "SELECT value FROM responses WHERE key=?", key)
        middle = len(value) // 2
        for forged in (
            value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :],
            value[:-1],
            value + b"more",
            value.decode("latin-1"),
            value.decode("latin-1").replace("\0", "0"),
        ):
            rows(path, "UPDATE responses SET value=?", forged)
            with pytest.raises(BadSignature):
                session.get(URL)
        rows(path, "UPDATE responses SET value=?", value)
        assert session.get(URL).content == body


@pytest.mark.skipif(not hasattr(sqlite3.Connection, "blobopen"), reason="needs Python 3.11")
def test_a_long_value_is_read_in_pieces(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = SQLiteDict._read_into_buffer

    def pieces(self: SQLiteDict, connection: sqlite3.Connection, key: str) -> Any:
        read.append(key)
        return original(self, connection, key)

    monkeypatch.setattr(SQLiteDict, "_read_into_buffer", pieces)
    with CachedSession(tmp_path / "cache", secret_key=SECRET) as session:
        session.get(URL)
        assert session.get(URL).from_cache
        assert not read
        origin.default = answer(bytes(300_000))
        key = session.get(URL + "/long").cache_key
        assert session.get(URL + "/long").content == bytes(300_000)
        assert read == [key]


@pytest.mark.skipif(not hasattr(sqlite3.Connection, "blobopen"), reason="needs Python 3.11")
def test_replacing_a_long_value_does_not_affect_its_reader(tmp_path: Path, origin: Origin) -> None:
    before: list[Any] = []

    class Connection(sqlite3.Connection):
        def blobopen(self, *args: Any, **kwargs: Any) -> Any:
            # The row was found, but not yet read.
            before.pop()()
            return super().blobopen(*args, **kwargs)

    origin.default = answer(bytes(300_000))
    with CachedSession(tmp_path / "cache", secret_key=SECRET, factory=Connection) as session:
        responses = session.cache.responses
        key = session.get(URL).cache_key
        before.append(lambda: None)
        stored = responses[key]

        def take() -> None:
            del responses[key]
            responses["other"] = stored

        before.append(take)
        assert responses[key].content == bytes(300_000)
        assert not before
        assert key not in responses

"""A reader written from docs/format.md alone opens stores of the `lacre` command."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from loopback import OriginResponse, ReceivedRequest, origin

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "vectors"
pytest.importorskip("blake3")
pytest.importorskip("argon2")
pytest.importorskip("nacl")

# The package brings no HTTP client; the standalone command does. `cargo xtask test` builds it.
COMMAND = Path(os.environ.get("LACRE_TEST_COMMAND", ROOT / "target" / "debug" / "lacre"))
if not COMMAND.exists():
    pytest.skip("needs the standalone command: cargo build -p lacre-cli", allow_module_level=True)

FRESH = {"Cache-Control": "max-age=3600"}


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    sys.path.insert(0, str(VECTORS))
    try:
        import read_store
    finally:
        sys.path.remove(str(VECTORS))
    return read_store  # type: ignore[no-any-return]


class User:
    """A user with a fresh home who runs `lacre`."""

    def __init__(self, home: Path, reader: ModuleType) -> None:
        self.home, self.reader = home, reader

    def lacre(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LACRE_", "XDG_"))
        }
        ran = subprocess.run(
            [COMMAND, *arguments],
            env={**environment, "HOME": str(self.home)},
            capture_output=True,
            text=True,
            errors="replace",
        )
        assert ran.returncode == code, ran.stderr
        return ran

    def open(self, store: str | None = None, namespace: str = "") -> Any:
        keyring = (self.home / ".config/lacre/keyring").read_text()
        if store is None:
            found = self.reader.SqliteStore(self.home / ".cache/lacre/cache.sqlite")
        else:
            found = self.reader.DirectoryStore(store)
        ring = sys.modules["lacre_v1"].parse_keyring(keyring)
        return self.reader.Reader(found, ring, namespace, int(time.time() * 1000))


@pytest.fixture
def user(tmp_path: Path, reader: ModuleType) -> User:
    return User(tmp_path, reader)


def test_a_row_key_depends_on_the_text_of_the_request(user: User) -> None:
    with origin() as site:
        plain = site.serve("/a%20b/?q=%C3%A9&r", OriginResponse(b"plain", headers=FRESH))
        site.answers["/a%20b/"] = lambda _: OriginResponse(b"plain", headers=FRESH)
        site.serve(
            "/guessed",
            OriginResponse(b"guessed", headers={"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}),
        )
        asked: list[tuple[str, list[tuple[str, str]], bytes]] = [
            (plain, [], b"plain"),
            (
                site.serve("/auth", OriginResponse(b"for one", headers=FRESH)),
                [("Authorization", "Bearer one")],
                b"for one",
            ),
            (
                site.serve("/key", OriginResponse(b"keyed", headers=FRESH)),
                [("X-API-Key", "a ,b")],
                b"keyed",
            ),
            (
                site.serve("/cookie", OriginResponse(b"for all", headers=FRESH)),
                [("Cookie", "a=1")],
                b"for all",
            ),
            (site.url + "/guessed", [("Cookie", "a=1")], b"guessed"),
        ]
        for url, headers, _ in asked:
            user.lacre("get", url, *(f"{name}:{value}" for name, value in headers))
        found = user.open()
        for url, headers, body in asked:
            slot, content = found.get("GET", url, headers)
            assert (content, slot["status"], slot["method"]) == (body, 200, "GET"), url
        assert found.get("GET", site.url + "/auth", [("Authorization", "Bearer other")]) is None
        assert found.get("GET", site.url + "/guessed", [("Cookie", "a=2")]) is None


def test_variant_indexes_lead_to_variants(user: User) -> None:
    def answer(got: ReceivedRequest) -> OriginResponse:
        language = got.headers.get("accept-language", "none")
        return OriginResponse(language.encode(), headers={**FRESH, "Vary": "Accept-Language"})

    with origin() as site:
        site.answers["/"] = answer
        languages = ["de;q=0.5, EN", "fr"]
        for language in languages:
            user.lacre("get", site.url + "/", f"Accept-Language:{language}")
        found = user.open()
        for language in languages:
            _, body = found.get("GET", site.url + "/", [("Accept-Language", language)])
            assert body == language.encode()
        # Equal preferences in another notation.
        _, body = found.get(
            "GET", site.url + "/", [("accept-language", "en"), ("Accept-Language", "de; q=0.50")]
        )
        assert body == b"de;q=0.5, EN"


@pytest.mark.parametrize("suite", ["encrypted", "signed"])
@pytest.mark.parametrize("how", [[], ["--compress", "gzip"], ["--format", "json"]])
def test_bodies_of_any_length_are_complete(user: User, suite: str, how: list[str]) -> None:
    with origin() as site:
        for length in [0, 1, 262_144, 262_145, 700_000]:
            body = bytes(place * 7 % 251 for place in range(length))
            url = site.serve(f"/{length}", OriginResponse(body, headers=FRESH))
            user.lacre("get", "--suite", suite, *how, url, "-o", str(user.home / "out"))
            _, found = user.open().get("GET", url)
            assert found == body, length


def test_a_directory_store_reads_like_a_file_store(user: User) -> None:
    with origin() as site:
        url = site.serve("/", OriginResponse(bytes(600_000), headers=FRESH))
        store = str(user.home / "store")
        user.lacre("get", "--store", f"dir:{store}", url, "-o", str(user.home / "out"))
        _, body = user.open(store).get("GET", url)
        assert body == bytes(600_000)


def test_namespaces_share_no_row_and_are_listed(user: User) -> None:
    with origin() as site:
        url = site.serve("/", OriginResponse(b"x", headers=FRESH))
        user.lacre("get", "--namespace", "mine", url)
        assert user.open().get("GET", url) is None
        found = user.open(namespace="mine")
        assert found.get("GET", url)[1] == b"x"
        assert found.namespaces() == ["mine"]


def test_evidence_and_anchors_open(user: User) -> None:
    with origin() as site:
        url = site.serve("/", OriginResponse(b"x", headers=FRESH))
        user.lacre("get", url)
        anchor = user.home / "anchors" / "anchor"
        anchor.parent.mkdir()
        user.lacre("anchor", "write", str(anchor))
        found = user.open()
        (key,) = found.store.keys()
        sealed = found.store.slot(key)
        assert found.anchor(anchor.read_bytes()) == [
            (
                key,
                int.from_bytes(sealed[24:32], "big"),
                int.from_bytes(sealed[32:40], "big"),
                sealed[80:112],
            )
        ]
        found.store.database.close()
        changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
        with sqlite3.connect(user.home / ".cache/lacre/cache.sqlite") as database:
            database.execute("UPDATE slot SET sealed = ?", (changed,))
        database.close()
        user.lacre("get", url)
        found = user.open()
        at, _, length, why, evidence = found.evidence(key)
        assert (at, length, evidence) == (key, len(changed), changed)
        assert why

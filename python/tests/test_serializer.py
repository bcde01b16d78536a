"""The serializers read and write the formats of requests-cache, and never run what they read."""

from __future__ import annotations

import hashlib
import json
import pickle
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from conftest import shared
from lacre._lacre import BadSignature, BrokenData, LacreError, Serializer

REQUEST = {
    "method": "POST",
    "url": "https://example.com/",
    "headers": [("Accept", "*/*")],
    "body": b"\x00\xff",
    "cookies": [("a", "1")],
}
RESPONSE = {
    "status_code": 200,
    "reason": "OK",
    "url": "https://example.com/",
    "headers": [("Content-Type", "application/octet-stream"), ("X", "caf\u00e9")],
    "content": bytes(range(256)),
    "encoding": "utf-8",
    "cookies": [("b", "2")],
    "elapsed": 0.25,
    "created_at": 1_700_000_000.123,
    "expires": 1_700_003_600.5,
    "request": REQUEST,
    "history": [],
    "next": None,
}


@pytest.mark.parametrize("format", ["pickle", "json", "yaml"])
@pytest.mark.parametrize("secrets", [[], [b"k"]])
def test_serialized_responses_round_trip(format: str, secrets: list[bytes]) -> None:
    serializer = Serializer(format, secrets=secrets)
    hop = RESPONSE | {"status_code": 302, "next": REQUEST}
    for response in [RESPONSE, RESPONSE | {"expires": None, "reason": None, "history": [hop]}]:
        assert serializer.loads(serializer.dumps(response)) == response


def test_changed_or_unsigned_data_is_refused() -> None:
    signed = Serializer(secrets=[b"k"])
    data = signed.dumps(RESPONSE)
    for at in range(0, len(data), 7):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(BadSignature):
            signed.loads(bytes(changed))
    for other in [
        Serializer(secrets=[b"a different key"]).dumps(RESPONSE),
        Serializer().dumps(RESPONSE),
    ]:
        with pytest.raises(BadSignature):
            signed.loads(other)


def test_old_secrets_verify_and_the_last_one_signs() -> None:
    old, both = Serializer(secrets=[b"old"]), Serializer(secrets=[b"old", b"new"])
    assert both.loads(old.dumps(RESPONSE)) == RESPONSE
    assert Serializer(secrets=[b"new"]).loads(both.dumps(RESPONSE)) == RESPONSE


def test_a_malicious_pickle_is_refused_and_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Planted:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (marker,)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(BrokenData, match="refused: it would run code"):
            Serializer().loads(pickle.dumps({"_content": Planted()}, protocol))
    assert not marker.exists()


@pytest.mark.parametrize("data", [b"", b"\x80", b"{", b"null", b"---\n- 1\n", b"\xff" * 100])
def test_garbage_raises_broken_data(data: bytes) -> None:
    with pytest.raises(LacreError):
        Serializer().loads(data)


def test_invalid_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="pickle, json, yaml"):
        Serializer("marshal")
    with pytest.raises(ValueError, match="empty"):
        Serializer(secrets=[b""])
    with pytest.raises(ValueError, match="status_code"):
        Serializer().dumps(RESPONSE | {"status_code": 42})
    with pytest.raises(ValueError, match="elapsed"):
        Serializer().dumps(RESPONSE | {"elapsed": -1.0})


@pytest.mark.parametrize("name", ["sqlite_pickle", "sqlite_safe_pickle_k", "sqlite_json"])
def test_every_sample_response_is_read(name: str) -> None:
    manifest = json.loads(shared("samples/MANIFEST.json").read_text())[name]["responses"]
    serializer = Serializer(secrets=[b"k"] if "safe" in name else [])
    cache = sqlite3.connect(f"{shared(f'samples/{name}.sqlite').as_uri()}?mode=ro", uri=True)
    rows = cache.execute("SELECT key, value FROM responses").fetchall()
    cache.close()
    assert {key for key, _ in rows} == set(manifest)
    for key, value in rows:
        response, expected = (
            serializer.loads(value.encode() if isinstance(value, str) else value),
            manifest[key],
        )
        assert hashlib.sha256(response["content"]).hexdigest() == expected["sha256"]
        assert response["status_code"] == expected["status"]
        assert response["url"] == expected["url"]
        assert dict(response["headers"]) == expected["headers"]
        assert dict(response["request"]["headers"]) == expected["request_headers"]
        assert [hop["url"] for hop in response["history"]] == expected["history"]
        created = datetime.fromisoformat(expected["created_at"]).timestamp()
        assert response["created_at"] == pytest.approx(created, abs=0.001)

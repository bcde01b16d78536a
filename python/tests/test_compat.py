"""Sessions read files of the released requests-cache, and vice versa."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import BadSignature
from requests import Response

from conftest import shared
from origin import Origin, answer

pytest.importorskip("requests_cache", reason="NOT CHECKED: requests-cache is not installed")
#: The sample files are signed with it, too.
SECRET = "k"
URL = "http://example.test/page?b=2&a=1"
#: The serializer of each sample.
SAMPLES = {
    "sqlite_pickle": "pickle",
    "sqlite_safe_pickle_k": "safe_pickle",
    "sqlite_json": "json",
    "filesystem_pickle": "pickle",
    "filesystem_safe_pickle_k": "safe_pickle",
    "filesystem_json": "json",
    "filesystem_yaml": "yaml",
}


def opened(package: str, name: Path, backend: str, serializer: str, secret: str = SECRET) -> Any:
    """Opens a session of one package without access to the network."""
    if serializer == "safe_pickle":
        chosen = import_module(f"{package}.serializers").safe_pickle_serializer(secret_key=secret)
    else:
        chosen = serializer
    session = import_module(package).CachedSession(name, backend=backend, serializer=chosen)
    redirects = answer(status=302, Location=URL, Set_Cookie="hop=1")
    # JSON as both packages write it: the filesystem backend stores the value only.
    origin = Origin(
        answer(b'{"a":[1,"e"]}', Content_Type="application/json", Set_Cookie="c=v; Path=/")
    )
    origin.answers = {
        "/redirect": redirects,
        "/bytes": answer(bytes(range(256)), status=203, ETag='"e"'),
    }
    session.mount("http://", origin)
    session.origin = origin
    return session


def shown(response: Response) -> dict[str, Any]:
    """Returns everything that users see of a response, except its class."""
    cached: Any = response
    return {
        "status": response.status_code,
        "reason": response.reason,
        "url": response.url,
        "headers": dict(response.headers),
        "content": response.content,
        "encoding": response.encoding,
        "cookies": dict(response.cookies.items()),
        "elapsed": response.elapsed,
        "created": cached.created_at,
        "expires": cached.expires,
        "key": cached.cache_key,
        "history": [shown(hop) for hop in response.history],
        "method": response.request.method,
        "request_headers": dict(response.request.headers),
        "request_body": response.request.body or b"",
    }


@pytest.mark.parametrize("serializer", ["pickle", "safe_pickle", "json", "yaml"])
@pytest.mark.parametrize("backend", ["sqlite", "filesystem"])
@pytest.mark.parametrize(
    ("writer", "reader"), [("requests_cache", "lacre"), ("lacre", "requests_cache")]
)
def test_both_packages_read_the_files_of_the_other(
    tmp_path: Path, writer: str, reader: str, backend: str, serializer: str
) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", URL, {"headers": {"Authorization": "Bearer hidden"}}),
        ("GET", "http://example.test/redirect", {}),
        ("GET", "http://example.test/bytes", {"expire_after": 3600}),
        ("POST", URL, {"json": {"a": [1], "api_key": "hidden"}}),
        ("HEAD", URL, {}),
    ]
    with opened(writer, tmp_path / "cache", backend, serializer) as session:
        session.settings.allowable_methods = ["GET", "HEAD", "POST"]
        session.settings.allowable_codes = [200, 203, 302]
        for method, url, options in requests:
            session.request(method, url, **options)
        wrote = {key: shown(response) for key, response in session.cache.responses.items()}
        redirects = dict(session.cache.redirects.items())
    with opened(reader, tmp_path / "cache", backend, serializer) as session:
        session.settings.allowable_methods = ["GET", "HEAD", "POST"]
        assert {key: shown(response) for key, response in session.cache.responses.items()} == wrote
        assert dict(session.cache.redirects.items()) == redirects
        for method, url, options in requests:
            assert session.request(method, url, **options).from_cache, (method, url)
        assert session.origin.requests == []


@pytest.mark.parametrize("backend", ["sqlite", "filesystem"])
@pytest.mark.parametrize(
    ("writer", "reader"), [("requests_cache", "lacre"), ("lacre", "requests_cache")]
)
def test_another_secret_cannot_read_signed_files(
    tmp_path: Path, writer: str, reader: str, backend: str
) -> None:
    with opened(writer, tmp_path / "cache", backend, "safe_pickle") as session:
        session.get(URL)
    other = opened(reader, tmp_path / "cache", backend, "safe_pickle", secret="a different key")
    with other as session, pytest.raises(BadSignature):
        session.get(URL)
    assert session.origin.requests == []


def test_a_json_body_is_returned_byte_for_byte(tmp_path: Path) -> None:
    body = b'{\n  "a": [1, "\xc3\xa9", "/"]\n}\n'
    with opened("lacre", tmp_path / "cache", "filesystem", "json") as session:
        session.origin.default = answer(body, Content_Type="application/json")
        assert [session.get(URL).content for _ in range(2)] == [body, body]
        assert b'"_decoded_content": {' in next(tmp_path.rglob("*.json")).read_bytes(), (
            "and is readable"
        )


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample_files_match_their_manifest(tmp_path: Path, sample: str) -> None:
    backend = sample.partition("_")[0]
    name = f"{sample}.sqlite" if backend == "sqlite" else sample
    source, manifest = (
        shared(f"samples/{name}"),
        json.loads(shared("samples/MANIFEST.json").read_text()),
    )
    # Copy without permissions: the original may be read-only.
    if source.is_dir():
        shutil.copytree(source, tmp_path / name, copy_function=shutil.copyfile)
        (tmp_path / name).chmod(0o700)
    else:
        shutil.copyfile(source, tmp_path / name)
    with opened("lacre", tmp_path / name, backend, SAMPLES[sample]) as session:
        session.settings.allowable_methods = ["GET", "HEAD", "POST"]
        found = {key: listed(response) for key, response in session.cache.responses.items()}
        assert found == manifest[sample]["responses"]
        assert dict(session.cache.redirects.items()) == manifest[sample]["redirects"]


def listed(response: Response) -> dict[str, Any]:
    """Returns a response in the form of the manifest."""
    cached: Any = response
    return {
        "method": response.request.method,
        "url": response.url,
        "request_url": response.request.url,
        "status": response.status_code,
        "sha256": hashlib.sha256(response.content).hexdigest(),
        "size": len(response.content),
        "expires": cached.expires.isoformat() if cached.expires else None,
        "created_at": cached.created_at.isoformat(),
        "encoding": response.encoding,
        "history": [hop.url for hop in response.history],
        "next": cached._next.url if cached._next else None,
        "request_body": (response.request.body or b"").decode("latin-1"),
        "request_headers": dict(response.request.headers),
        "headers": dict(response.headers),
        "cookies": dict(response.cookies.items()),
        "elapsed": response.elapsed.total_seconds(),
    }

"""Separation of users, hosts and TLS peers, in the clients of `lacre.Cache` and the drop-in."""

from __future__ import annotations

import datetime
import gc
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lacre
import loopback
from drivers import DRIVERS, Driver
from lacre import Cache
from loopback import Origin, OriginResponse

FRESH = {"Cache-Control": "max-age=60"}
NAMES = [
    "Authorization",
    "X-API-Key",
    "X-Functions-Key",
    "X-JFrog-Art-Api",
    "Cf-Access-Jwt-Assertion",
    "X-Auth-Request-User",
    "Remote-User",
    "Client-Cert",
    "DPoP",
    "X-Tenant-Id",
    "OpenAI-Organization",
]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with loopback.origin() as origin:
        yield origin


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "store" / "cache.sqlite")


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, cache: Cache) -> Iterator[Driver]:
    driver = DRIVERS[request.param](cache)
    yield driver
    driver.close()


@pytest.mark.parametrize("name", NAMES)
def test_users_with_different_credentials_never_share_responses(
    driver: Driver, origin: Origin, name: str
) -> None:
    origin.answers["/"] = lambda got: OriginResponse(
        got.headers.get(name.lower(), "nobody").encode(), headers=FRESH
    )
    for who in ["alice", "bob", "alice", "bob"]:
        assert driver.get(origin.url + "/", headers={name: who}).body == who.encode()
    assert driver.get(origin.url + "/").body == b"nobody"
    assert len(origin.received) == 3


def test_headers_that_change_with_every_request_do_not_partition(
    driver: Driver, origin: Origin
) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    for number in range(3):
        noise = {name: str(number) for name in ["X-Request-Id", "traceparent", "Idempotency-Key"]}
        driver.get(url, headers=noise)
    assert len(origin.received) == 1


def test_partition_by_headers_separates_users(origin: Origin) -> None:
    url = origin.serve("/", OriginResponse(headers=FRESH))
    for names, sent in [([], 1), (["X-Pass"], 2)]:
        origin.received.clear()
        driver = DRIVERS["httpx"](Cache(":memory:", partition_by_headers=names))
        for who in ["alice", "bob", "alice"]:
            driver.get(url, headers={"X-Pass": who})
        driver.close()
        assert len(origin.received) == sent


def test_an_invalid_header_name_in_partition_by_headers_is_refused() -> None:
    with pytest.raises(ValueError, match="X Pass"):
        Cache(":memory:", partition_by_headers=["X Pass"])


def test_the_key_has_the_host_that_is_sent(driver: Driver, origin: Origin) -> None:
    origin.answers["/"] = lambda got: OriginResponse(got.headers["host"].encode(), headers=FRESH)
    url, own = origin.url + "/", origin.url.removeprefix("http://")
    for host in ["a.example", "b.example", "a.example"]:
        assert driver.get(url, headers={"Host": host}).body == host.encode()
    assert driver.get(url).body == own.encode()
    assert driver.get(url, headers={"Host": own}).status_line == "lacre; hit; ttl=60"
    assert len(origin.received) == 3


@pytest.mark.parametrize("host", ["u:p@evil.example", "evil example", "a/b"])
def test_a_request_without_a_readable_host_is_not_looked_up(cache: Cache, host: str) -> None:
    headers = [(b"Host", host.encode())]
    for _ in range(2):
        ticket = cache.ask("GET", "http://example.com/", headers)
        assert isinstance(ticket, lacre._lacre.Ticket)
        assert ticket.info.cache_status == "lacre; fwd=bypass; detail=no-authority"


# Verification of the peer.


class Https:
    """An origin with a private certificate, and the certificate files of its clients."""

    def __init__(self, origin: Origin, directory: Path) -> None:
        self.origin, self.directory = origin, directory
        self.url = origin.url.replace("http://", "https://") + "/"
        self.ca = str(directory / "certificate.pem")
        self.client = {who: str(directory / f"{who}.pem") for who in ["alice", "bob"]}


def certificate(directory: Path, name: str, address: str | None = None) -> str:
    """Writes a self-signed certificate and its key to one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
    )
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if address is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / f"{name}.pem"
    path.write_bytes(signed.public_bytes(encoding) + private)
    return str(path)


@contextmanager
def https_origin(directory: Path) -> Iterator[Https]:
    path = certificate(directory, "certificate", "127.0.0.1")
    for who in ["alice", "bob"]:
        certificate(directory, who)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.verify_mode = ssl.CERT_OPTIONAL
    for who in ["alice", "bob"]:
        context.load_verify_locations(directory / f"{who}.pem")
    with loopback.origin(tls=context) as origin:
        origin.answers["/"] = lambda got: OriginResponse(
            (got.client or "nobody").encode(), headers=FRESH
        )
        yield Https(origin, directory)


@pytest.fixture
def https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Https]:
    for name in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"]:
        monkeypatch.delenv(name, raising=False)
    with https_origin(tmp_path) as https:
        yield https


Ask = Callable[..., bytes]


def ask_httpx(
    cache: Cache, url: str, verify: Any = True, cert: Any = None, **options: Any
) -> bytes:
    httpx = pytest.importorskip("httpx")
    from lacre.httpx import CachedClient

    if cert is not None:
        # httpx does not load the certificate if `verify` is a path.
        verify = ssl.create_default_context(cafile=verify)
        verify.load_cert_chain(cert)
    with CachedClient(cache, verify=verify, options=options or None) as client:
        body: bytes = client.get(url).content
    assert httpx
    return body


def ask_aiohttp(
    cache: Cache, url: str, verify: Any = True, cert: Any = None, **options: Any
) -> bytes:
    import asyncio

    pytest.importorskip("aiohttp")
    from lacre.aiohttp import cached_session

    context = verify
    if cert is not None or isinstance(verify, str):
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
        if cert is not None:
            context.load_cert_chain(cert)

    async def asked() -> bytes:
        async with (
            cached_session(cache, options=options or None) as session,
            session.get(url, ssl=context) as response,
        ):
            return bytes(await response.read())

    return asyncio.run(asked())


def ask_niquests(
    cache: Cache, url: str, verify: Any = True, cert: Any = None, **options: Any
) -> bytes:
    pytest.importorskip("niquests")
    from lacre.niquests import CachedSession

    with CachedSession(cache, options=options or None) as session:
        content = session.get(url, verify=verify, cert=cert).content
    assert content is not None
    return content


ASKS: dict[str, Ask] = {"httpx": ask_httpx, "aiohttp": ask_aiohttp, "niquests": ask_niquests}


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest) -> Ask:
    pytest.importorskip(request.param)
    return ASKS[request.param]


@pytest.mark.filterwarnings("ignore")
def test_an_unverified_response_is_never_served_to_a_verifying_client(
    ask: Ask, cache: Cache, https: Https
) -> None:
    assert ask(cache, https.url, verify=False) == b"nobody"
    assert ask(cache, https.url, verify=False) == b"nobody"
    assert len(https.origin.received) == 1, "unverified requests share an entry"
    with pytest.raises(Exception, match=r"(?i)certificate"):
        ask(cache, https.url)
    assert ask(cache, https.url, verify=https.ca) == b"nobody"
    assert len(https.origin.received) == 2, "another trusted root is a miss"
    with pytest.raises(Exception, match=r"(?i)certificate"):
        ask(cache, https.url)


@pytest.mark.filterwarnings("ignore")
def test_users_with_different_client_certificates_never_share_responses(
    ask: Ask, cache: Cache, https: Https
) -> None:
    def asked(who: str | None) -> bytes:
        return ask(cache, https.url, verify=https.ca, cert=https.client[who] if who else None)

    for who in ["alice", "bob", None, "alice", "bob"]:
        assert asked(who) == (who or "nobody").encode()


@pytest.mark.filterwarnings("ignore")
def test_an_ssl_context_is_its_own_partition_unless_named(
    ask: Ask, cache: Cache, https: Https
) -> None:
    def context() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=https.ca)

    if ask is ask_niquests:
        pytest.skip("niquests takes no context")
    first = context()
    for expected, one in [(1, first), (1, first), (2, context())]:
        ask(cache, https.url, verify=one)
        assert len(https.origin.received) == expected
    for _ in range(2):
        ask(cache, https.url, verify=context(), transport="our CA")
        assert len(https.origin.received) == 3
    with pytest.raises(Exception, match=r"(?i)certificate"):
        ask(cache, https.url)


@pytest.mark.filterwarnings("ignore")
def test_different_environment_roots_share_no_entries(
    cache: Cache, https: Https, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpx")
    monkeypatch.setenv("SSL_CERT_FILE", https.ca)
    for _ in range(2):
        assert ask_httpx(cache, https.url) == b"nobody"
    assert len(https.origin.received) == 1
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Exception, match=r"(?i)certificate"):
        ask_httpx(cache, https.url)


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_sockets_mocks_and_custom_transports_share_no_entries(cache: Cache, origin: Origin) -> None:
    httpx = pytest.importorskip("httpx")
    from lacre.httpx import CachedClient, CacheTransport

    def mock(text: str) -> Any:
        return httpx.MockTransport(lambda _: httpx.Response(200, headers=FRESH, text=text))

    url = origin.serve("/", OriginResponse(b"the origin's", headers=FRESH))
    for transport, text in [(mock("one"), "one"), (mock("two"), "two"), (None, "the origin's")]:
        with CachedClient(cache, transport=transport) as client:
            assert [client.get(url).text for _ in range(2)] == [text, text]
    with httpx.Client(transport=CacheTransport(cache)) as client:
        assert client.get(url).text == "the origin's"
    assert len(origin.received) == 1
    with httpx.Client(transport=CacheTransport(cache, retries=1)) as client:
        assert client.get(url).text == "the origin's"
    assert len(origin.received) == 1, "these settings do not affect the peer"
    with (
        httpx.Client(transport=CacheTransport(cache, uds="/nowhere.sock")) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.get(url)
    with pytest.raises(TypeError, match="retries"):
        CacheTransport(cache, httpx.HTTPTransport(), retries=1)
    # httpcore does not close a Unix socket that failed to connect.
    gc.collect()


def test_an_http_response_of_a_proxy_is_served_through_that_proxy_only(cache: Cache) -> None:
    httpx = pytest.importorskip("httpx")
    from lacre.httpx import CachedClient

    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    with loopback.origin() as proxy:
        # A proxy gets the whole URL.
        proxy.answers[url] = lambda _: OriginResponse(b"forged", headers=FRESH)
        with CachedClient(cache, proxy=proxy.url) as client:
            assert [client.get(url).text for _ in range(2)] == ["forged", "forged"]
        assert len(proxy.received) == 1
    with CachedClient(cache, trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(url)


def test_different_connectors_of_aiohttp_share_no_entries(tmp_path: Path, origin: Origin) -> None:
    import asyncio

    aiohttp = pytest.importorskip("aiohttp")
    from lacre.aiohttp import cached_session

    url = origin.serve("/", OriginResponse(b"the origin's", headers=FRESH))
    cache = Cache(":memory:")

    async def asked(**settings: Any) -> bytes:
        make = settings.pop("make", None)
        async with (
            cached_session(cache, connector=make() if make else None, **settings) as session,
            session.get(url) as response,
        ):
            return bytes(await response.read())

    assert asyncio.run(asked()) == b"the origin's"
    assert asyncio.run(asked(make=aiohttp.TCPConnector)) == b"the origin's"
    assert len(origin.received) == 1
    with pytest.raises(aiohttp.ClientConnectionError):
        asyncio.run(asked(make=lambda: aiohttp.UnixConnector(str(tmp_path / "none.sock"))))

    class OtherAddress(aiohttp.abc.AbstractResolver):  # type: ignore[misc, name-defined]
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            raise OSError("another address")

        async def close(self) -> None:
            pass

    named = origin.url.replace("127.0.0.1", "localhost") + "/"
    origin.answers["/"] = lambda _: OriginResponse(b"the origin's", headers=FRESH)

    async def by(resolver: Any) -> bytes:
        async with (
            cached_session(cache, connector=aiohttp.TCPConnector(resolver=resolver)) as session,
            session.get(named) as response,
        ):
            return bytes(await response.read())

    assert asyncio.run(by(None)) == b"the origin's"

    async def other_address() -> bytes:
        return await by(OtherAddress())

    with pytest.raises((aiohttp.ClientError, OSError)):
        asyncio.run(other_address())


# The drop-in replacement.


@pytest.mark.filterwarnings("ignore")
def test_the_drop_in_separates_roots_certificates_and_hosts(
    tmp_path: Path, https: Https, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("requests")
    with lacre.CachedSession(str(tmp_path / "dropin"), backend="memory") as session:
        assert session.get(https.url, verify=https.ca).content == b"nobody"
        assert session.get(https.url, verify=https.ca).from_cache
        with pytest.raises(Exception, match=r"(?i)certificate"):
            session.get(https.url)
        for who in ["alice", "bob", "alice"]:
            response = session.get(https.url, verify=https.ca, cert=https.client[who])
            assert response.content == who.encode()
        session.cert = https.client["bob"]
        assert session.get(https.url, verify=https.ca).content == b"bob"
        session.cert = None
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", https.ca)
        assert session.get(https.url).content == b"nobody"
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(Exception, match=r"(?i)certificate"):
            session.get(https.url)

        origin.answers["/"] = lambda got: OriginResponse(got.headers["host"].encode())
        for host in ["a.example", "b.example", "a.example"]:
            assert session.get(origin.url + "/", headers={"Host": host}).text == host
        assert session.get(origin.url + "/").text == origin.url.removeprefix("http://")
        assert len(origin.received) == 3

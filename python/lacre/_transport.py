"""How clients reach origins, as far as their drivers see it: it is part of the key of what is stored.

The usual way is a connection to the host of the URL that accepts the certificates that a client trusts by default, and
shows none. What came any other way is kept apart. An object that a driver cannot look into, such as an `SSLContext`,
which may hold a client certificate, or a transport of the caller's own, stands for itself: what came through it is served
to those who use the same object, as long as it lives. The option `transport` gives such objects a name.
"""

from __future__ import annotations

import os
import secrets
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ._lacre import Transport

#: The longest file of certificates that is read, in bytes.
MAX_CERTIFICATES = 1 << 24

USUAL = Transport()
_OWN: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def of_environment() -> Transport:
    """The usual way, with the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name."""
    return Transport(environment=True)


def own(transport: Transport, thing: object) -> Transport:
    """The same, through an object that cannot be looked into."""
    try:
        name = _OWN.get(thing)
        if name is None:
            name = _OWN[thing] = secrets.token_hex(16)
    except TypeError:
        # It cannot be remembered, and is taken for another one each time.
        name = secrets.token_hex(16)
    return transport.unseen(name)


def of_tls(transport: Transport, verify: Any, cert: Any) -> Transport:
    """The same, where certificates are verified and shown as `verify` and `cert` of requests, httpx and niquests say."""
    if isinstance(verify, ssl.SSLContext):
        transport = of_context(transport, verify)
    elif verify is not None and not isinstance(verify, bool):
        transport = transport.roots([certificates(verify)])
    elif verify is False:
        transport = transport.unverified()
    if cert:
        chain = cert[0] if isinstance(cert, (tuple, list)) else cert
        transport = transport.client_certificate(certificates(chain))
    return transport


def of_context(transport: Transport, context: ssl.SSLContext) -> Transport:
    """The same, with a context of the caller's own. Whether it has a client certificate, it does not say."""
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        transport = transport.unverified()
    return own(transport, context)


def proxy_url(url: Any) -> str:
    """The URL of a proxy without credentials."""
    text = url.decode("latin-1") if isinstance(url, bytes) else str(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    return f"{scheme}://{rest.split('/', 1)[0].rpartition('@')[2]}"


def certificates(what: Any) -> bytes:
    """What a file of certificates holds; certificates in PEM, or a name for them, as they are."""
    if isinstance(what, bytes):
        return what
    if isinstance(what, str) and "-----BEGIN" in what:
        return what.encode()
    path = os.fspath(what)
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return os.fsencode(path)
    return _read(os.path.abspath(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _read(path: str | bytes, _changed: int, size: int) -> bytes:
    file = Path(os.fsdecode(path))
    if size <= MAX_CERTIFICATES and file.is_file():
        try:
            return file.read_bytes()
        except OSError:
            pass
    # A directory, or what the client cannot read either.
    return os.fsencode(path)

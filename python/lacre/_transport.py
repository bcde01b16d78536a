"""How clients reach origins, as far as their drivers can tell. It is part of every cache key.

By default, a client connects to the host of the URL, trusts the certificates that it trusts by
default, and shows none. Responses that arrived in another way share no entries with these. A driver
cannot inspect some objects: an `SSLContext`, which may hold a client certificate, or a transport of
the caller's own. Each of them gets an identifier, so that requests share entries only through the
same object, as long as it lives. The option `transport` gives such objects a name.
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

#: The size limit of a certificate file.
MAX_CERTIFICATE_BYTES = 1 << 24

DEFAULT = Transport()
_OBJECT_IDS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def from_environment() -> Transport:
    """Returns the default transport with the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR`."""
    return Transport(environment=True)


def with_object(transport: Transport, thing: object) -> Transport:
    """Adds an object that cannot be inspected."""
    try:
        name = _OBJECT_IDS.get(thing)
        if name is None:
            name = _OBJECT_IDS[thing] = secrets.token_hex(16)
    except TypeError:
        # It is not hashable or not weakly referable: it counts as a new object each time.
        name = secrets.token_hex(16)
    return transport.unseen_input(name)


def with_tls(transport: Transport, verify: Any, cert: Any) -> Transport:
    """Adds the settings `verify` and `cert`, as requests, httpx and niquests define them."""
    if isinstance(verify, ssl.SSLContext):
        transport = with_ssl_context(transport, verify)
    elif verify is not None and not isinstance(verify, bool):
        transport = transport.roots([certificates(verify)])
    elif verify is False:
        transport = transport.unverified()
    if cert:
        chain = cert[0] if isinstance(cert, (tuple, list)) else cert
        transport = transport.client_certificate(certificates(chain))
    return transport


def with_ssl_context(transport: Transport, context: ssl.SSLContext) -> Transport:
    """Adds an `SSLContext`, which does not tell whether it has a client certificate."""
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        transport = transport.unverified()
    return with_object(transport, context)


def proxy_url(url: Any) -> str:
    """Returns the URL of a proxy without credentials."""
    text = url.decode("latin-1") if isinstance(url, bytes) else str(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    return f"{scheme}://{rest.split('/', 1)[0].rpartition('@')[2]}"


def certificates(source: Any) -> bytes:
    """Returns the content of a certificate file; PEM text, bytes and other names unchanged."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str) and "-----BEGIN" in source:
        return source.encode()
    path = os.fspath(source)
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return os.fsencode(path)
    return _read(os.path.abspath(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _read(path: str | bytes, _changed: int, size: int) -> bytes:
    file = Path(os.fsdecode(path))
    if size <= MAX_CERTIFICATE_BYTES and file.is_file():
        try:
            return file.read_bytes()
        except OSError:
            pass
    # A directory, or a file that the client cannot read either.
    return os.fsencode(path)

"""Looks up a request in a store and opens every type of record, from docs/format.md alone.

It computes row keys from a request, follows Vary indexes and aliases, joins chunks, and opens
evidence, anchors and the list of namespaces. `lacre_v1` opens the envelopes.
`python/tests/test_format.py` runs it on stores that the `lacre` command wrote.
"""

import base64
import gzip
import json
import re
import sqlite3
import struct
from pathlib import Path
from urllib.parse import urlsplit

from blake3 import blake3

from lacre_v1 import (
    CBOR_KEYS,
    Place,
    Refused,
    field,
    lp,
    open_envelope,
    read_head,
    read_item,
    row_key,
    u32,
)

SUITES = ["aes-256-gcm", "xchacha20-poly1305", "blake3", "hmac-sha256"]
NAME_OF = {number: name for name, number in CBOR_KEYS.items()}
PREFERENCES = {"accept-charset", "accept-encoding", "accept-language"}
CHUNK = 256 << 10


# Section 5: row keys


def members(lines):
    """Splits a list at commas outside quoted strings, and strips white space."""
    found = []
    for line in lines:
        member, quoted, escaped = "", False, False
        for character in line:
            if character == "," and not quoted:
                found.append(member.strip())
                member = ""
                continue
            if escaped:
                escaped = False
            elif character == "\\" and quoted:
                escaped = True
            elif character == '"':
                quoted = not quoted
            member += character
        found.append(member.strip())
    return found


def weight(parameters):
    for name, _, value in (parameter.strip().partition("=") for parameter in parameters):
        if name.strip().lower() == "q":
            return round(float(value) * 1000)
    return 1000


def normalised(name, lines):
    if name not in PREFERENCES:
        return ", ".join(members(lines)).encode("latin-1")
    ranked = []
    for member in filter(None, members(lines)):
        value, *parameters = member.split(";")
        ranked.append((-weight(parameters), value.strip().lower()))
    return "".join(f"{value};{-minus}," for minus, value in sorted(ranked)).encode("latin-1")


def grouped(headers):
    """Returns the lines of each header by lower-case name."""
    lines = {}
    for name, value in headers:
        lines.setdefault(name.lower(), []).append(value)
    return lines


def origin(url):
    port = {"http": 80, "https": 443}.get(url.scheme)
    host = url.hostname if ":" not in url.hostname else f"[{url.hostname}]"
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in (None, port) else "")


def is_credential(name):
    """Returns the listed names that this reader needs; docs/format.md has all of them."""
    return name in ("authorization", "cookie", "proxy-authorization") or bool(
        re.search(r"(api-?key|token)$", name)
    )


def request_identity(method, url, headers=(), body=b"", partition=None, namespace="", cookie=True):
    """A request without matched headers, in a cache with the defaults."""
    url, lines = urlsplit(url), grouped(headers)
    identity = b"lacre/v1/namespace" + lp(namespace.encode()) if namespace else b""
    identity += (
        b"lacre/v1/request" + field(1, method.encode()) + field(2, origin(url).lower().encode())
    )
    identity += field(3, (url.path or "/").encode())
    if "?" in url.geturl():
        identity += field(4, url.query.encode())
    if body:
        identity += field(5, blake3(body).digest())
    for name in sorted(lines):
        if is_credential(name) and (cookie or name != "cookie"):
            identity += field(7, lp(name.encode()) + lp(normalised(name, lines[name])))
    if partition is not None:
        identity += field(8, partition.encode())
    return identity


def variant_identity(request, names, headers, namespace=""):
    lines = grouped(headers)
    identity = b"lacre/v1/namespace" + lp(namespace.encode()) if namespace else b""
    identity += b"lacre/v1/variant" + lp(request)
    for name in names:
        value = b"\x01" + lp(normalised(name, lines[name])) if name in lines else b"\x00"
        identity += field(10, lp(name.encode()) + value)
    return identity


# Sections 8 and 12: the location of records


class SqliteStore:
    def __init__(self, path):
        self.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        (self.id,) = self.database.execute(
            "SELECT value FROM meta WHERE name = 'store_id'"
        ).fetchone()

    def slot(self, key):
        (rowid,) = struct.unpack(">q", key[:8])
        row = self.database.execute(
            "SELECT sealed FROM slot WHERE id = ? AND key = ?", (rowid, key)
        ).fetchone()
        return row and row[0]

    def chunk(self, body, index):
        (first,) = struct.unpack(">q", body[:8])
        rowid = (first + index + (1 << 63)) % (1 << 64) - (1 << 63)
        row = self.database.execute(
            "SELECT sealed FROM chunk WHERE id = ? AND body = ?", (rowid, body)
        ).fetchone()
        return row and row[0]

    def keys(self):
        return [key for (key,) in self.database.execute("SELECT key FROM slot")]


class DirectoryStore:
    def __init__(self, path):
        self.path = Path(path)
        self.id = bytes.fromhex(
            re.fullmatch(r"lacre-store-v1 id=(\w{32})\n", (self.path / "lacre-store").read_text())[
                1
            ]
        )

    def slot(self, key):
        return self.record("slot", key.hex())

    def chunk(self, body, index):
        return self.record("body", body.hex(), str(index))

    def record(self, kind, name, *rest):
        path = self.path.joinpath(kind, name[:2], name, *rest)
        return path.read_bytes().partition(b"\n")[2] if path.is_file() else None

    def keys(self):
        return [bytes.fromhex(path.name) for path in self.path.glob("slot/*/*")]


# Sections 6 and 7: the content of records


def read_slot(head):
    """Returns the map of a head in CBOR or JSON, by name."""
    if head[:1] == b"{":
        slot = json.loads(head)
        for name in ("alias", "body"):
            if name in slot:
                slot[name] = bytes.fromhex(slot[name])
        for name in ("headers", "request_headers"):
            slot[name] = [
                base64.b64decode(item["base64"])
                if isinstance(item, dict)
                else item.encode()
                if place % 2
                else item
                for place, item in enumerate(slot.get(name, []))
            ]
        return slot
    return {NAME_OF[key]: value for key, value in integer_map(head).items() if key in NAME_OF}


def integer_map(data):
    """Returns a CBOR map with integer keys."""
    _, count, at = read_head(data, 0)
    found = {}
    for _ in range(count):
        key, at = read_item(data, at, 1)
        found[key], at = read_item(data, at, 1)
    return found


def unstaged(body, stages):
    for stage in reversed(stages):
        if stage != 2:
            raise Refused("unknown-stage")
        body = gzip.decompress(body)
    return body


class Reader:
    """A store with the keyring that sealed it."""

    def __init__(self, store, keyring, namespace, now):
        self.store, self.keyring, self.namespace, self.now = store, keyring, namespace, now

    def open(self, sealed, purpose, key, chunk=None):
        namespace = "" if purpose == "namespaces" else self.namespace
        place = Place(purpose, self.store.id, namespace, key, chunk)
        return open_envelope(sealed, self.keyring, place, self.now, SUITES)

    def slot(self, key):
        sealed = self.store.slot(key)
        if sealed is None:
            return None
        head, body = self.open(sealed, "slot", key)
        return read_slot(head), body

    def get(self, method, url, headers=(), **more):
        """Returns (slot, body) of the entry that answers a request, or None."""
        for cookie in [False, True]:
            identity = request_identity(
                method, url, headers, namespace=self.namespace, cookie=cookie, **more
            )
            found = self.follow(row_key(self.keyring.index, identity), headers)
            if found:
                return found
        return None

    def follow(self, key, headers):
        found = self.slot(key)
        for _ in range(8):
            if found is None:
                return None
            slot, body = found
            if slot["kind"] == 0:
                return slot, self.whole(key, slot, body)
            if slot["kind"] == 1:
                identity = variant_identity(key, slot["vary"], headers, self.namespace)
                key = row_key(self.keyring.index, identity)
            else:
                key = slot["alias"]
            found = self.slot(key)
        raise Refused("circle")

    def whole(self, key, slot, body):
        stages, count = slot.get("stages", []), slot.get("chunks")
        if count is not None:
            body = b""
            for index in range(count):
                last = index + 1 == count
                sealed = self.store.chunk(slot["body"], index)
                _, piece = self.open(sealed, "chunk", key, (slot["body"], index, last))
                piece = unstaged(piece, stages)
                if len(piece) != (slot["length"] - index * CHUNK if last else CHUNK):
                    raise Refused("wrong-length")
                body += piece
        else:
            body = unstaged(body, stages)
        if len(body) != slot["length"]:
            raise Refused("wrong-length")
        return body

    # Section 10

    def evidence(self, key):
        """Yields the quarantined rows: (row key, time, length, reason, bytes)."""
        place = int.from_bytes(key[:2], "big") % 1024
        at = row_key(self.keyring.index, b"lacre/v1/quarantine" + u32(place))
        sealed = self.store.slot(at)
        if sealed is None:
            return None
        head, body = self.open(sealed, "quarantine", at)
        found, length = struct.unpack(">QQ", head[32:48])
        return head[:32], found, length, head[48:].decode(), body

    # Section 11

    def anchor(self, text):
        """Yields the marks of an anchor: (row key, created, not after, commitment)."""
        start = b"lacre-anchor-v1\n"
        if not text.startswith(start) or text[len(start) : len(start) + 16] != self.store.id:
            raise Refused("not-an-anchor")
        at = len(start) + 32
        identifier, marks, index = text[at - 16 : at], [], 0
        while at < len(text):
            size = int.from_bytes(text[at : at + 4], "big")
            at += 4 + size
            chunk = (identifier, index, at == len(text))
            _, body = self.open(text[at - size : at], "anchor", bytes(32), chunk)
            marks += [
                (
                    body[place : place + 32],
                    *struct.unpack(">QQ", body[place + 32 : place + 48]),
                    body[place + 48 : place + 80],
                )
                for place in range(0, len(body), 80)
            ]
            index += 1
        return marks

    # Section 16

    def namespaces(self):
        key = row_key(self.keyring.index, b"lacre/v1/namespaces")
        sealed = self.store.slot(key)
        if sealed is None:
            return []
        head, _ = self.open(sealed, "namespaces", key)
        names, at = [], 0
        while at < len(head):
            size = int.from_bytes(head[at : at + 2], "big")
            names.append(head[at + 2 : at + 2 + size].decode())
            at += 2 + size
        return names

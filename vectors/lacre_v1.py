"""A second implementation of docs/format.md that shares no code with the crates.

`make.py` writes vectors with it, and checks every expectation with its readers `open_envelope`,
`parse_keyring`, `unlock` and `open_value`.
"""

import base64
import hashlib
import hmac
import re
import struct

from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

HEAD_CAP, BODY_CAP = 1 << 20, 8 << 20
SUITES = {"aes-256-gcm": 1, "xchacha20-poly1305": 2, "blake3": 3, "hmac-sha256": 4}
NAMES = {number: name for name, number in SUITES.items()}
TAG = {"aes-256-gcm": 16, "xchacha20-poly1305": 16, "blake3": 32, "hmac-sha256": 32}


class Refused(Exception):
    """The input is refused; the argument is the reason."""


def u32(x):
    return struct.pack(">I", x)


def u64(x):
    return struct.pack(">Q", x)


def lp(x):
    return u32(len(x)) + x


# Section 2 and 3: keys


def extract(salt, ikm):
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def expand(prk, info, size):
    out, block = b"", b""
    for counter in range(1, 256):
        if len(out) >= size:
            return out[:size]
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
    raise ValueError("too long for HKDF-SHA-256")


def key_id(master):
    return expand(extract(b"", master), b"lacre/v1/key-id", 8)


def index_of_bare(master):
    return expand(extract(b"", master), b"lacre/v1/index", 32)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Keyring:
    def __init__(self, primary, verify=(), index=None, epoch=0):
        self.primary, self.verify, self.epoch = primary, list(verify), epoch
        self.index = index or index_of_bare(primary)

    def text(self):
        lines = ["lacre-keyring-v1", f"index {base64url(self.index)}", f"epoch {self.epoch}"]
        lines.append(f"primary {base64url(self.primary)}")
        lines += [f"verify {base64url(key)}" for key in self.verify]
        return "\n".join(lines) + "\n"

    def master(self, identifier):
        for key in [self.primary, *self.verify]:
            if key_id(key) == identifier:
                return key
        raise Refused("unknown-key")


def strong(key):
    if len(set(key)) < 8:
        raise Refused("weak-key")
    return key


def decode_key(text, pattern):
    if not re.fullmatch(pattern, text):
        raise Refused("bad-key")
    plain = text.rstrip("=").replace("+", "-").replace("/", "_")
    key = base64.urlsafe_b64decode(plain + "=")
    if base64url(key) != plain:
        raise Refused("bad-key")
    return strong(key)


def meaningful_lines(text):
    return [
        line for line in text.replace("\r\n", "\n").split("\n") if line and not line.startswith("#")
    ]


def parse_keyring(text):
    lines = meaningful_lines(text)
    if not lines:
        raise Refused("not-a-keyring")
    if lines[0] != "lacre-keyring-v1":
        if len(lines) > 1 or lines[0].startswith("lacre-keyring"):
            raise Refused("not-a-keyring")
        if re.fullmatch(r"[0-9A-Fa-f]{64}", lines[0]):
            return Keyring(strong(bytes.fromhex(lines[0])))
        return Keyring(decode_key(lines[0], r"[A-Za-z0-9+/]{43}=?|[A-Za-z0-9_-]{43}=?"))
    once, verify = {}, []
    for line in lines[1:]:
        name, _, value = line.partition(" ")
        if name not in ("index", "epoch", "primary", "verify"):
            raise Refused("unknown-line")
        if name in once:
            raise Refused("duplicate")
        if name == "epoch":
            if not re.fullmatch(r"[0-9]+", value) or int(value) >= 1 << 64:
                raise Refused("bad-epoch")
            once[name] = int(value)
        elif name == "verify":
            verify.append(decode_key(value, r"[A-Za-z0-9_-]{43}"))
        else:
            once[name] = decode_key(value, r"[A-Za-z0-9_-]{43}")
    if set(once) != {"index", "epoch", "primary"}:
        raise Refused("missing")
    return Keyring(once["primary"], verify, once["index"], once["epoch"])


# Sections 1, 2 and 4: envelopes


class Place:
    """The context of an envelope: an input of key derivation that is never stored."""

    def __init__(self, purpose, store, namespace, key, chunk=None):
        """`chunk` is (body id, index, last), for the purpose `chunk` only."""
        self.purpose, self.store, self.namespace, self.key, self.chunk = (
            purpose,
            store,
            namespace,
            key,
            chunk,
        )

    def context(self):
        detail = b""
        if self.chunk:
            body, index, last = self.chunk
            detail = body + u32(index) + bytes([last])
        parts = [self.purpose.encode(), self.store, self.namespace.encode(), self.key, detail]
        return b"".join(lp(part) for part in parts)


def derive(master, salt, fields, place):
    prk = extract(salt, master)
    return prk, expand(prk, b"lacre/v1/envelope" + fields + place.context(), 64)


def segments(length, size):
    """Yields (index, start, end, last) of each segment of a part."""
    count = -(-length // size)
    return [(i, i * size, min((i + 1) * size, length), i + 1 == count) for i in range(count)]


def seal_segment(suite, key, nonce, plain):
    if suite == "aes-256-gcm":
        return AESGCM(key).encrypt(nonce, plain, None)
    if suite == "xchacha20-poly1305":
        return crypto_aead_xchacha20poly1305_ietf_encrypt(plain, None, bytes(12) + nonce, key)
    if suite == "blake3":
        return plain + blake3(plain + nonce, key=key).digest()
    return plain + hmac.digest(key, plain + nonce, "sha256")


def open_segment(suite, key, nonce, sealed):
    try:
        if suite == "aes-256-gcm":
            return AESGCM(key).decrypt(nonce, sealed, None)
        if suite == "xchacha20-poly1305":
            return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, None, bytes(12) + nonce, key)
    except (InvalidTag, CryptoError) as error:
        raise Refused("bad-segment") from error
    plain = sealed[:-32]
    if seal_segment(suite, key, nonce, plain) != sealed:
        raise Refused("bad-segment")
    return plain


def nonce_of(part, index, last):
    return bytes(6) + bytes([part]) + u32(index) + bytes([last])


class Envelope:
    """The inputs of one sealing, and its result `sealed`."""

    def __init__(
        self,
        suite,
        head,
        body,
        *,
        segment,
        keyring,
        place,
        created,
        not_after,
        epoch,
        salt,
        identifier,
    ):
        self.suite, self.head, self.body, self.segment = suite, head, body, segment
        self.keyring, self.place, self.salt = keyring, place, salt
        self.created, self.not_after, self.epoch = created, not_after, epoch
        fields = b"\x89LAC" + bytes([1, SUITES[suite], 0, segment])
        fields += identifier + u64(epoch) + u64(created) + u64(not_after)
        fields += u32(len(head)) + u32(len(body))
        self.prk, self.okm = derive(self.keyring.primary, self.salt, fields, self.place)
        self.sealed = fields + self.salt + self.okm[32:]
        for part, plain in enumerate([head, body]):
            for index, start, end, last in segments(len(plain), 1 << segment):
                nonce = nonce_of(part, index, last)
                self.sealed += seal_segment(suite, self.okm[:32], nonce, plain[start:end])


def open_envelope(sealed, keyring, place, now, accept):
    """Returns (head, body). The second argument of `Refused` is whether the head was opened."""
    if sealed[:4] != b"\x89LAC":
        raise Refused("not-an-envelope")
    if len(sealed) > 4 and sealed[4] != 1:
        raise Refused("unknown-version")
    if len(sealed) < 112 or sealed[6] != 0:
        raise Refused("malformed")
    suite, log2 = NAMES.get(sealed[5]), sealed[7]
    if suite not in accept:
        raise Refused("wrong-suite")
    epoch, _created, not_after = struct.unpack(">QQQ", sealed[16:40])
    lengths = struct.unpack(">II", sealed[40:48])
    if not 12 <= log2 <= 24 or lengths[0] > HEAD_CAP or lengths[1] > BODY_CAP:
        raise Refused("malformed")
    cuts = [segments(length, 1 << log2) for length in lengths]
    if len(sealed) != 112 + sum(lengths) + TAG[suite] * sum(len(cut) for cut in cuts):
        raise Refused("malformed")
    master = keyring.master(sealed[8:16])
    _prk, okm = derive(master, sealed[48:80], sealed[:48], place)
    if not hmac.compare_digest(okm[32:], sealed[80:112]):
        raise Refused("bad-commitment")
    if epoch < keyring.epoch:
        raise Refused("revoked")
    if now > not_after:
        raise Refused("expired")
    at, parts = 112, []
    for part, cut in enumerate(cuts):
        plain = b""
        for index, start, end, last in cut:
            size = end - start + TAG[suite]
            try:
                plain += open_segment(
                    suite, okm[:32], nonce_of(part, index, last), sealed[at : at + size]
                )
            except Refused as refusal:
                raise Refused(refusal.args[0], part == 1) from refusal
            at += size
        parts.append(plain)
    return tuple(parts)


# Section 5: row keys


def field(tag, value):
    return bytes([tag]) + lp(value)


def row_key(index, identity):
    return blake3(identity, key=index).digest()


# Section 6: slot heads

CBOR_KEYS = {
    name: number
    for number, name in enumerate(
        [
            "kind",
            "vary",
            "alias",
            "method",
            "url",
            "request_headers",
            "status",
            "version",
            "headers",
            "requested",
            "received",
            "ttl",
            "body",
            "length",
            "stages",
            "chunks",
            "tags",
            "forever",
            "variants",
        ]
    )
}


def cbor_head(major, value):
    for bits, code in [(0, None), (8, 24), (16, 25), (32, 26), (64, 27)]:
        if code is None and value < 24:
            return bytes([major << 5 | value])
        if code is not None and value < 1 << bits:
            return bytes([major << 5 | code]) + value.to_bytes(bits // 8, "big")
    raise ValueError("integer too large for CBOR")


def cbor(value):
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, str):
        return cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(map(cbor, value))
    return cbor_head(5, len(value)) + b"".join(
        cbor(key) + cbor(value[key]) for key in sorted(value)
    )


def json_header(value):
    if all(0x20 <= byte <= 0x7E for byte in value):
        return value.decode()
    return {"base64": base64.b64encode(value).decode()}


def json_form(slot):
    out = {}
    for name, value in slot.items():
        if name in ("headers", "request_headers"):
            value = [json_header(item) if isinstance(item, bytes) else item for item in value]
        if name == "variants":
            value = [key.hex() for key in value]
        out[name] = value.hex() if isinstance(value, bytes) else value
    return out


def cbor_form(slot):
    return cbor({CBOR_KEYS[name]: value for name, value in slot.items()})


# Section 13: keyrings locked with a passphrase


def strong_passphrase(text):
    if len(text) < 12 or len(set(text)) < 6:
        raise Refused("weak-passphrase")
    return text.encode()


def locking_key(passphrase, salt, memory, passes, lanes):
    secret = strong_passphrase(passphrase)
    return hash_secret_raw(secret, salt, passes, memory, lanes, 32, Type.ID, version=0x13)


def locked_place(salt):
    return Place("keyring", salt, "", bytes(32))


def decode_line(value):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", value) or len(value) % 4 == 1:
        raise Refused("bad-line")
    data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    if base64url(data) != value:
        raise Refused("bad-line")
    return data


def unlock(passphrase, text):
    strong_passphrase(passphrase)
    lines = meaningful_lines(text)
    if not lines or lines[0] != "lacre-passphrase-v1":
        raise Refused("not-locked")
    found = {}
    for line in lines[1:]:
        name, _, value = line.partition(" ")
        if name not in ("argon2id", "salt", "sealed"):
            raise Refused("bad-line")
        if name in found:
            raise Refused("needs-one")
        if name == "argon2id":
            if not re.fullmatch(r"[0-9]+ [0-9]+ [0-9]+", value) or any(
                int(n) >> 32 for n in value.split()
            ):
                raise Refused("bad-line")
            memory, passes, lanes = found[name] = [int(number) for number in value.split()]
            if not (19 << 10 <= memory <= 256 << 10 and 2 <= passes <= 16 and 1 <= lanes <= 16):
                raise Refused("cost")
        else:
            found[name] = decode_line(value)
            if name == "salt" and len(found[name]) != 16:
                raise Refused("bad-line")
    if len(found) != 3:
        raise Refused("needs-one")
    keyring = Keyring(locking_key(passphrase, found["salt"], *found["argon2id"]))
    try:
        _, body = open_envelope(
            found["sealed"], keyring, locked_place(found["salt"]), 0, ["aes-256-gcm"]
        )
    except Refused as refusal:
        raise Refused(
            "wrong-passphrase" if refusal.args[0] == "unknown-key" else refusal.args[0]
        ) from refusal
    return parse_keyring(body.decode())


# Section 14: values of the Python package


def personal(person, data):
    return hashlib.blake2b(data, digest_size=32, person=person).digest()


def value_place(store, table, key, identifier, index, last):
    return Place(
        "value", store, table, personal(b"lacre/v1/row", key.encode()), (identifier, index, last)
    )


def ring_of_secret(secret):
    try:
        return parse_keyring(secret.decode().strip())
    except (Refused, UnicodeDecodeError):
        pass
    if len(secret) < 32:
        raise Refused("weak-secret")
    try:
        return Keyring(personal(b"lacre/v1/secret", strong(secret)))
    except Refused as refusal:
        raise Refused("weak-secret") from refusal


def plain(value):
    """Returns the CBOR of a value; maps keep their order."""
    if value is None:
        return b"\xf6"
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(map(plain, value))
    if isinstance(value, dict):
        return cbor_head(5, len(value)) + b"".join(
            plain(part) for item in value.items() for part in item
        )
    return cbor(value)


def read_plain(data):
    value, at = read_item(data, 0, 0)
    if at != len(data):
        raise Refused("malformed")
    return value


def read_item(data, at, depth):
    major, value, at = read_head(data, at)
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in (2, 3):
        part = data[at : at + value]
        if len(part) != value:
            raise Refused("malformed")
        try:
            return part if major == 2 else part.decode(), at + value
        except UnicodeDecodeError as error:
            raise Refused("malformed") from error
    if major in (4, 5):
        if depth == 128:
            raise Refused("malformed")
        members = []
        for _ in range(value * (major - 3)):
            member, at = read_item(data, at, depth + 1)
            members.append(member)
        if major == 4:
            return members, at
        names = members[::2]
        if any(not isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise Refused("malformed")
        return dict(zip(names, members[1::2], strict=True)), at
    return value, at


def read_head(data, at):
    """Returns (major type, argument, end); the value itself for simple values."""
    if at >= len(data):
        raise Refused("malformed")
    major, low = data[at] >> 5, data[at] & 31
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0)
    argument = data[at + 1 : at + 1 + size]
    if low > 27 or len(argument) != size:
        raise Refused("malformed")
    if major == 7:
        simple = {20: False, 21: True, 22: None}
        if low != 27 and low not in simple:
            raise Refused("malformed")
        return (
            major,
            simple[low] if low in simple else struct.unpack(">d", argument)[0],
            at + 1 + size,
        )
    if major == 6:
        raise Refused("malformed")
    return major, int.from_bytes(argument, "big") if size else low, at + 1 + size


def open_value(sealed, keyring, store, table, key, now):
    if len(sealed) < 20:
        raise Refused("unsealed")
    identifier, at, index, body = sealed[:16], 16, 0, b""
    while at < len(sealed):
        size = int.from_bytes(sealed[at : at + 4], "big")
        envelope = sealed[at + 4 : at + 4 + size]
        if at + 4 > len(sealed) or len(envelope) != size:
            raise Refused("unsealed")
        at += 4 + size
        place = value_place(store, table, key, identifier, index, at == len(sealed))
        body += open_envelope(envelope, keyring, place, now, ["aes-256-gcm"])[1]
        index += 1
    return read_plain(body)

"""Makes the test vectors of docs/format.md, sharing no code with the crates.

Run it by hand once per format version and commit the output; no test runs it:

    python3 -m venv venv
    venv/bin/pip install argon2-cffi==25.1.0 blake3==1.0.11 cryptography==50.0.2 pynacl==1.6.2 \\
        pyyaml==6.0.3 msgpack==1.2.4 pymongo==4.20.0 brotli==1.2.1 lz4==4.4.5 zstandard==0.25.0
    venv/bin/python vectors/make.py

The output is deterministic: every key, salt and body is SHAKE-256 of a label. Each file is
{"format", "generator", "tests": [{"id", "comment", "flags", "result": "ok" | "refused",
"reason"?, ...}]}. A "reason" is the first rule of the reading order that fails. The readers in
lacre_v1.py have checked every expectation about envelopes and keyrings.
"""

import base64
import hashlib
import json
import pathlib
import zlib

import brotli
import bson
import lz4.block
import msgpack
import yaml
import zstandard
from blake3 import blake3

from lacre_v1 import (
    BODY_CAP,
    CBOR_KEYS,
    HEAD_CAP,
    NAMES,
    SUITES,
    TAG,
    Envelope,
    Keyring,
    Place,
    Refused,
    base64url,
    cbor,
    cbor_form,
    field,
    json_form,
    key_id,
    locked_place,
    locking_key,
    lp,
    open_envelope,
    open_value,
    parse_keyring,
    plain,
    ring_of_secret,
    row_key,
    u32,
    u64,
    unlock,
    value_place,
)

HERE = pathlib.Path(__file__).parent
UNBOUNDED = 0x7FFF_FFFF_FFFF_FFFF


def fixed(label, size):
    """Returns pseudo-random bytes of a label."""
    return hashlib.shake_256(b"lacre vectors: " + label.encode()).digest(size)


KEY_A, KEY_B, KEY_C = (fixed(f"master key {name}", 32) for name in "ABC")
RING = Keyring(KEY_A, [KEY_B], fixed("index key", 32), 7)


HEAD, BODY = fixed("head", 24), fixed("body", 48)


def found(purpose="slot", store="store A", namespace="app", key="row A", chunk=None):
    """Returns a place whose identifiers derive from labels."""
    if chunk:
        body, index, last = chunk
        chunk = (fixed(body, 16), index, last)
    return Place(purpose, fixed(store, 16), namespace, fixed(key, 32), chunk)


def described(place):
    out = {"purpose": place.purpose, "store_hex": place.store.hex()}
    out |= {"namespace": place.namespace, "key_hex": place.key.hex()}
    if place.chunk:
        body, index, last = place.chunk
        out |= {"body_id_hex": body.hex(), "index": index, "last": last}
    return out


def sealing(
    suite,
    head,
    body,
    *,
    segment=16,
    keyring=RING,
    place=None,
    created=1_700_000_000_000,
    not_after=1_700_003_600_000,
    epoch=None,
    salt="salt",
    identifier=None,
):
    return Envelope(
        suite,
        head,
        body,
        segment=segment,
        keyring=keyring,
        place=place or found(),
        created=created,
        not_after=not_after,
        epoch=keyring.epoch if epoch is None else epoch,
        salt=fixed(f"{salt} {suite}", 32),
        identifier=identifier or key_id(keyring.primary),
    )


class Tests:
    """One file of vectors. It numbers tests and checks each envelope with the reader."""

    def __init__(self, title, prefix):
        self.title, self.prefix, self.tests = title, prefix, []

    def keep(self, comment, flags, result, inputs):
        head = {"id": f"{self.prefix}-{len(self.tests) + 1:03}", "comment": comment, "flags": flags}
        self.tests.append(head | result | inputs)

    def write(self, name):
        out = {
            "format": f"lacre/v1 {self.title}",
            "generator": "vectors/make.py",
            "tests": self.tests,
        }
        text = json.dumps(out, indent=1, ensure_ascii=True)
        (HERE / name).write_text(text + "\n", encoding="ascii", newline="\n")

    def accepted(self, comment, flags, made, *, now=1_700_000_001_000, keyring=None):
        keyring = keyring or made.keyring
        assert open_envelope(made.sealed, keyring, made.place, now, [made.suite]) == (
            made.head,
            made.body,
        )
        parts = {
            "segment": made.segment,
            "created": made.created,
            "not_after": made.not_after,
            "epoch": made.epoch,
        }
        parts |= {
            "salt_hex": made.salt.hex(),
            "head_hex": made.head.hex(),
            "body_hex": made.body.hex(),
        }
        parts |= {
            "prk_hex": made.prk.hex(),
            "okm_hex": made.okm.hex(),
            "sealed_hex": made.sealed.hex(),
        }
        same = keyring.primary == made.keyring.primary and keyring.epoch == made.epoch
        flags = [*flags, "reproducible"] if same else flags
        opening = {
            "suite": made.suite,
            "keyring": keyring.text(),
            "accept": [made.suite],
            "now": now,
        }
        self.keep(comment, flags, {"result": "ok"}, opening | described(made.place) | parts)

    def refused(
        self,
        comment,
        flags,
        reason,
        sealed,
        *,
        place=None,
        keyring=None,
        accept=None,
        now=1_700_000_001_000,
    ):
        keyring, place, accept = keyring or RING, place or found(), accept or ["aes-256-gcm"]
        try:
            open_envelope(sealed, keyring, place, now, accept)
        except Refused as refusal:
            assert refusal.args[0] == reason, f"{comment}: {refusal.args[0]}, not {reason}"
            result = {
                "result": "refused",
                "reason": reason,
                "head_opens": refusal.args[1:] == (True,),
            }
        else:
            raise AssertionError(f"{comment}: opened")
        opening = {"keyring": keyring.text(), "accept": accept, "now": now}
        self.keep(comment, flags, result, opening | described(place) | {"sealed_hex": sealed.hex()})


def put(data, at, new):
    return data[:at] + new + data[at + len(new) :]


def flip(data, at):
    return put(data, at, bytes([data[at] ^ 1]))


def envelopes():
    tests = Tests("envelope", "env")
    for suite in SUITES:
        shapes = [
            ("empty head and body", b"", b"", 16),
            ("small head and body", HEAD, BODY, 16),
            ("head only", fixed("head only", 61), b"", 16),
            ("body only", b"", fixed("body only", 33), 16),
            ("body of exactly one segment", HEAD, fixed("one segment", 4096), 12),
            ("body one byte longer than a segment", HEAD, fixed("one more", 4097), 12),
            (
                "head of two segments, body of three",
                fixed("long head", 4100),
                fixed("several", 8200),
                12,
            ),
        ]
        for comment, head, body, segment in shapes:
            made = sealing(suite, head, body, segment=segment, salt=comment)
            tests.accepted(f"{suite}: {comment}", ["seal"], made)
    for suite in SUITES:
        accepted_variants(tests, suite)
        refused_fields(tests, suite)
        refused_places(tests, suite)
        refused_segments(tests, suite)
        refused_reader_state(tests, suite)
    tests.write("envelope.json")


def small(suite, **other):
    return sealing(suite, HEAD, BODY, **other)


def accepted_variants(tests, suite):
    tests.accepted(
        f"{suite}: no bound on its life",
        ["lifetime"],
        small(suite, not_after=UNBOUNDED),
        now=1 << 60,
    )
    tests.accepted(
        f"{suite}: opened at its very last moment",
        ["lifetime"],
        small(suite),
        now=1_700_003_600_000,
    )
    tests.accepted(
        f"{suite}: empty namespace", ["context"], small(suite, place=found(namespace=""))
    )
    tests.accepted(
        f"{suite}: a namespace beyond ASCII",
        ["context"],
        small(suite, place=found(namespace="caché 缓存")),
    )
    tests.accepted(f"{suite}: sealed under a higher epoch", ["epoch"], small(suite, epoch=9))
    old = small(suite, keyring=Keyring(KEY_B, [], RING.index, 7))
    tests.accepted(f"{suite}: opened by a verify-only key", ["rotation"], old, keyring=RING)
    bare = small(suite, keyring=Keyring(KEY_C))
    tests.accepted(f"{suite}: a bare master key, epoch 0", ["keyring"], bare)


def refused_fields(tests, suite):
    good, mine = small(suite).sealed, [suite]
    partner = {1: 2, 2: 1, 3: 4, 4: 3}[SUITES[suite]]
    edits = [
        ("magic", "not-an-envelope", flip(good, 0)),
        ("last byte of the magic", "not-an-envelope", flip(good, 3)),
        ("version 0", "unknown-version", put(good, 4, b"\0")),
        ("version 2", "unknown-version", put(good, 4, b"\2")),
        ("unknown suite 0", "wrong-suite", put(good, 5, b"\0")),
        ("unknown suite 5", "wrong-suite", put(good, 5, b"\5")),
        (
            "another suite, which the reader does not accept",
            "wrong-suite",
            put(good, 5, bytes([partner])),
        ),
        ("a flag", "malformed", put(good, 6, b"\1")),
        ("the highest flag", "malformed", put(good, 6, b"\x80")),
        ("segment size, same length overall", "bad-commitment", put(good, 7, bytes([17]))),
        ("segment size below the range", "malformed", put(good, 7, bytes([11]))),
        ("segment size above the range", "malformed", put(good, 7, bytes([25]))),
        ("key id", "unknown-key", flip(good, 8)),
        ("key id of another key in the ring", "bad-commitment", put(good, 8, key_id(KEY_B))),
        ("epoch raised", "bad-commitment", put(good, 16, u64(8))),
        ("epoch lowered", "bad-commitment", put(good, 16, u64(6))),
        ("created", "bad-commitment", flip(good, 31)),
        ("not after, later", "bad-commitment", put(good, 32, u64(1_800_000_000_000))),
        ("not after, unbounded", "bad-commitment", put(good, 32, u64(UNBOUNDED))),
        (
            "a byte moved from body to head",
            "bad-commitment",
            put(good, 40, u32(len(HEAD) + 1) + u32(len(BODY) - 1)),
        ),
        ("head length", "malformed", put(good, 40, u32(len(HEAD) + 1))),
        ("body length", "malformed", put(good, 44, u32(len(BODY) - 1))),
        ("head length over its cap", "malformed", put(good, 40, u32(HEAD_CAP + 1))),
        ("body length over its cap", "malformed", put(good, 44, u32(BODY_CAP + 1))),
        ("largest lengths an integer holds", "malformed", put(good, 40, b"\xff" * 8)),
        ("first byte of the salt", "bad-commitment", flip(good, 48)),
        ("last byte of the salt", "bad-commitment", flip(good, 79)),
        ("first byte of the commitment", "bad-commitment", flip(good, 80)),
        ("last byte of the commitment", "bad-commitment", flip(good, 111)),
        ("commitment of zeros", "bad-commitment", put(good, 80, bytes(32))),
    ]
    for comment, reason, sealed in edits:
        tests.refused(f"{suite}: edited {comment}", ["edit", "header"], reason, sealed, accept=mine)
    both = [suite, NAMES[partner]]
    sealed = put(good, 5, bytes([partner]))
    tests.refused(
        f"{suite}: edited suite, to one also accepted",
        ["edit", "header"],
        "bad-commitment",
        sealed,
        accept=both,
    )
    for comment, reason, sealed in [
        ("no bytes at all", "not-an-envelope", b""),
        ("three bytes of the magic", "not-an-envelope", good[:3]),
        ("the magic alone", "malformed", good[:4]),
        ("half a header", "malformed", good[:56]),
        ("a header cut by one byte", "malformed", good[:111]),
        ("a header without its segments", "malformed", good[:112]),
        ("cut by one byte", "malformed", good[:-1]),
        ("extended by one byte", "malformed", good + b"\0"),
        ("two envelopes in a row", "malformed", good + good),
    ]:
        tests.refused(f"{suite}: {comment}", ["length"], reason, sealed, accept=mine)


def refused_places(tests, suite):
    good = small(suite).sealed
    for comment, place in [
        ("another row key", found(key="row B")),
        ("another store", found(store="store B")),
        ("another namespace", found(namespace="other")),
        ("the empty namespace", found(namespace="")),
        ("a namespace that differs in case", found(namespace="App")),
        ("another purpose", found("chunk", chunk=("body id", 0, True))),
    ]:
        tests.refused(
            f"{suite}: found under {comment}",
            ["moved"],
            "bad-commitment",
            good,
            place=place,
            accept=[suite],
        )


def refused_segments(tests, suite):
    good, tag, mine = small(suite).sealed, TAG[suite], [suite]
    head, body = 112, 112 + len(HEAD) + tag
    for comment, at in [
        ("first byte of the head", head),
        ("first byte of the head's tag", head + len(HEAD)),
        ("last byte of the head's tag", body - 1),
        ("first byte of the body", body),
        ("last byte of the body's tag", len(good) - 1),
    ]:
        tests.refused(
            f"{suite}: flipped {comment}",
            ["edit", "segment"],
            "bad-segment",
            flip(good, at),
            accept=mine,
        )
    other = sealing(
        suite, fixed("head 2", len(HEAD)), fixed("body 2", len(BODY)), salt="salt 2"
    ).sealed
    for comment, reason, sealed in [
        ("body of another envelope", "bad-segment", good[:body] + other[body:]),
        ("head of another envelope", "bad-segment", good[:head] + other[head:body] + good[body:]),
        ("segments of another envelope", "bad-segment", good[:head] + other[head:]),
        (
            "commitment of another envelope",
            "bad-commitment",
            good[:80] + other[80:112] + good[112:],
        ),
        (
            "salt and commitment of another envelope under an edited header",
            "bad-commitment",
            flip(good, 39)[:48] + other[48:],
        ),
    ]:
        tests.refused(
            f"{suite}: spliced with the {comment}", ["splice"], reason, sealed, accept=mine
        )
    twins = sealing(suite, fixed("twin", 50), fixed("twin", 50), salt="twins").sealed
    cut = 112 + 50 + tag
    swapped = twins[:112] + twins[cut:] + twins[112:cut]
    tests.refused(
        f"{suite}: head and body exchanged", ["splice"], "bad-segment", swapped, accept=mine
    )
    long = sealing(suite, b"", fixed("two segments", 8192), segment=12, salt="long").sealed
    one = 112 + 4096 + tag
    swapped = long[:112] + long[one:] + long[112:one]
    tests.refused(
        f"{suite}: two segments exchanged", ["splice"], "bad-segment", swapped, accept=mine
    )
    shorter = put(long[:one], 44, u32(4096))
    tests.refused(
        f"{suite}: cut at a segment's end, length adjusted",
        ["length"],
        "bad-commitment",
        shorter,
        accept=mine,
    )


def refused_reader_state(tests, suite):
    good, mine = small(suite).sealed, [suite]
    ring = {epoch: Keyring(KEY_A, [KEY_B], RING.index, epoch) for epoch in (8, 1 << 63)}
    late, forged = (
        1_700_003_600_001,
        small(suite, keyring=Keyring(KEY_C), identifier=key_id(KEY_A), epoch=7).sealed,
    )
    for comment, flags, reason, sealed, state in [
        ("one millisecond after not after", ["lifetime"], "expired", good, {"now": late}),
        ("below the epoch", ["epoch"], "revoked", good, {"keyring": ring[8]}),
        ("far below the epoch", ["epoch"], "revoked", good, {"keyring": ring[1 << 63]}),
        (
            "below the epoch and expired",
            ["epoch"],
            "revoked",
            good,
            {"keyring": ring[8], "now": late},
        ),
        ("edited and expired", ["edit"], "bad-commitment", flip(good, 48), {"now": late}),
        (
            "a key that the ring does not hold",
            ["rotation"],
            "unknown-key",
            good,
            {"keyring": Keyring(KEY_C)},
        ),
        ("forged with another key under this key's id", ["forged"], "bad-commitment", forged, {}),
    ]:
        tests.refused(f"{suite}: {comment}", flags, reason, sealed, accept=mine, **state)


def chunks():
    tests = Tests("chunk", "chk")
    for suite in SUITES:

        def chunk(index, last, body="body id", **other):
            place = found("chunk", chunk=(body, index, last), **other)
            return sealing(
                suite, b"", fixed(f"chunk {index}", 64), place=place, salt=f"chunk {index}"
            )

        for index, last in [(0, False), (1, False), (2, True)]:
            tests.accepted(f"{suite}: chunk {index} of three", ["chunk"], chunk(index, last))
        tests.accepted(f"{suite}: an only chunk", ["chunk"], chunk(0, True))
        tests.accepted(f"{suite}: the highest index", ["chunk"], chunk(0xFFFF_FFFF, True))
        sealed = chunk(1, False).sealed
        for comment, place in [
            ("at another index", found("chunk", chunk=("body id", 0, False))),
            ("as the last one", found("chunk", chunk=("body id", 1, True))),
            ("of another body", found("chunk", chunk=("body id 2", 1, False))),
            ("under another row key", found("chunk", key="row B", chunk=("body id", 1, False))),
            ("in another store", found("chunk", store="store B", chunk=("body id", 1, False))),
            (
                "in another namespace",
                found("chunk", namespace="other", chunk=("body id", 1, False)),
            ),
            ("as a slot", found()),
        ]:
            tests.refused(
                f"{suite}: a chunk opened {comment}",
                ["moved"],
                "bad-commitment",
                sealed,
                place=place,
                accept=[suite],
            )
        middle = found("chunk", chunk=("body id", 2, False))
        tests.refused(
            f"{suite}: the last chunk opened as a middle one",
            ["moved"],
            "bad-commitment",
            chunk(2, True).sealed,
            place=middle,
            accept=[suite],
        )
    tests.write("chunks.json")


def keyrings():
    tests = Tests("keyring", "ring")

    def accepted(comment, flags, text):
        ring = parse_keyring(text)
        keys = {"primary_hex": ring.primary.hex(), "verify_hex": [key.hex() for key in ring.verify]}
        keys |= {"key_ids_hex": [key_id(key).hex() for key in [ring.primary, *ring.verify]]}
        tests.keep(
            comment,
            flags,
            {"result": "ok"},
            {"text": text, "index_hex": ring.index.hex(), "epoch": str(ring.epoch)} | keys,
        )

    def refused(comment, flags, reason, text):
        try:
            parse_keyring(text)
        except Refused as refusal:
            assert refusal.args == (reason,), f"{comment}: {refusal.args[0]}, not {reason}"
        else:
            raise AssertionError(f"{comment}: accepted")
        tests.keep(comment, flags, {"result": "refused", "reason": reason}, {"text": text})

    full = RING.text()
    url_like = b"\xfb\xff" + fixed("master key D", 30)
    assert base64url(url_like).startswith("-_")
    standard = base64.b64encode(url_like).decode()
    accepted("bare, lower-case hexadecimal", ["bare"], KEY_A.hex())
    accepted("bare, upper-case hexadecimal", ["bare"], KEY_A.hex().upper())
    accepted("bare, with a line end", ["bare"], KEY_A.hex() + "\n")
    accepted("bare, with a CRLF line end", ["bare"], KEY_A.hex() + "\r\n")
    accepted("bare, base64url without padding", ["bare"], base64url(url_like))
    accepted("bare, base64url with padding", ["bare"], base64url(url_like) + "=")
    accepted("bare, standard base64 without padding", ["bare"], standard.rstrip("="))
    accepted("bare, standard base64 with padding", ["bare"], standard)
    accepted("bare, a key of exactly eight distinct bytes", ["bare"], bytes(range(8)).hex() * 4)
    accepted("text", ["text"], full)
    accepted("text, no final line end", ["text"], full.rstrip("\n"))
    accepted("text, CRLF", ["text"], full.replace("\n", "\r\n"))
    accepted(
        "text, comments and blank lines",
        ["text"],
        "# made for a test\n\n" + full.replace("epoch", "\n# epoch\nepoch"),
    )
    accepted("text, no verify-only key", ["text"], Keyring(KEY_A, [], RING.index, 0).text())
    accepted(
        "text, two verify-only keys", ["text"], Keyring(KEY_A, [KEY_B, KEY_C], RING.index, 1).text()
    )
    accepted(
        "text, the highest epoch", ["text"], Keyring(KEY_A, [], RING.index, (1 << 64) - 1).text()
    )

    primary = f"primary {base64url(KEY_A)}\n"
    refused("empty", ["text"], "not-a-keyring", "")
    refused("only comments", ["text"], "not-a-keyring", "# nothing\n")
    refused("a later version of the text", ["text"], "not-a-keyring", full.replace("-v1", "-v2"))
    refused("no first line", ["text"], "not-a-keyring", full.split("\n", 1)[1])
    refused("two bare keys", ["bare"], "not-a-keyring", KEY_A.hex() + "\n" + KEY_B.hex())
    refused("two primaries", ["text"], "duplicate", full + f"primary {base64url(KEY_C)}\n")
    refused("two index keys", ["text"], "duplicate", full + f"index {base64url(KEY_C)}\n")
    refused("two epochs", ["text"], "duplicate", full + "epoch 8\n")
    refused("no primary", ["text"], "missing", full.replace(primary, ""))
    refused(
        "no index key", ["text"], "missing", full.replace(f"index {base64url(RING.index)}\n", "")
    )
    refused("no epoch", ["text"], "missing", full.replace("epoch 7\n", ""))
    refused("an unknown line", ["text"], "unknown-line", full + "expires 5\n")
    refused("a name in another case", ["text"], "unknown-line", full.replace("primary", "Primary"))
    for epoch in ["", "-1", "+7", "seven", "0x7", "7.0", "18446744073709551616"]:
        refused(
            f"epoch {epoch!r}", ["text"], "bad-epoch", full.replace("epoch 7", f"epoch {epoch}")
        )
    refused("a primary without its key", ["text"], "bad-key", full.replace(primary, "primary\n"))
    refused(
        "a primary of 31 bytes",
        ["text"],
        "bad-key",
        full.replace(primary, f"primary {base64url(KEY_A[:31])}\n"),
    )
    refused(
        "a primary of 33 bytes",
        ["text"],
        "bad-key",
        full.replace(primary, f"primary {base64url(KEY_A + b'x')}\n"),
    )
    refused(
        "a primary with padding",
        ["text"],
        "bad-key",
        full.replace(primary, primary.strip() + "=\n"),
    )
    refused(
        "a primary in hexadecimal",
        ["text"],
        "bad-key",
        full.replace(primary, f"primary {KEY_A.hex()}\n"),
    )
    refused("bare, 31 bytes of hexadecimal", ["bare"], "bad-key", KEY_A[:31].hex())
    refused("bare, 33 bytes of hexadecimal", ["bare"], "bad-key", KEY_A.hex() + "00")
    refused("bare, half a byte short", ["bare"], "bad-key", KEY_A.hex()[:-1])
    refused("bare, 31 bytes of base64", ["bare"], "bad-key", base64url(KEY_A[:31]))
    refused("bare, a passphrase", ["bare"], "bad-key", "correct horse battery staple")
    tail = base64url(KEY_A)
    bent = tail[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}.get(
        tail[-1], chr(ord(tail[-1]) + 1)
    )
    refused(
        "bare, base64 with stray bits after the last byte", ["bare", "canonical"], "bad-key", bent
    )
    for comment, key in [
        ("zeros", bytes(32)),
        ("one byte, repeated", b"\xa5" * 32),
        ("seven distinct bytes", (b"\0\1\2\3\4\5\6" * 5)[:32]),
    ]:
        refused(f"bare, weak: {comment}", ["bare", "weak"], "weak-key", key.hex())
        for name, old in [("primary", KEY_A), ("verify", KEY_B), ("index", RING.index)]:
            text = full.replace(f"{name} {base64url(old)}", f"{name} {base64url(key)}")
            refused(f"{name}, weak: {comment}", ["text", "weak"], "weak-key", text)
    tests.write("keyring.json")


def passphrases():
    tests = Tests("passphrase", "pass")
    phrase, salt, cheap = "correct horse battery", fixed("passphrase salt", 16), (19456, 2, 1)

    def lock(
        text=RING.text(), *, phrase=phrase, salt=salt, cost=cheap, suite="aes-256-gcm", place=None
    ):
        ring = Keyring(locking_key(phrase, salt, *cost))
        parts = {
            "not_after": UNBOUNDED,
            "created": 0,
            "keyring": ring,
            "place": place or locked_place(salt),
        }
        sealed = sealing(suite, b"", text.encode(), **parts).sealed
        numbers = " ".join(str(number) for number in cost)
        head = f"lacre-passphrase-v1\nargon2id {numbers}\nsalt {base64url(salt)}\n"
        return f"{head}sealed {base64url(sealed)}\n"

    def accepted(comment, text, *, phrase=phrase):
        ring = unlock(phrase, text)
        tests.keep(
            comment,
            [],
            {"result": "ok"},
            {"passphrase": phrase, "text": text, "keyring": ring.text()},
        )

    def refused(comment, reason, text, *, phrase=phrase):
        try:
            unlock(phrase, text)
        except Refused as refusal:
            assert refusal.args[0] == reason, f"{comment}: {refusal.args[0]}, not {reason}"
        else:
            raise AssertionError(f"{comment}: unlocked")
        tests.keep(
            comment,
            [],
            {"result": "refused", "reason": reason},
            {"passphrase": phrase, "text": text},
        )

    good = lock()
    start, sealed_line = good.split("sealed ")
    sealed = base64.urlsafe_b64decode(sealed_line.strip() + "==="[: -len(sealed_line.strip()) % 4])

    def resealed(data):
        return f"{start}sealed {base64url(data)}\n"

    accepted("a keyring", good)
    accepted("CRLF, a comment and a blank line", ("# of a test\n\n" + good).replace("\n", "\r\n"))
    accepted(
        "lines in another order",
        "\n".join(sorted(good.splitlines(), key=lambda line: line[:2] != "la")),
    )
    accepted("what lacre writes by default", lock(cost=(65536, 3, 4)))
    accepted("a bare key inside", lock(KEY_A.hex()))
    umlauts = "\u00e4\u00f6\u00fc \u00df\u20ac snow\u2603 man"
    accepted("a passphrase beyond ASCII", lock(phrase=umlauts), phrase=umlauts)
    refused("another passphrase", "wrong-passphrase", good, phrase=phrase + "!")
    decomposed = "a\u0308o\u0308u\u0308 \u00df\u20ac snow\u2603 man"
    refused(
        "the same passphrase, decomposed",
        "wrong-passphrase",
        lock(phrase=umlauts),
        phrase=decomposed,
    )
    refused("a passphrase of eleven characters", "weak-passphrase", good, phrase="elevenchars")
    refused(
        "a passphrase of five different characters",
        "weak-passphrase",
        good,
        phrase="abcdeabcdeabcde",
    )
    other_salt = base64url(fixed("another salt", 16))
    refused("another salt", "wrong-passphrase", good.replace(base64url(salt), other_salt))
    refused("another number of passes", "wrong-passphrase", good.replace("19456 2 1", "19456 3 1"))
    refused("a flipped bit in the envelope's salt", "bad-commitment", resealed(flip(sealed, 50)))
    refused("a flipped bit in the content", "bad-segment", resealed(flip(sealed, len(sealed) - 20)))
    refused("a readable suite", "wrong-suite", lock(suite="blake3"))
    refused("a record of a store", "bad-commitment", lock(place=found(store="passphrase salt")))
    refused("cut by a byte", "malformed", resealed(sealed[:-1]))
    refused("no keyring inside", "not-a-keyring", lock("lacre-keyring-v2\n"))
    refused("a weak key inside", "weak-key", lock("00" * 32))
    refused("a keyring that is not locked", "not-locked", RING.text())
    refused("a later version", "not-locked", good.replace("-v1", "-v2"))
    for cost in ["19455 2 1", "262145 2 1", "19456 1 1", "19456 17 1", "19456 2 0", "19456 2 17"]:
        refused(f"a cost of {cost}", "cost", good.replace("19456 2 1", cost))
    for cost in ["19456 2", "19456 2 1 1", "19456  2 1", "-1 2 1", "4294967296 2 1"]:
        refused(f"a cost of {cost!r}", "bad-line", good.replace("19456 2 1", cost))
    refused("a salt of 15 bytes", "bad-line", good.replace(base64url(salt), base64url(salt[:15])))
    refused(
        "base64 with padding", "bad-line", good.replace(base64url(salt), base64url(salt) + "==")
    )
    refused("an unknown line", "bad-line", good + "hint it is a horse\n")
    refused("two salts", "needs-one", good + f"salt {base64url(salt)}\n")
    refused("no salt", "needs-one", good.replace(f"salt {base64url(salt)}\n", ""))
    tests.write("passphrase.json")


# Section 5: row keys


def listed(tag, value, parts):
    return {"tag": f"{tag:02x}", "value_hex": value.hex()} | parts


def text_field(tag, value):
    return tag, value.encode(), {"text": value}


def normalised(name, value):
    members = [member.strip() for member in value.split(",")]
    if name not in ("accept-charset", "accept-encoding", "accept-language"):
        return ", ".join(members).encode()
    weighted = []
    for member in members:
        text, _, weight = member.partition(";q=")
        weighted.append((-round(float(weight or 1) * 1000), text.lower()))
    return "".join(f"{text};{-weight}," for weight, text in sorted(weighted)).encode()


def header_field(tag, name, value):
    return tag, lp(name.encode()) + lp(normalised(name, value)), {"name": name, "text": value}


def secrets_field(name, values):
    return (
        7,
        lp(name.encode()) + lp(b"".join(lp(value.encode()) for value in values)),
        {"name": name, "texts": values},
    )


def vary_field(name, value):
    if value is None:
        return 0x0A, lp(name.encode()) + b"\0", {"name": name, "text": None}
    return (
        0x0A,
        lp(name.encode()) + b"\1" + lp(normalised(name, value)),
        {"name": name, "text": value},
    )


def transport_field(name, value, shown):
    return 0x0E, lp(name.encode()) + lp(value), {"name": name} | shown


def transport_text(name, text):
    return transport_field(name, text.encode(), {"text": text})


def certificates_digest(certificates):
    return blake3(b"".join(lp(certificate) for certificate in certificates)).digest()


def row_keys():
    tests = Tests("row key", "row")

    def request(comment, fields):
        return keep(comment, ["request"], b"lacre/v1/request", {}, fields)

    def variant(comment, base, fields):
        return keep(
            comment,
            ["variant"],
            b"lacre/v1/variant" + lp(base),
            {"request_key_hex": base.hex()},
            fields,
        )

    def keep(comment, flags, start, inputs, fields):
        identity = start + b"".join(field(tag, value) for tag, value, _ in fields)
        row = row_key(RING.index, identity)
        shown = [listed(*one) for one in fields]
        inputs = {"index_hex": RING.index.hex()} | inputs
        tests.keep(
            comment,
            flags,
            {"result": "ok"},
            inputs | {"fields": shown, "identity_hex": identity.hex(), "row_key_hex": row.hex()},
        )
        return row

    def to(method="GET", authority="https://example.org", path="/"):
        return [text_field(1, method), text_field(2, authority), text_field(3, path)]

    plain = request("a plain GET", to())
    request("another method", to("HEAD"))
    request("another scheme", to(authority="http://example.org"))
    request("a port that is not the default", to(authority="https://example.org:8443"))
    request("a path", to(path="/a/b%20c"))
    request("an empty query is not an absent one", [*to(), text_field(4, "")])
    request("a query", [*to(), text_field(4, "a=1&b=2")])
    request("a query is not part of the path", to(path="/?a=1&b=2"))
    body = blake3(b'{"a":1}').digest()
    request('a body, {"a":1}', [*to("POST"), (5, body, {"body_hex": b'{"a":1}'.hex()})])
    request(
        "matched headers, by name",
        [*to(), header_field(6, "accept", "text/html"), header_field(6, "x-language", "pt")],
    )
    request(
        "the boundary between name and value moved", [*to(), header_field(6, "x-languagep", "t")]
    )
    request("a credential header", [*to(), header_field(7, "authorization", "Bearer t0k3n")])
    request(
        "the same text as a matched header",
        [*to(), header_field(6, "authorization", "Bearer t0k3n")],
    )
    request("userinfo", [*to(), header_field(7, ":userinfo", "user:pass")])
    request("a partition", [*to(), text_field(8, "tenant-1")])
    everything = [
        *to("POST", path="/search"),
        text_field(4, "q=x"),
        (5, body, {"body_hex": b'{"a":1}'.hex()}),
        header_field(6, "accept", "*/*"),
        header_field(7, ":userinfo", "u:p"),
        header_field(7, "cookie", "sid=1"),
        text_field(8, "tenant-1"),
    ]
    request("every field at once", everything)
    request("the caller's own key function", [text_field(9, "my key")])
    request(
        "the caller's own key function, in a partition",
        [text_field(9, "my key"), text_field(8, "tenant-1")],
    )
    variant("Vary: accept, present", plain, [vary_field("accept", "text/html")])
    variant("Vary: accept, empty", plain, [vary_field("accept", "")])
    variant("Vary: accept, absent", plain, [vary_field("accept", None)])
    variant(
        "Vary on two headers, by name",
        plain,
        [vary_field("accept", "text/html"), vary_field("accept-encoding", None)],
    )
    variant(
        "Vary on a list, its white space dropped", plain, [vary_field("accept", "text/html ,  */*")]
    )
    variant(
        "Vary on preferences, by weight", plain, [vary_field("accept-language", "pt;q=0.5, EN, de")]
    )
    variant("the range of a 206", plain, [text_field(0x0B, "bytes=0-99")])
    variant(
        "Vary and a range",
        plain,
        [vary_field("accept", "text/html"), text_field(0x0B, "bytes=0-99")],
    )
    variant("the way to the part that was stored last", plain, [text_field(0x0B, "")])
    variant(
        "the way to a language", plain, [vary_field("accept", "text/html"), text_field(0x0C, "pt")]
    )
    own = text_field(9, "my key")
    request(
        "the caller's own key function, and a credential in the query",
        [own, secrets_field(":query", ["t0k3n"])],
    )
    request("two credentials in the query", [own, secrets_field(":query", ["t0", "k3n"])])
    request(
        "a credential in the query and one in the body",
        [own, *(secrets_field(n, ["t0k3n"]) for n in (":query", ":body"))],
    )
    parts = [b'\r\ncontent-disposition: form-data; name="a"\r\n\r\ntext', b"--\r\n"]
    form = b"".join(b"\r\n--boundary" + part for part in parts)[2:]
    digest = blake3(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
    request(
        "a form of several parts, whose boundary does not count",
        [*to("POST"), (0x0D, digest, {"body_hex": form.hex()})],
    )
    host = transport_text("authority", "http://example.net:8080")
    request(
        "a Host that names another host than the URL", [*to(authority="http://example.org"), host]
    )
    unverified = transport_text("certificates", "unverified")
    request("certificates that are not verified", [*to(), unverified])
    for roots in ([b"a root"], [b"a root", b"another"], [b"a rootanother"]):
        digest, shown = certificates_digest(roots), {"roots_hex": [root.hex() for root in roots]}
        field_of_roots = transport_field("certificates", b"roots:" + digest, shown)
        request(
            f"certificates that are verified against other roots, {len(roots)}",
            [*to(), field_of_roots],
        )
    chain = [b"a certificate", b"its issuer"]
    shown = {"chain_hex": [certificate.hex() for certificate in chain]}
    client = transport_field("client-certificate", certificates_digest(chain), shown)
    request("a client certificate", [*to(), client])
    name = transport_text("name", "example.net")
    request("certificates that are verified for another name", [*to(), name])
    proxy = transport_text("proxy", "http://proxy.example:3128")
    request("a proxy, for http", [*to(authority="http://example.org"), proxy])
    unseen = transport_text("unseen", "named:staging")
    request("what a driver does not see, by a name", [*to(), unseen])
    ways = ["unix:/run/app.sock", "second"]
    for count in (1, 2):
        value = b"".join(lp(way.encode()) for way in ways[:count])
        request(
            f"ways other than the usual one, {count}",
            [*to(), transport_field("way", value, {"ways": ways[:count]})],
        )
    way = transport_field("way", lp(ways[0].encode()), {"ways": ways[:1]})
    request("every part of a transport for https", [*to(), unverified, client, name, unseen, way])
    keys = [test["row_key_hex"] for test in tests.tests]
    assert len(set(keys)) == len(keys)
    tests.write("row_keys.json")


# Section 6: slot heads


def slots():
    tests = Tests("slot head", "slot")

    def entry(**changes):
        slot = {
            "kind": 0,
            "method": "GET",
            "url": "https://example.org/",
            "status": 200,
            "version": 11,
            "headers": ["content-type", b"text/plain"],
            "requested": 1_700_000_000_000,
            "received": 1_700_000_000_250,
            "body": fixed("body id", 16),
            "length": 12,
        } | changes
        return {name: slot[name] for name in CBOR_KEYS if name in slot}

    def by_name(form):
        """Returns a head in each format that names its fields."""
        text = yaml.safe_dump(form, explicit_start=True, sort_keys=False, allow_unicode=True)
        packed, document = b"\1" + msgpack.packb(form), b"\2" + bson.encode(form)
        return {"json": form, "yaml": text, "msgpack_hex": packed.hex(), "bson_hex": document.hex()}

    def every_format(slot):
        return by_name(json_form(slot)) | {"cbor_hex": cbor_form(slot).hex()}

    def accepted(comment, flags, slot):
        tests.keep(comment, flags, {"result": "ok"}, every_format(slot))

    def refused(comment, flags, **encoded):
        tests.keep(comment, flags, {"result": "refused", "reason": "malformed"}, encoded)

    def without(name, slot):
        return {key: value for key, value in slot.items() if key != name}

    vary_index = {"kind": 1, "vary": ["accept", "accept-encoding"], "received": 1_700_000_000_250}

    accepted("an entry with nothing optional", ["entry"], entry())
    accepted("no response header", ["entry"], entry(headers=[]))
    accepted(
        "repeated headers stay repeated, in order",
        ["entry"],
        entry(headers=["set-cookie", b"a=1", "set-cookie", b"b=2", "vary", b"accept"]),
    )
    accepted(
        "header values beyond ASCII, empty, and with a tab",
        ["entry"],
        entry(headers=["x-latin", b"caf\xe9", "x-empty", b"", "x-tab", b"a\tb", "x-quote", b'"\\']),
    )
    accepted(
        "request headers",
        ["entry"],
        entry(request_headers=["accept", b"*/*", "authorization", b"REDACTED"]),
    )
    accepted("a lifetime of the user's own", ["entry"], entry(ttl=3_600_000))
    accepted("a lifetime that has already ended", ["entry"], entry(ttl=-1))
    accepted("a zstd stage", ["entry"], entry(stages=[1]))
    accepted("a body in chunks", ["entry"], entry(length=5_000_000, chunks=20))
    accepted("tags", ["entry"], entry(tags=["news", "caf\u00e9"]))
    accepted("never expires", ["entry"], entry(forever=True))
    for version in [9, 10, 20, 30]:
        accepted(f"HTTP version {version}", ["entry"], entry(version=version))
    accepted("times before 1970", ["entry"], entry(requested=-1000, received=-1))
    accepted(
        "integers at each width of CBOR",
        ["entry"],
        entry(length=0x1_0000_0000, ttl=-65_537, requested=23, received=24),
    )
    accepted(
        "everything",
        ["entry"],
        entry(
            method="POST",
            url="https://example.org/q?token=REDACTED",
            status=404,
            request_headers=["accept", b"\xff"],
            ttl=0,
            stages=[1],
            chunks=2,
            tags=["a"],
        ),
    )
    accepted("a Vary signpost", ["vary"], vary_index)
    accepted("a signpost to parts only", ["vary"], vary_index | {"vary": []})
    accepted("an alias", ["alias"], {"kind": 2, "alias": fixed("row B", 32)})
    future = cbor(
        {CBOR_KEYS[name]: value for name, value in entry().items()}
        | {19: "later", 1000: [1, {"a": b"b"}]}
    )
    tests.keep(
        "keys that this version does not know are ignored",
        ["entry", "unknown-key"],
        {"result": "ok"},
        by_name(json_form(entry()) | {"later": {"a": [1, None]}}) | {"cbor_hex": future.hex()},
    )

    good = cbor_form(entry())
    for name in [
        "kind",
        "method",
        "url",
        "status",
        "version",
        "headers",
        "requested",
        "received",
        "body",
        "length",
    ]:
        refused(f"an entry without {name}", ["missing"], **every_format(without(name, entry())))
    for comment, slot in [
        ("a kind that does not exist", {"kind": 3}),
        ("a signpost without names", without("vary", vary_index)),
        ("a signpost without its time", without("received", vary_index)),
        ("an alias without its target", {"kind": 2}),
        ("an alias of 31 bytes", {"kind": 2, "alias": fixed("row B", 31)}),
        ("a body id of 15 bytes", entry(body=fixed("body id", 15))),
        ("a header name without a value", entry(headers=["content-type"])),
        ("a status that is text", entry(status="200")),
        ("a status out of range", entry(status=99)),
        ("an HTTP version that does not exist", entry(version=12)),
        ("a stage that does not exist", entry(stages=[255])),
        ("a header name that is not a token", entry(headers=["con tent", b"x"])),
        ("a header value with a line end", entry(headers=["x-a", b"a\r\nb: c"])),
    ]:
        encoded = every_format(slot)
        if slot.get("status") == "200":
            # Readers of YAML differ on whether a quoted number is a text.
            del encoded["yaml"]
        refused(comment, ["value"], **encoded)
    refused("neither CBOR nor JSON", ["cbor"], cbor_hex="80")
    refused("nothing at all", ["cbor"], cbor_hex="")
    refused("cut short", ["cbor"], cbor_hex=good[:-1].hex())
    refused("bytes after the map", ["cbor", "canonical"], cbor_hex=(good + b"\0").hex())
    refused(
        "a map of indefinite length",
        ["cbor", "canonical"],
        cbor_hex=(b"\xbf" + good[1:] + b"\xff").hex(),
    )
    assert good[0] == 0xAA
    assert good[1:3] == b"\0\0"
    assert good[3] == 3
    repeated = b"\xab" + good[1:3] + good[1:]
    refused("a key twice", ["cbor", "canonical"], cbor_hex=repeated.hex())
    alias = cbor(fixed("row B", 32))
    assert cbor_form({"kind": 2, "alias": fixed("row B", 32)}) == b"\xa2\0\2\2" + alias
    refused(
        "keys out of order", ["cbor", "canonical"], cbor_hex=(b"\xa2\2" + alias + b"\0\2").hex()
    )
    refused(
        "a header count that no input could fill",
        ["cbor", "bomb"],
        cbor_hex=(b"\xa2\0\1\1\x9b" + b"\x7f" + b"\xff" * 7).hex(),
    )

    for code, stage in [
        (2, "gzip"),
        (3, "lz4"),
        (4, "brotli"),
        (256, "private, the first"),
        (511, "private, the last"),
    ]:
        accepted(f"a stage: {stage}", ["entry"], entry(stages=[code]))
    accepted("several stages, in the order applied", ["entry"], entry(stages=[511, 3, 1]))
    accepted(
        "a body in chunks that went through a stage",
        ["entry"],
        entry(length=5_000_000, chunks=20, stages=[1]),
    )
    words = [
        "no",
        "on",
        "~",
        "null",
        "12",
        "1e3",
        "0x1f",
        "1:20",
        "2026-01-01",
        "- a",
        "a: b",
        "#",
        "!x",
        "&x",
        "*x",
        "%",
        "@",
        "",
        " ",
    ]
    accepted(
        "what YAML takes for something else than text", ["entry"], entry(method="NO", tags=words)
    )
    refused("a private stage beyond the last", ["value"], **every_format(entry(stages=[512])))

    named = by_name(json_form(entry()))
    text, packed, document = (
        named["yaml"],
        bytes.fromhex(named["msgpack_hex"]),
        bytes.fromhex(named["bson_hex"]),
    )
    assert packed[1] == 0x8A
    assert packed[2:9] == b"\xa4kind\0\xa6"
    refused("MessagePack cut short", ["msgpack"], msgpack_hex=packed[:-1].hex())
    refused("MessagePack with bytes after the map", ["msgpack"], msgpack_hex=(packed + b"\0").hex())
    refused(
        "MessagePack with a key twice",
        ["msgpack"],
        msgpack_hex=(b"\1\x8b" + packed[2:8] + packed[2:]).hex(),
    )
    refused(
        "MessagePack that is an array", ["msgpack"], msgpack_hex=(b"\1" + msgpack.packb([1])).hex()
    )
    deep = b"\1\x8b" + packed[2:] + b"\xa1x" + b"\x91" * 5000 + b"\0"
    refused("MessagePack that nests without bound", ["msgpack", "bomb"], msgpack_hex=deep.hex())
    refused("BSON cut short", ["bson"], bson_hex=document[:-1].hex())
    refused("BSON with bytes after the document", ["bson"], bson_hex=(document + b"\0").hex())
    refused("BSON whose length is not its own", ["bson"], bson_hex=flip(document, 1).hex())
    nested = b"\5\0\0\0\0"
    for _ in range(500):
        nested = (len(nested) + 8).to_bytes(4, "little") + b"\3x\0" + nested + b"\0"
    deep = document[5:-1] + b"\3x\0" + nested + b"\0"
    deep = b"\2" + (len(deep) + 4).to_bytes(4, "little") + deep
    refused("BSON that nests without bound", ["bson", "bomb"], bson_hex=deep.hex())
    refused("YAML without its start marker", ["yaml"], yaml=text.removeprefix("---\n"))
    refused("YAML with a key twice", ["yaml"], yaml=text + "kind: 0\n")
    refused("YAML with a second document", ["yaml"], yaml=text + text)
    refused("YAML with an alias", ["yaml"], yaml=text + "x: &x [1]\ny: *x\n")
    refused("YAML with a merge key", ["yaml"], yaml=text + "<<: {status: 201}\n")
    refused(
        "YAML that nests without bound",
        ["yaml", "bomb"],
        yaml=text + "x: " + "[" * 200 + "]" * 200 + "\n",
    )
    refused("a private format that nobody named", ["private"], private_hex="ff07a0")
    refused("a private format without its number", ["private"], private_hex="ff")
    variants = [fixed("row A", 32), fixed("row B", 32)]
    accepted("a signpost that knows its variants", ["vary"], vary_index | {"variants": variants})
    refused(
        "a variant of 31 bytes",
        ["value"],
        **every_format(vary_index | {"variants": [variants[0][:31]]}),
    )
    tests.write("slots.json")


def stages():
    tests = Tests("stage", "stage")
    plain = b"".join(
        f"line {number} of a text that repeats itself\n".encode() for number in range(60)
    )
    noise = fixed("what cannot be compressed", 300)

    def gzip(data, **settings):
        packer = zlib.compressobj(wbits=31, **settings)
        return packer.compress(data) + packer.flush()

    def block(data, **settings):
        return lz4.block.compress(data, store_size=True, **settings)

    def large_window(data):
        """Returns a stream of one stored metablock whose header asks for a window of 2^30 bytes."""
        bits = [(0b10001, 7), (0, 1), (30, 6), (0, 1), (0, 2), (len(data) - 1, 16), (1, 1)]
        value, at = 0, 0
        for number, width in bits:
            value, at = value | number << at, at + width
        return value.to_bytes((at + 7) // 8, "little") + data + b"\3"

    backs = {
        "zstd": lambda staged: zstandard.decompress(staged, max_output_size=1 << 20),
        "gzip": lambda staged: zlib.decompress(staged, wbits=31),
        "lz4": lz4.block.decompress,
        "brotli": brotli.decompress,
    }
    codes = {"zstd": 1, "gzip": 2, "lz4": 3, "brotli": 4}

    def accepted(comment, stage, data, staged):
        assert backs[stage](staged) == data, comment
        parts = {
            "stage": stage,
            "code": codes[stage],
            "plain_hex": data.hex(),
            "staged_hex": staged.hex(),
        }
        tests.keep(f"{stage}: {comment}", [], {"result": "ok"}, parts | {"limit": len(data)})

    def refused(comment, flags, stage, staged, limit=len(plain)):
        parts = {"stage": stage, "code": codes[stage], "staged_hex": staged.hex(), "limit": limit}
        tests.keep(
            f"{stage}: {comment}", flags, {"result": "refused", "reason": "malformed"}, parts
        )

    makers = {
        "zstd": [zstandard.compress, lambda data: zstandard.compress(data, 19), unsized_zstd],
        "gzip": [gzip, lambda data: gzip(data, level=9), lambda data: gzip(data, level=0)],
        "lz4": [block, lambda data: block(data, mode="high_compression")],
        "brotli": [brotli.compress, lambda data: brotli.compress(data, quality=0, lgwin=24)],
    }
    for stage, ways in makers.items():
        for number, way in enumerate(ways, 1):
            for comment, data in [
                ("a text", plain),
                ("noise", noise),
                ("nothing", b""),
                ("one byte", b"a"),
            ]:
                accepted(f"{comment}, packed in way {number}", stage, data, way(data))
        staged = ways[0](plain)
        refused("cut short", ["cut"], stage, staged[:-1])
        refused("a byte after the end", ["extended"], stage, staged + b"\0")
        refused("one byte more than the limit", ["bomb"], stage, staged, len(plain) - 1)
        refused("a mebibyte of nothing", ["bomb"], stage, ways[0](bytes(1 << 20)))
        refused("what no packer made", ["garbage"], stage, noise)
    refused(
        "a checksum that does not fit", ["value"], "gzip", flip(gzip(plain), len(gzip(plain)) - 8)
    )
    refused("two members", ["extended"], "gzip", gzip(b"a") + gzip(b"b"), 2)
    refused(
        "a length that is less than what follows",
        ["value"],
        "lz4",
        put(block(plain), 0, (60).to_bytes(4, "little")),
    )
    refused("a length that no memory holds", ["bomb"], "lz4", put(block(plain), 0, b"\xff" * 4))
    refused("a window of one gibibyte", ["bomb"], "brotli", large_window(plain))
    tests.write("stages.json")


def unsized_zstd(data):
    """Returns a frame without a content size."""
    return zstandard.ZstdCompressor(level=3, write_content_size=False).compress(data)


def evidence():
    """Section 10."""
    tests = Tests("evidence", "evi")

    def key_of(row):
        place = int.from_bytes(row[:2], "big") % 1024
        return row_key(RING.index, b"lacre/v1/quarantine" + u32(place))

    def kept(row, found_bytes, reason, purpose="quarantine"):
        head = row + u64(1_700_000_000_000) + u64(len(found_bytes)) + reason.encode()
        place = Place(purpose, fixed("store A", 16), "app", key_of(row))
        return sealing(
            "aes-256-gcm", head, found_bytes[: 64 << 10], place=place, salt=f"evidence {reason}"
        )

    bad = flip(small("aes-256-gcm").sealed, 130)
    rows = [fixed("row A", 32), bytes(32), b"\x04\x00" + bytes(30), b"\xff" * 32]
    for number, (row, found_bytes) in enumerate(
        zip(rows, [bad, b"", b"garbage", fixed("long", (64 << 10) + 1)], strict=True)
    ):
        made = kept(row, found_bytes, f"reason {number}")
        assert open_envelope(made.sealed, RING, made.place, 1_700_000_001_000, [made.suite])
        inputs = {
            "keyring": RING.text(),
            "store_hex": fixed("store A", 16).hex(),
            "namespace": "app",
        }
        inputs |= {
            "row_key_hex": row.hex(),
            "key_hex": key_of(row).hex(),
            "sealed_hex": made.sealed.hex(),
        }
        inputs |= {"at": 1_700_000_000_000, "length": len(found_bytes), "why": f"reason {number}"}
        inputs |= {"evidence_hex": found_bytes[: 64 << 10].hex()}
        tests.keep(f"what lay under row {number}", [], {"result": "ok"}, inputs)
    slot = kept(rows[0], b"", "a slot", purpose="slot")
    inputs = {"keyring": RING.text(), "store_hex": fixed("store A", 16).hex(), "namespace": "app"}
    inputs |= {
        "row_key_hex": rows[0].hex(),
        "key_hex": key_of(rows[0]).hex(),
        "sealed_hex": slot.sealed.hex(),
    }
    tests.keep(
        "a slot where evidence lies",
        ["moved"],
        {"result": "refused", "reason": "bad-commitment"},
        inputs,
    )
    tests.write("evidence.json")


def namespaces():
    """Section 15, and the row keys of a namespace (section 5)."""
    tests = Tests("namespaces", "ns")
    store, key = fixed("store A", 16), row_key(RING.index, b"lacre/v1/namespaces")
    common = {
        "keyring": RING.text(),
        "store_hex": store.hex(),
        "namespace": "",
        "key_hex": key.hex(),
    }

    def u16(number):
        return number.to_bytes(2, "big")

    def lists(names, purpose="namespaces", namespace="", at=key):
        head = b"".join(u16(len(name.encode())) + name.encode() for name in names)
        place = Place(purpose, store, namespace, at)
        return sealing(
            "aes-256-gcm", head, b"", place=place, not_after=UNBOUNDED, salt=f"namespaces {names}"
        )

    for comment, names in [
        ("no name", []),
        ("one name", ["app"]),
        ("several, the oldest first", ["app", "caché 缓存", "a" * 256]),
    ]:
        made = lists(names)
        assert open_envelope(made.sealed, RING, made.place, 1_700_000_001_000, [made.suite])
        tests.keep(
            comment,
            ["list"],
            {"result": "ok"},
            common | {"names": names, "sealed_hex": made.sealed.hex()},
        )
    for comment, made in [
        ("a slot in its place", lists(["app"], purpose="slot")),
        ("sealed in a namespace", lists(["app"], namespace="app")),
        ("sealed for another row", lists(["app"], at=fixed("row A", 32))),
    ]:
        refused = {"result": "refused", "reason": "bad-commitment"}
        tests.keep(comment, ["list", "moved"], refused, common | {"sealed_hex": made.sealed.hex()})
    for namespace in ["", "app", "caché 缓存"]:
        name = namespace.encode()
        prefix = b"lacre/v1/namespace" + lp(name) if name else b""
        identity = b"lacre/v1/request" + b"any fields"
        made = {
            "namespace": namespace,
            "identity_hex": identity.hex(),
            "index_hex": RING.index.hex(),
        }
        made |= {"row_key_hex": row_key(RING.index, prefix + identity).hex()}
        tests.keep(
            f"the row key of an identity in `{namespace}`",
            ["row-key"],
            {"result": "ok"},
            {"keyring": RING.text()} | made,
        )
    tests.write("namespaces.json")


def anchors():
    """Section 11."""
    tests = Tests("anchor", "anc")
    store, anchor = fixed("store A", 16), fixed("anchor", 16)
    keys = sorted(fixed(f"anchored row {number}", 32) for number in range(5))
    marks = [
        (
            key,
            1_700_000_000_000 + number,
            UNBOUNDED if number == 2 else 1_700_003_600_000,
            fixed(f"commitment {number}", 32),
        )
        for number, key in enumerate(keys)
    ]

    def body(some):
        return b"".join(
            key + u64(created) + u64(not_after) + commitment
            for key, created, not_after, commitment in some
        )

    def pieces(cuts, last=None, **other):
        """Returns pieces with the marks of each cut; piece `last` is sealed as the last one."""
        last = len(cuts) - 1 if last is None else last
        out = []
        for index, some in enumerate(cuts):
            place = Place(
                "anchor",
                other.get("store", store),
                "app",
                bytes(32),
                (anchor, index, index == last),
            )
            made = sealing(
                "aes-256-gcm",
                b"",
                body(some),
                place=place,
                not_after=UNBOUNDED,
                salt=f"piece {index} of {len(cuts)} {last}",
            )
            out.append(lp(made.sealed))
        return out

    def file(parts):
        return b"lacre-anchor-v1\n" + store + anchor + b"".join(parts)

    def keep(comment, flags, result, data):
        inputs = {
            "keyring": RING.text(),
            "store_hex": store.hex(),
            "namespace": "app",
            "file_hex": data.hex(),
        }
        tests.keep(comment, flags, result, inputs)

    def accepted(comment, cuts):
        known = [
            {
                "key_hex": key.hex(),
                "created": created,
                "not_after": not_after,
                "commitment_hex": commitment.hex(),
            }
            for key, created, not_after, commitment in sum(cuts, [])
        ]
        keep(
            comment,
            [],
            {"result": "ok", "created": 1_700_000_000_000, "marks": known},
            file(pieces(cuts)),
        )

    def refused(comment, flags, data):
        keep(comment, flags, {"result": "refused"}, data)

    accepted("of an empty store", [[]])
    accepted("in one piece", [marks])
    accepted("in three pieces", [marks[:2], marks[2:4], marks[4:]])
    accepted("with an empty piece at the end", [marks, []])
    good = pieces([marks[:2], marks[2:4], marks[4:]])
    refused("no piece", ["cut"], file([]))
    refused("without the last piece", ["cut"], file(good[:2]))
    refused("without a piece in the middle", ["cut"], file([good[0], good[2]]))
    refused("two pieces exchanged", ["moved"], file([good[1], good[0], good[2]]))
    refused("a piece twice", ["extended"], file([good[0], *good]))
    refused("something after the last piece", ["extended"], file([*good, b"\0"]))
    refused(
        "a last piece in the middle", ["extended"], file(pieces([marks[:2], marks[2:]], last=0))
    )
    refused("a length that no piece has", ["length"], file([*good[:2], u32(1 << 30)]))
    refused("marks out of order", ["order"], file(pieces([[marks[1], marks[0]]])))
    refused("a mark twice", ["order"], file(pieces([marks[:2], marks[1:]])))
    refused("of another store", ["moved"], file(pieces([marks], store=fixed("store B", 16))))
    refused(
        "of another store, which it names",
        ["moved"],
        b"lacre-anchor-v1\n"
        + fixed("store B", 16)
        + anchor
        + pieces([marks], store=fixed("store B", 16))[0],
    )
    refused("another first line", ["magic"], file(good).replace(b"v1", b"v2", 1))
    tests.write("anchors.json")


def values():
    """Section 14."""
    tests = Tests("value", "val")
    store, identifier = fixed("store A", 16), fixed("value id", 16)
    place = {"store": store, "table": "responses", "key": "0123456789abcdef"}
    response = {
        "_content": fixed("a stored body", 40),
        "_decoded_content": None,
        "url": "https://example.org/\u00e9",
        "status_code": 200,
        "elapsed": 0.25,
        "is_redirect": False,
        "expires": None,
        "created_at": "2023-11-14T22:13:20+00:00",
        "headers": {"Content-Type": "text/plain", "ETag": '"1"'},
        "history": [],
    }

    def sealed(*bodies, keyring=RING, last=None, suite="aes-256-gcm", head=b"", **other_place):
        """Returns an envelope for each body; number `last` is sealed as the last one."""
        last, at = len(bodies) - 1 if last is None else last, place | other_place
        made = identifier
        for index, body in enumerate(bodies):
            here = value_place(*at.values(), identifier, index, index == last)
            made += lp(
                sealing(
                    suite,
                    head,
                    body,
                    keyring=keyring,
                    place=here,
                    not_after=UNBOUNDED,
                    salt=f"value {index}",
                ).sealed
            )
        return made

    def shown(value):
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, list):
            return {"list": [shown(member) for member in value]}
        if isinstance(value, dict):
            return {"map": [[name, shown(member)] for name, member in value.items()]}
        if isinstance(value, bytes):
            return {"bytes_hex": value.hex()}
        return {"text": value} if isinstance(value, str) else {"number": repr(value)}

    def keep(comment, flags, result, data, keyring):
        inputs = {
            "keyring": keyring.text(),
            "store_hex": store.hex(),
            "table": place["table"],
            "key": place["key"],
        }
        tests.keep(
            comment, flags, result, inputs | {"now": 1_700_000_001_000, "sealed_hex": data.hex()}
        )

    def accepted(comment, flags, value, data, keyring=RING, shown_as=None):
        assert open_value(data, keyring, **place, now=1_700_000_001_000) == value, comment
        keep(comment, flags, {"result": "ok", "value": shown_as or shown(value)}, data, keyring)

    def refused(comment, flags, reason, data, keyring=RING):
        try:
            open_value(data, keyring, **place, now=1_700_000_001_000)
        except Refused as refusal:
            assert refusal.args[0] == reason, f"{comment}: {refusal.args[0]}, not {reason}"
        else:
            raise AssertionError(f"{comment}: opened")
        keep(comment, flags, {"result": "refused", "reason": reason}, data, keyring)

    def nested(depth):
        return plain([]) if depth == 1 else b"\x81" + nested(depth - 1)

    whole = plain(response)
    good = sealed(whole)
    accepted("a response", [], response, good)
    scalars = [
        0,
        23,
        24,
        -1,
        (1 << 64) - 1,
        -(1 << 64),
        1.5,
        -0.0,
        1e308,
        True,
        False,
        None,
        "",
        b"",
        {},
        [],
    ]
    accepted("every kind of value", [], scalars, sealed(plain(scalars)))
    accepted("a text alone", [], "text", sealed(plain("text")))
    accepted(
        "lengths that are longer than they need be", ["long"], ["a"], sealed(b"\x98\x01\x78\x01a")
    )
    accepted("in three pieces", ["pieces"], response, sealed(whole[:10], whole[10:11], whole[11:]))
    accepted("with an empty last piece", ["pieces"], response, sealed(whole, b""))
    deep = None
    for _ in range(128):
        deep = [] if deep is None else [deep]
    # Some readers of JSON do not go so deep.
    accepted(
        "128 arrays in each other", ["depth"], deep, sealed(nested(128)), shown_as={"nested": 128}
    )
    older = Keyring(KEY_B, [], RING.index, 7)
    accepted("sealed with a verify-only key", ["rotation"], response, sealed(whole, keyring=older))

    for comment, other_place in [
        ("another key", {"key": "0123456789abcdee"}),
        ("another table", {"table": "redirects"}),
        ("another store", {"store": fixed("store B", 16)}),
    ]:
        refused(f"sealed for {comment}", ["moved"], "bad-commitment", sealed(whole, **other_place))
    refused("another value id", ["moved"], "bad-commitment", flip(good, 0))
    refused("a bit of the value changed", ["changed"], "bad-segment", flip(good, len(good) - 20))
    refused("a bit of its tag changed", ["changed"], "bad-segment", flip(good, len(good) - 1))
    refused(
        "a key that the ring has not",
        ["rotation"],
        "unknown-key",
        good,
        Keyring(KEY_C, [], RING.index, 7),
    )
    refused(
        "an epoch that was ended", ["rotation"], "revoked", good, Keyring(KEY_A, [], RING.index, 8)
    )
    refused("only signed", ["suite"], "wrong-suite", sealed(whole, suite="blake3"))
    refused(
        "a chunk of a body", ["purpose"], "bad-commitment", identifier + lp(small_chunk(identifier))
    )
    three = [whole[:10], whole[10:20], whole[20:]]
    parts = pieces_of(sealed(*three))
    refused("without its last piece", ["cut"], "bad-commitment", identifier + b"".join(parts[:2]))
    refused(
        "without a piece in the middle", ["cut"], "bad-commitment", identifier + parts[0] + parts[2]
    )
    refused(
        "two pieces exchanged",
        ["moved"],
        "bad-commitment",
        identifier + parts[1] + parts[0] + parts[2],
    )
    refused(
        "a piece twice", ["extended"], "bad-commitment", identifier + parts[0] + b"".join(parts)
    )
    refused("a last piece in the middle", ["extended"], "bad-commitment", sealed(*three, last=1))
    refused("a byte after the end", ["extended"], "bad-commitment", good + b"\0")
    refused("a byte short", ["cut"], "unsealed", good[:-1])
    refused(
        "a length that nothing has", ["length"], "unsealed", good[:16] + b"\xff" * 4 + good[20:]
    )
    refused("an id alone", ["cut"], "unsealed", good[:16])
    refused("nothing", ["cut"], "unsealed", b"")
    refused("CBOR without a seal", ["unsealed"], "unsealed", whole)
    refused("an envelope without an id", ["unsealed"], "not-an-envelope", sealed(whole)[20:])

    for comment, data in [
        ("nothing in the seal", b""),
        ("cut short in the seal", whole[:-1]),
        ("two values in the seal", whole + whole),
        ("a key twice", b"\xa2\x61a\x01\x61a\x02"),
        ("a key that is no text", b"\xa1\x01\x02"),
        ("a text that is no UTF-8", b"\x61\xff"),
        ("a float of 32 bits", b"\xfa" + bytes(4)),
        ("undefined", b"\xf7"),
        ("a simple value that has no meaning", b"\xe0"),
        ("a tag", b"\xc0\x61a"),
        ("an array without a length", b"\x9f\xff"),
        ("a map without a length", b"\xbf\xff"),
        ("bytes without a length", b"\x5f\xff"),
        ("a text without a length", b"\x7f\xff"),
        ("a reserved length", b"\x1c"),
        ("an array that is longer than anything", b"\x9b" + b"\xff" * 8),
        ("a map that is longer than anything", b"\xbb" + b"\xff" * 8),
        ("129 arrays in each other", nested(129)),
    ]:
        refused(comment, ["sealed"], "malformed", sealed(data))
    secrets(tests)
    tests.write("values.json")


def small_chunk(body):
    place = Place("chunk", fixed("store A", 16), "responses", fixed("row A", 32), (body, 0, True))
    return sealing("aes-256-gcm", b"", plain("text"), place=place, not_after=UNBOUNDED).sealed


def pieces_of(value):
    parts, at = [], 16
    while at < len(value):
        end = at + 4 + int.from_bytes(value[at : at + 4], "big")
        parts.append(value[at:end])
        at = end
    return parts


def secrets(tests):
    """Returns the keyring of a secret."""
    text = RING.text()
    for comment, secret in [
        ("a text", b"a secret of at least 32 random bytes"),
        ("32 bytes", fixed("secret", 32)),
        ("bytes that are no text", b"\xff" + fixed("secret", 40)),
        ("a bare key in hexadecimal", KEY_A.hex().encode()),
        ("a bare key in base64url", base64url(KEY_A).encode()),
        ("a bare key with white space around it", b"\n " + KEY_A.hex().encode() + b" \n"),
        ("the text of a keyring", text.encode()),
        ("the text of a keyring with a line that it has not", text.encode() + b"more\n"),
    ]:
        made = {"primary_id_hex": key_id(ring_of_secret(secret).primary).hex()}
        tests.keep(
            f"secret: {comment}", ["secret"], {"result": "ok"}, {"secret_hex": secret.hex()} | made
        )
    for comment, secret in [
        ("nothing", b""),
        ("31 bytes", fixed("secret", 31)),
        ("seven different bytes", b"abcdefg" * 10),
    ]:
        try:
            ring_of_secret(secret)
        except Refused as refusal:
            result = {"result": "refused", "reason": refusal.args[0]}
        tests.keep(f"secret: {comment}", ["secret"], result, {"secret_hex": secret.hex()})


if __name__ == "__main__":
    envelopes()
    chunks()
    keyrings()
    passphrases()
    row_keys()
    slots()
    stages()
    evidence()
    namespaces()
    anchors()
    values()

#!/usr/bin/env python3
"""Makes the test vectors of docs/format.md §9 with itsdangerous itself.

Run it by hand and commit the output; no test runs it:

    python3 -m venv venv && venv/bin/pip install itsdangerous==2.2.0
    venv/bin/python vectors/make_itsdangerous.py

The output is deterministic. Files have the form that make.py describes; a test with "seconds" is
one of a TimestampSigner.
"""

import hashlib
import json
import pathlib
from unittest import mock

from itsdangerous import BadSignature, Signer, TimestampSigner

HELLO = b"hello world"
DEFAULTS = {
    "secrets": [b"lacre-test-key"],
    "salt": "requests-cache",
    "derivation": "django-concat",
    "digest": "sha1",
    "separator": ".",
    "value": HELLO,
    "seconds": None,
}


def signer(secrets, salt, separator, derivation, digest, seconds, **_):
    kind = Signer if seconds is None else TimestampSigner
    return kind(
        secrets,
        salt=salt,
        sep=separator,
        key_derivation=derivation,
        digest_method=getattr(hashlib, digest),
    )


def describe(settings):
    out = {"secrets_hex": [secret.hex() for secret in settings["secrets"]]}
    out |= {name: settings[name] for name in ("salt", "separator", "derivation", "digest")}
    return out if settings["seconds"] is None else out | {"seconds": settings["seconds"]}


def accepted(comment, **other):
    settings = DEFAULTS | other
    made = signer(**settings)
    with mock.patch("time.time", lambda: settings["seconds"]):
        signed = made.sign(settings["value"])
    assert made.unsign(signed) == settings["value"]
    out = {
        "comment": comment,
        "flags": ["timestamp"] if settings["seconds"] is not None else [],
        "result": "ok",
    }
    out |= describe(settings) | {"value_hex": settings["value"].hex()}
    out |= {
        "derived_key_hex": made.derive_key().hex(),
        "signature": signed.rsplit(made.sep, 1)[1].decode(),
    }
    return out | {"signed_hex": signed.hex()}


def refused(comment, reason, signed, **other):
    """`mismatch-hidden`: a malformed signature may be content, so the message does not show it."""
    settings = DEFAULTS | other
    try:
        signer(**settings).unsign(signed)
    except BadSignature as error:
        out = {"comment": comment, "flags": [], "result": "refused", "reason": reason}
        shown = str(error) if reason != "mismatch-hidden" else "Signature b'...' does not match"
        return out | describe(settings) | {"signed_hex": signed.hex(), "message": shown}
    raise AssertionError(f"{comment}: accepted")


def tests():
    plain = Signer(DEFAULTS["secrets"], salt=DEFAULTS["salt"]).sign(HELLO)
    yield accepted("requests-cache default")
    yield accepted(
        "itsdangerous default salt, binary value with dots",
        secrets=[b"\0\1\xff key"],
        salt="itsdangerous.Signer",
        value=b"\x80\x04.a.b\xff.",
    )
    yield accepted("sha256 + hmac derivation", derivation="hmac", digest="sha256")
    yield accepted("sha512 + concat", derivation="concat", digest="sha512", salt="other-salt")
    yield accepted(
        'sha1 + none derivation, sep ":"', derivation="none", salt="ignored", separator=":"
    )
    yield accepted(
        "empty value, key list (newest last signs)", secrets=[b"old-key", b"new-key"], value=b""
    )
    yield accepted("sha1 + hmac derivation", derivation="hmac")
    yield accepted("TimestampSigner @1700000000", seconds=1_700_000_000)
    for digest in ("sha256", "sha384", "sha512"):
        for derivation in ("django-concat", "concat", "hmac", "none"):
            yield accepted(f"{digest} + {derivation}", derivation=derivation, digest=digest)
    yield accepted("TimestampSigner @0, an empty timestamp", seconds=0)
    yield accepted("TimestampSigner @255, one byte", seconds=255)
    yield accepted("TimestampSigner @2^32, five bytes", seconds=1 << 32, digest="sha512")
    yield refused("no separator", "no-separator", b"hello")
    yield refused("another separator", "no-separator", plain, separator=":")
    yield refused("nothing at all", "no-separator", b"")
    yield refused("another salt", "mismatch", plain, salt="other-salt")
    yield refused("another secret", "mismatch", plain, secrets=[b"other"])
    yield refused("another digest", "mismatch-hidden", plain, digest="sha256")
    yield refused("another derivation", "mismatch", plain, derivation="hmac")
    yield refused("another value", "mismatch", b"j" + plain[1:])
    yield refused("no signature", "mismatch-hidden", b"hello world.")
    yield refused("cut signature", "mismatch-hidden", plain[:-1])
    yield refused("extended signature", "mismatch-hidden", plain + b"A")
    yield refused("no signature after a separator: content", "mismatch-hidden", b"content.content")
    yield refused(
        "a timestamp signer given a value without a timestamp", "bad-timestamp", plain, seconds=0
    )
    malformed = Signer(DEFAULTS["secrets"], salt=DEFAULTS["salt"]).sign(b"hello.A")
    yield refused("a signed timestamp that is not base64", "bad-timestamp", malformed, seconds=0)


numbered = [{"id": f"its-{number:03}"} | test for number, test in enumerate(tests(), 1)]
file = {"format": "itsdangerous", "generator": "vectors/make_itsdangerous.py", "tests": numbered}
text = json.dumps(file, indent=1, ensure_ascii=True) + "\n"
(pathlib.Path(__file__).parent / "itsdangerous.json").write_text(
    text, encoding="ascii", newline="\n"
)

"""Sealed values against vectors of an independent implementation (docs/format.md §14)."""

from __future__ import annotations

import json
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from lacre import BadSignature, BrokenData, ConfigError, Keyring
from lacre._lacre import LazyDict, SealedValues

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "values.json").read_text())["tests"]


def value(shown: Any) -> Any:
    """Returns the value of a vector: an object with the type of the value as its only name."""
    if not isinstance(shown, dict):
        return shown
    ((kind, content),) = shown.items()
    read = {
        "list": lambda: [value(member) for member in content],
        "map": lambda: {name: value(member) for name, member in content},
        "nested": lambda: literal_eval("[" * content + "]" * content),
        "bytes_hex": lambda: bytes.fromhex(content),
        "number": lambda: literal_eval(content),
    }
    return read[kind]() if kind in read else content


def opened(vector: dict[str, Any]) -> Any:
    values = SealedValues([Keyring.of_secret(vector["keyring"].encode())])
    place = (bytes.fromhex(vector["store_hex"]), vector["table"], vector["key"])
    return values.open(*place, bytes.fromhex(vector["sealed_hex"]), vector["now"] / 1000)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_every_vector_has_its_stated_result(vector: dict[str, Any]) -> None:
    secret = vector.get("secret_hex")
    if vector["result"] == "ok" and secret is None:
        found, expected = opened(vector), value(vector["value"])
        if isinstance(found, LazyDict):
            found = {name: found.get(name) for name in expected}
        assert repr(found) == repr(expected)
    elif vector["result"] == "ok":
        short = vector["primary_id_hex"][:4]
        assert short in repr(Keyring.of_secret(bytes.fromhex(secret)))
    elif secret is not None:
        with pytest.raises(ConfigError):
            Keyring.of_secret(bytes.fromhex(secret))
    else:
        with pytest.raises(BrokenData if vector["reason"] == "malformed" else BadSignature):
            opened(vector)

"""Every block of Python in the documents, run as a reader would: in a fresh home, against an origin on loopback."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loopback import Say, origin

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "python" / "README.md",
]

#: What a block takes for granted, by a line that only this block has.
BEFORE = {
    'CachedSession("demo_cache", secret_key=[old, new])': """
import os, secrets
from lacre import CachedSession, SQLiteCache, SealedSerializer

os.environ["SECRET_OF_THE_READER"] = secrets.token_hex(32)
secret_key, old, new = (secrets.token_bytes(32) for _ in range(3))
""",
    "new.cache.update(old.cache)": "from lacre import CachedSession",
}
#: What stands in a block for something that is not here: a desktop's keyring.
INSTEAD = {"keyring:my-service/cache": "env:SECRET_OF_THE_READER"}
#: Blocks that do not run here, by a line that only this block has, and why.
ELSEWHERE = {
    'names = r.scan_iter("http_cache:*")': "it needs a Redis server; test_processes.py and the tests of lacre migrate read such a dump",
}


def blocks() -> list[tuple[str, str]]:
    """Each document with each of its blocks."""
    return [
        (str(document.relative_to(ROOT)), block)
        for document in DOCUMENTS
        for block in re.findall(
            r"^```python\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL
        )
    ]


@pytest.mark.parametrize(("document", "block"), blocks())
def test_a_block_of_a_document_runs(document: str, block: str, tmp_path: Path) -> None:
    if any(line in block for line in ELSEWHERE):
        pytest.skip(next(why for line, why in ELSEWHERE.items() if line in block))
    client = re.search(r"from lacre\.(httpx|aiohttp|niquests)", block)
    if client and importlib.util.find_spec(client[1]) is None:
        pytest.skip(f"{client[1]} is not installed here")
    before = "\n".join(code for line, code in BEFORE.items() if line in block)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LACRE_", "XDG_"))
    }
    with origin() as site:
        url = site.says("/", Say(headers={"Cache-Control": "max-age=3600"}))
        code = before + "\n" + block.replace("https://example.com/", url)
        for text, other in INSTEAD.items():
            code = code.replace(text, other)
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**environment, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 0, f"{document}:\n{block}\n{ran.stderr}"


def test_what_is_listed_stands_in_a_document() -> None:
    everything = "".join(block for _, block in blocks())
    assert [line for line in [*BEFORE, *INSTEAD, *ELSEWHERE] if line not in everything] == []

"""Runs the Python code blocks of all documents in a fresh home, against an origin on loopback."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loopback import OriginResponse, origin

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "python" / "README.md",
    ROOT / "crates" / "lacre-py" / "src" / "lib.rs",
]

#: The setup that a block assumes, by a line that is unique to the block.
SETUP = {
    'CachedSession("demo_cache", secret_key=[old, new])': """
import os, secrets
from lacre import CachedSession, SQLiteCache, SealedSerializer

os.environ["SECRET_OF_THE_READER"] = secrets.token_hex(32)
secret_key, old, new = (secrets.token_bytes(32) for _ in range(3))
""",
    "new.cache.update(old.cache)": "from lacre import CachedSession",
}
#: Replacements for things that are absent here, such as the keyring of a desktop.
REPLACEMENTS = {"keyring:my-service/cache": "env:SECRET_OF_THE_READER"}
#: Blocks that cannot run here and the reason, by a line that is unique to the block.
SKIPPED = {
    'names = r.scan_iter("http_cache:*")': "it needs a Redis server",
}


def text(document: Path) -> str:
    """Returns the text of a document, or the module documentation of a Rust file."""
    content = document.read_text("utf-8")
    return (
        re.sub(r"^//! ?", "", content, flags=re.MULTILINE) if document.suffix == ".rs" else content
    )


def blocks() -> list[tuple[str, str]]:
    """Returns each code block with its document."""
    return [
        (str(document.relative_to(ROOT)), block)
        for document in DOCUMENTS
        for block in re.findall(r"^```python\n(.*?)^```$", text(document), re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize(("document", "block"), blocks())
def test_code_blocks_of_documents_run(document: str, block: str, tmp_path: Path) -> None:
    if any(line in block for line in SKIPPED):
        pytest.skip(next(why for line, why in SKIPPED.items() if line in block))
    client = re.search(r"from lacre\.(httpx|aiohttp|niquests)", block)
    if client and importlib.util.find_spec(client[1]) is None:
        pytest.skip(f"{client[1]} is not installed here")
    before = "\n".join(code for line, code in SETUP.items() if line in block)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LACRE_", "XDG_"))
    }
    with origin() as site:
        url = site.serve("/", OriginResponse(headers={"Cache-Control": "max-age=3600"}))
        code = before + "\n" + block.replace("https://example.com/", url)
        for text, other in REPLACEMENTS.items():
            code = code.replace(text, other)
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**environment, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 0, f"{document}:\n{block}\n{ran.stderr}"


def test_every_special_case_occurs_in_a_document() -> None:
    everything = "".join(block for _, block in blocks())
    assert [line for line in [*SETUP, *REPLACEMENTS, *SKIPPED] if line not in everything] == []

"""Access to stores from another process.

Two SQLite libraries in one process would release each other's locks.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
flip = lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1])
connection.create_function("flip", 1, flip)
found = connection.execute(sys.argv[2]).fetchall()
connection.commit()
print(*(value for row in found for value in row))
"""


def run_sql(path: Path, statement: str) -> str:
    """Returns the result of a statement, separated by spaces. `flip` changes the last byte."""
    command = [sys.executable, "-c", _PROGRAM, str(path), statement]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def flip_last_bytes(path: Path) -> None:
    """Changes the last byte of every slot."""
    run_sql(path, "UPDATE slot SET sealed = flip(sealed)")

"""The command line: `lacre` or `python -m lacre`."""

from __future__ import annotations

import signal
import sys

from ._lacre import run_command_line


def main() -> int:
    """Runs the command line with the arguments of this process and returns its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Python's handler only sets a flag, which nothing checks while Rust runs.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run_command_line(["lacre", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

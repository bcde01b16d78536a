"""The command line of lacre: `lacre`, or `python -m lacre`."""

from __future__ import annotations

import signal
import sys

from ._lacre import run_command_line


def main() -> int:
    """Does what the arguments of this process ask for, and returns its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Python's own would only take note, and ask for no end before the command has come to one.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run_command_line(["lacre", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

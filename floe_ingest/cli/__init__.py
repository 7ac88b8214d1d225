"""The command line, ``floe-ingest``. Each command imports what it needs, and nothing before it runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Arguments:
        args: the words after the program's name; None takes those of this process.

    Returns:
        0 done; 1 a load failed; 2 the configuration or the command line is wrong; 130 interrupted.
    """
    from floe_ingest.cli.app import main as start

    return start(args)


def program() -> NoReturn:
    """Run the command line and end the process with its exit code.

    An interrupted query of DuckDB can end the process by an abort while Python takes its objects apart,
    and the exit code would be lost. So an interrupted process leaves at once: its messages are out, and
    what it had opened goes with it.
    """
    code = main()
    if code == _INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


__all__ = ["main", "program"]

"""The command line, ``floe-ingest``. Each command imports what it needs, and nothing before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Arguments:
        args: the words after the program's name; None takes those of this process.

    Returns:
        0 done; 1 a load failed; 2 the configuration or the command line is wrong; 130 interrupted.
    """
    from floe_ingest.cli.app import main as start

    return start(args)


__all__ = ["main"]

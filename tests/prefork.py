"""Processes that need not import the slow libraries: each is forked from one that has imported them."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.context import ForkServerContext
    from pathlib import Path

_LIBRARIES = [
    "dlt",
    "dlt.extract",
    "dlt.load",
    "dlt.normalize",
    "duckdb",
    "pyarrow.dataset",
    "pyiceberg.catalog.rest",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "floe_ingest",
    "floe_ingest.destination.chains",
    "floe_ingest.destination.client",
]


def processes() -> ForkServerContext:
    """Return the context whose processes have dlt, pyiceberg and this project imported when they start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LIBRARIES)
    return context


def run_script(script: Path, *arguments: str, seconds: float, kill: bool = False) -> int:
    """Run a script in a process of its own; its output goes into a file beside it.

    Arguments:
        script: a Python file.
        arguments: for its ``sys.argv``.
        seconds: that it may take.
        kill: whether it is killed then; otherwise that is an error.

    Returns:
        Its exit code; that of a signal is negative.

    Raises:
        TimeoutError: it took longer. It is killed.
    """
    words = [str(script), *arguments]
    process = processes().Process(target=_run, args=(words, dict(os.environ), f"{script}.log"))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        if not kill:
            raise TimeoutError(f"{script} took longer than {seconds} s")
    assert process.exitcode is not None
    return process.exitcode


def _run(words: Sequence[str], environment: Mapping[str, str], log: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = list(words)
    runpy.run_path(words[0], run_name="__main__")

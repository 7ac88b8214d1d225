"""The two streams of the command line: results on stdout, everything else on stderr.

A reader that goes away (``floe-ingest run … | head``) never fails a load: what was meant for it is
discarded, and the exit code stays the load's.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Stderr(io.TextIOBase):
    """Stderr, for loggers and progress.

    Arguments:
        stream: the stream to write to; None takes ``sys.stderr`` as it is at each write, so that a log
            line written during a live display appears above it.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    @property
    def _target(self) -> TextIO:
        return sys.stderr if self._stream is None else self._stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The target's encoding: rich draws ASCII where it is not Unicode."""
        return self._target.encoding

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether the target is a terminal."""
        return self._target.isatty()

    def fileno(self) -> int:
        """Return the target's descriptor."""
        return self._target.fileno()

    def write(self, text: str) -> int:
        """Write ``text``, or discard it where nobody reads any more."""
        try:
            return self._target.write(text)
        except BrokenPipeError:
            _discard(self._target)
            return len(text)

    def flush(self) -> None:
        """Flush, or discard where nobody reads any more."""
        try:
            self._target.flush()
        except BrokenPipeError:
            _discard(self._target)


def as_text_io(stream: io.TextIOBase) -> TextIO:
    """Return ``stream`` under the type that rich and structlog ask for (typeshed keeps the two apart)."""
    return cast("TextIO", stream)


def _discard(stream: TextIO) -> None:
    # Also what is buffered must find a descriptor that takes it, or the interpreter fails at its exit.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


@contextlib.contextmanager
def reserved_stdout() -> Iterator[None]:
    """Send to stderr what others print while a command works, so that stdout holds its result alone."""
    with contextlib.redirect_stdout(as_text_io(Stderr())):
        yield


def write_out(text: str) -> None:
    """Write ``text`` to stdout, or discard it where nobody reads any more."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)


def write_json(document: Mapping[str, Any]) -> None:
    """Write one JSON document to stdout."""
    write_out(as_json_text(document))


def as_json_text(document: Mapping[str, Any]) -> str:
    """Return one JSON document, indented, with a line's end.

    Facts that a plugin added need not be JSON: what JSON lacks is written as text, and numbers that are
    none as null, rather than failing a run that is over.
    """
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(document, inf_nan_mode="null", bytes_mode="base64", serialize_unknown=True)
    return json.dumps(plain, indent=2) + "\n"

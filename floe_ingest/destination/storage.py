"""File IO with credentials that a catalog lends for a while: new ones are asked for before they expire.

PyIceberg keeps those that came with a table for as long as the table object lives, which in a long load is
longer than they are good for.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from pyiceberg.io import FileIO, InputFile, OutputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Milliseconds since 1970; Azure's has the account's name at its end.
_EXPIRIES = ("s3.session-token-expires-at-ms", "gcs.oauth2.token-expires-at", "adls.sas-token-expires-at-ms")
_TOKENS = ("s3.session-token", "gcs.oauth2.token", "adls.sas-token")
_MARGIN_SECONDS = 300.0
_UNTOLD_SECONDS = 600.0
"""Renewed after this time where a catalog does not say when a token expires; the shortest of AWS is 900 s."""


def with_renewal(io: FileIO, own: Mapping[str, Any], renew: Callable[[], FileIO]) -> FileIO:
    """Return a file IO that renews its credentials, if they are lent; else the same one.

    Arguments:
        io: of a table that was just loaded.
        own: the catalog's properties, as the user gave them: what is in there is not lent.
        renew: loads the table anew and returns its file IO.
    """
    if isinstance(io, RenewingIO) or _renew_at(io.properties, own) is None:
        return io
    return RenewingIO(io, own, renew)


class RenewingIO(FileIO):
    """See ``with_renewal``. Threads may share it. It pickles as the file IO that it is at that time."""

    def __init__(self, io: FileIO, own: Mapping[str, Any], renew: Callable[[], FileIO]) -> None:
        super().__init__(io.properties)
        self._io = io
        self._own = own
        self._renew = renew
        self._lock = threading.Lock()
        self._renew_at = _renew_at(io.properties, own)

    def new_input(self, location: str) -> InputFile:
        """Return a file to read."""
        return self._fresh().new_input(location)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write."""
        return self._fresh().new_output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file."""
        self._fresh().delete(location)

    def _fresh(self) -> FileIO:
        with self._lock:
            if self._renew_at is not None and time.time() >= self._renew_at:
                self._io = self._renew()
                self.properties = self._io.properties
                self._renew_at = _renew_at(self.properties, self._own)
            return self._io

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self._io), ({k: v for k, v in self.properties.items() if isinstance(v, str)},)


def _renew_at(properties: Mapping[str, Any], own: Mapping[str, Any]) -> float | None:
    """Return when to ask for new credentials, in seconds since 1970; None where none are lent."""
    now = time.time()
    lent = {key: value for key, value in properties.items() if own.get(key) != value}
    told = [float(value) / 1000 for key, value in lent.items() if key.startswith(_EXPIRIES)]
    if told:
        left = min(told) - now
        return now + left - min(_MARGIN_SECONDS, left / 2)
    return now + _UNTOLD_SECONDS if any(key.startswith(_TOKENS) for key in lent) else None

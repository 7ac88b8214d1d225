"""Which files are new: by modification time, and by name among those as new as the newest.

The state of a resource stays small whatever the number of files: the time of the newest file that was
loaded, and a hash of eight bytes for each file from the window that ends there. The window is the newest
instant alone, or ``lookback_seconds`` long. So files that share a timestamp are told apart, and each is
loaded once:

- newer than the newest: loaded;
- inside the window: loaded unless its name, size and time were seen;
- older: taken for loaded. A file that arrives with such a time (copied with its old time, or an upload that
  took long) is not loaded; the number of older files tells that there are some, and a warning says so.

A file that was changed has a new time, and is loaded again: a merge replaces its rows, an append adds them.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from floe_ingest_sources.filesystem.listing import FoundFile

log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
_BYTES = 8


@dataclass(frozen=True, slots=True)
class Watermark:
    """What was loaded so far.

    Arguments:
        until: time of the newest file, in nanoseconds.
        since: where the window begins.
        seen: hashes of the files inside the window.
        older: how many files were older than the window.
    """

    until: int
    since: int
    seen: frozenset[bytes]
    older: int

    @classmethod
    def load(cls, state: dict[str, Any]) -> Watermark | None:
        """Return what a resource's state holds; None before the first load."""
        if "until" not in state:
            return None
        packed = base64.b85decode(state["seen"])
        hashes = (packed[start : start + _BYTES] for start in range(0, len(packed), _BYTES))
        return cls(state["until"], state["since"], frozenset(hashes), state["older"])

    def store(self, state: dict[str, Any]) -> None:
        """Put this into a resource's state."""
        seen = base64.b85encode(b"".join(sorted(self.seen))).decode("ascii")
        state.update(until=self.until, since=self.since, seen=seen, older=self.older)

    def is_new(self, file: FoundFile) -> bool:
        """Tell whether a file was not loaded yet."""
        modified = _modified(file)
        return modified > self.until or (modified >= self.since and _hash(file) not in self.seen)


def new_files(files: Sequence[FoundFile], mark: Watermark | None, label: str) -> tuple[FoundFile, ...]:
    """Return the files that were not loaded yet.

    Arguments:
        files: all that are there, each with its time.
        mark: what was loaded so far.
        label: the folder, for a warning about files that came late.
    """
    if mark is None:
        return tuple(files)
    older = sum(_modified(file) < mark.since for file in files)
    if older > mark.older:
        log.warning(
            "%s: at least %d files are older than what was loaded and are new all the same; they are not "
            "loaded. Raise lookback_seconds for files that arrive late, or load everything again by "
            "--full-refresh",
            label,
            older - mark.older,
        )
    return tuple(file for file in files if mark.is_new(file))


def advanced(files: Sequence[FoundFile], mark: Watermark | None, lookback_seconds: int) -> Watermark | None:
    """Return the watermark after ``files``, all that are there, were loaded; None where there is none."""
    if not files:
        return mark
    until = max(map(_modified, files))
    if mark is not None:
        until = max(until, mark.until)
    since = until - lookback_seconds * _SECOND
    if mark is not None:
        # What was older stays so, also where the window became longer: it was loaded, and is not known.
        since = max(since, mark.since)
    seen = {_hash(file) for file in files if _modified(file) >= since}
    if mark is not None and since == mark.since:
        seen |= mark.seen  # a file that is away for a while is not new when it is back
    return Watermark(until, since, frozenset(seen), sum(_modified(file) < since for file in files))


def _modified(file: FoundFile) -> int:
    if file.modified_ns is None:
        raise ValueError(f"{file.name} has no time")
    return file.modified_ns


def _hash(file: FoundFile) -> bytes:
    what = f"{file.name}\0{file.size}\0{file.modified_ns}"
    return hashlib.blake2b(what.encode(), digest_size=_BYTES).digest()

"""Finds secrets in what a run leaves: as they are, quoted, in base64, and inside files that compress."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import re
import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from ahocorasick_rs import BytesAhoCorasick

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# dlt keeps a pipeline's state as base64 of what zlib compressed, which always begins so.
_STATE = re.compile(rb"eJ[A-Za-z0-9+/]{16,}={0,2}")
_BROKEN = (OSError, EOFError, ValueError, IndexError, KeyError, TypeError, zlib.error, pa.ArrowException)
"""What the readers say of a file that they do not understand; tests leave such files on purpose."""


class Search:
    """Looks for all secrets at once.

    Arguments:
        secrets: their names, by their values.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        names = {form: name for value, name in secrets.items() for form in forms(value)}
        self._names = list(names.values())
        self._patterns = BytesAhoCorasick(names)

    def in_bytes(self, data: bytes | memoryview) -> set[str]:
        """Return the names of the secrets that stand in there."""
        return {self._names[match[0]] for match in self._patterns.find_matches_as_indexes(data)}

    def in_file(self, data: bytes) -> tuple[set[str], bool]:
        """Look at a file's bytes, and at what they are when they are read.

        Returns:
            The names of the secrets in it, and whether all of it could be read.
        """
        found = self._in_part(data)
        if not (reader := _READERS.get(data[:4]) or _READERS.get(data[:2])):
            return found, True
        try:
            for part in reader(data):
                found |= self._in_part(part)
        except _BROKEN:
            return found, False
        return found, True

    def _in_part(self, data: bytes | memoryview) -> set[str]:
        found = self.in_bytes(data)
        for state in _STATE.findall(data):
            found |= self.in_bytes(_inflated(state))
        return found


def forms(value: str) -> set[bytes]:
    """Return what a secret looks like in URLs, JSON, SQL, HTML, Python and base64, and as it is."""
    texts = {value, quote_plus(value), json.dumps(value)[1:-1], repr(value)[1:-1], html.escape(value)}
    texts |= {quote(value, safe=safe) for safe in ("", "/", " ")}
    texts |= {value.replace("'", "''"), value.replace("\\", "\\\\").replace("'", "\\'")}
    raw = value.encode()
    encoded = {_base64(raw, before, altchars) for before in range(3) for altchars in (b"+/", b"-_")}
    return {text.encode() for text in texts} | encoded


def _base64(raw: bytes, before: int, altchars: bytes) -> bytes:
    """Return the characters that only the secret decides, where so many bytes stand before it."""
    encoded = base64.b64encode(bytes(before) + raw, altchars)
    return encoded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]


def _inflated(state: bytes) -> bytes:
    """Return a state of dlt as JSON; nothing where it only looks like one."""
    try:
        # Another value may follow without a break, so both ends may be ragged.
        return zlib.decompressobj().decompress(base64.b64decode(state[: len(state) // 4 * 4]))
    except (ValueError, zlib.error):
        return b""


def _parquet(data: bytes) -> Iterator[memoryview]:
    """Give the values of every column, as Arrow holds them: those of one column of text, end to end."""
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches():
        for column in batch.columns:
            yield from (memoryview(buffer).cast("B") for buffer in column.buffers() if buffer)


def _avro(data: bytes) -> Iterator[bytes]:
    for block in fastavro.block_reader(io.BytesIO(data)):
        yield block.bytes_.getvalue()


def _gzip(data: bytes) -> Iterator[bytes]:
    yield gzip.decompress(data)


def _zstd(data: bytes) -> Iterator[bytes]:
    yield pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()


_READERS = {b"PAR1": _parquet, b"Obj\x01": _avro, b"\x1f\x8b": _gzip, b"\x28\xb5\x2f\xfd": _zstd}
"""By what a file begins with."""

"""Hands record batches that a source makes to DuckDB, which reads them in a thread of its own.

The source runs in the thread that asked for the scan, with that thread's context, connections and signals.
Between the two there are a few batches at most, so memory stays bounded. What the source raises never goes
through DuckDB, which would leave of it a text alone.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from floe_ingest_hookspecs import BulkScan

_Result = TypeVar("_Result")

_RELATION = "record_batches"
_BETWEEN = 2
_LEAST_ROWS, _MOST_ROWS = 20_000, 122_880
"""Each batch costs something by itself, and each is read by one thread."""
_SMALL_BYTES = 16 * 1024 * 1024
"""Up to this size a stream goes into one file; each thread would leave a small one."""


def declare(connection: DuckDBPyConnection, scan: BulkScan) -> None:
    """Let the queries of a connection name a scan's record batches, which have their columns and no rows yet.

    Raises:
        SchemaError: DuckDB does not read a column's type, or does not tell two columns apart.
    """
    schema = _schema_of(scan)
    named: dict[str, str] = {}
    for field in schema:
        folded = field.name.casefold()
        if folded in named:
            raise SchemaError(
                f"Columns {named[folded]!r} and {field.name!r} of {scan.origin} are one for DuckDB, which "
                f"ignores case. Rename one in the source."
            )
        named[folded] = field.name
        if not _is_read(connection, field):
            raise SchemaError(
                f"Column {field.name!r} of {scan.origin} has the Arrow type {field.type}, which cannot be "
                f"read. Cast it in the source, for example to text."
            )
    connection.register(_RELATION, schema.empty_table())


def _is_read(connection: DuckDBPyConnection, field: pa.Field) -> bool:
    import duckdb
    import pyarrow as pa

    try:
        connection.register(_RELATION, pa.schema([field]).empty_table())
        connection.execute(f"SELECT * FROM {_RELATION}")
    except (duckdb.Error, NotImplementedError):
        return False
    return True


def _schema_of(scan: BulkScan) -> pa.Schema:
    """Return the columns of a scan's batches as DuckDB gets them.

    A column without a type is text, as it is where a query gives NULL alone; DuckDB would say INTEGER.

    Raises:
        ValueError: the scan is none of record batches.
    """
    import pyarrow as pa

    if scan.schema is None:
        raise ValueError(f"{scan.origin} has no record batches")
    text = pa.string()
    return pa.schema(
        [field.with_type(text) if pa.types.is_null(field.type) else field for field in scan.schema]
    )


def fed(connection: DuckDBPyConnection, scan: BulkScan, work: Callable[[bool], _Result]) -> _Result:
    """Run a query over a scan's record batches, which are read once and closed on every path.

    Arguments:
        connection: where they are declared; used by ``work`` alone while this runs.
        scan: brings the batches.
        work: runs the query, in another thread. It is told whether all batches together are few.

    Returns:
        What ``work`` returned.

    Raises:
        SchemaError: a batch has other columns than the scan has said.
        Exception: what the source raised, as it raised it, or what ``work`` raised.
    """
    if scan.batches is None:
        raise ValueError(f"{scan.origin} has no record batches")
    items = scan.batches()
    try:
        batches = _sized(_checked(items, scan))
        first, few = _first(batches)
        hand_over = _HandOver()
        connection.register(_RELATION, _Stream(_schema_of(scan), hand_over.taken()))
        with ThreadPoolExecutor(1, thread_name_prefix="floe-ingest-batches") as pool:
            done = pool.submit(work, few)
            done.add_done_callback(lambda _: hand_over.leave())
            try:
                if all(map(hand_over.give, chain(first, batches))):
                    hand_over.end()
                return done.result()
            except BaseException:
                hand_over.end(whole=False)
                if not done.done():
                    connection.interrupt()
                raise
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _first(batches: Iterator[pa.RecordBatch]) -> tuple[list[pa.RecordBatch], bool]:
    """Return the first batches, and whether they are all there are."""
    first = []
    size = 0
    for batch in batches:
        first.append(batch)
        size += batch.nbytes
        if size > _SMALL_BYTES:
            return first, False
    return first, True


def _sized(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield small batches joined, and great ones in pieces."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _LEAST_ROWS:
            yield from _pieces(waiting)
            waiting, rows = [], 0
    if rows:
        yield from _pieces(waiting)


def _pieces(batches: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    # Text of more than 2 GB stays in several chunks.
    whole = batches if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()
    for batch in whole:
        for start in range(0, batch.num_rows, _MOST_ROWS):
            yield batch.slice(start, _MOST_ROWS)


def _checked(items: Iterable[Any], scan: BulkScan) -> Iterator[pa.RecordBatch]:
    """Yield the batches under the scan's schema.

    Raises:
        SchemaError: one has other columns, or is no batch.
    """
    import pyarrow as pa

    schema = _schema_of(scan)
    said: pa.Schema = scan.schema
    for number, item in enumerate(items, 1):
        if not isinstance(item, pa.RecordBatch | pa.Table):
            raise SchemaError(
                f"Batch {number} of {scan.origin} is of type {type(item).__name__}; a pyarrow RecordBatch or "
                f"Table is expected."
            )
        if (item.schema.names, item.schema.types) != (said.names, said.types):
            raise SchemaError(
                f"Batch {number} of {scan.origin} has other columns than the scan said: "
                f"{_differences(item.schema, said)}. Cast each batch to one schema, or yield a scan for each."
            )
        for batch in [item] if isinstance(item, pa.RecordBatch) else item.to_batches():
            if batch.num_rows:
                # What tells schemas apart but not values, such as their metadata, is the scan's.
                yield pa.RecordBatch.from_arrays(batch.columns, schema=said).cast(schema)


def _differences(found: pa.Schema, said: pa.Schema) -> str:
    before = dict(zip(said.names, said.types, strict=True))
    after = dict(zip(found.names, found.types, strict=True))
    told = [f"{name!r} is new" for name in after if name not in before]
    told += [f"{name!r} is gone" for name in before if name not in after]
    told += [
        f"{name!r} is {after[name]}, not {kind}"
        for name, kind in before.items()
        if name in after and after[name] != kind
    ]
    return "; ".join(told) or f"their order is {', '.join(found.names)}"


class _Stream:
    """A stream of batches as Arrow's C interface has it.

    DuckDB would read one of pyarrow's own classes through a pyarrow scanner, which reads many batches ahead.

    Arguments:
        schema: of all batches.
        batches: read once.
    """

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        self._schema = schema
        self._batches = batches

    def __arrow_c_schema__(self) -> object:
        """Return the schema."""
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the batches; DuckDB asks once a query."""
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches)
        return reader.__arrow_c_stream__(requested_schema)


class _BrokenOffError(Exception):
    """Stops the query whose batches do not come; the error that counts is the source's."""


class _HandOver:
    """A few batches between the thread that gives them and the one that takes them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._batches: deque[pa.RecordBatch] = deque()
        self._ended: bool | None = None
        self._left = False

    def give(self, batch: pa.RecordBatch) -> bool:
        """Wait for room and leave a batch there; tell whether there is still somebody who takes it."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or len(self._batches) < _BETWEEN)
            if not self._left:
                self._batches.append(batch)
                self._changed.notify_all()
            return not self._left

    def end(self, *, whole: bool = True) -> None:
        """Say that no batch comes any more: all were given, or the rest is missing."""
        with self._changed:
            self._ended = whole
            self._changed.notify_all()

    def leave(self) -> None:
        """Say that no batch is taken any more."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def taken(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they come.

        Raises:
            _BrokenOffError: the rest is missing.
        """
        while (batch := self._take()) is not None:
            yield batch

    def _take(self) -> pa.RecordBatch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._batches or self._ended is not None)
            if self._ended is False:
                raise _BrokenOffError
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._changed.notify_all()
            return batch

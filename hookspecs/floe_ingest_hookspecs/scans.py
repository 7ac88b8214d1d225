"""A bulk read that the engine runs: what a source yields when its rows can stay columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Attachment:
    """A database that DuckDB attaches, read-only, for the time of one scan.

    Arguments:
        name: the name under which ``select`` refers to it; a plain identifier.
        kind: which DuckDB extension reads it.
        path: the database file (sqlite, duckdb), or empty for a server.
        secret: connection fields of a server (host, port, user, password, database). They reach DuckDB
            by ``CREATE SECRET``, never by a connection string, since DuckDB repeats that in its errors.
        default: whether tables that ``select`` names without a database are looked for in this one.
    """

    name: str
    kind: Literal["postgres", "sqlite", "mysql", "duckdb"]
    path: str = ""
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    default: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"Attachment.name must be a plain identifier, got {self.name!r}")


@dataclass(frozen=True, slots=True)
class BulkScan:
    """One ``SELECT`` in DuckDB's dialect whose result the engine writes to data files on all cores.

    A dlt resource yields it instead of rows or Arrow; the source never writes files. The engine gives
    each column the table's field id and normalised name, and casts what Iceberg does not know
    (unsigned and huge integers, nanoseconds, intervals, UUIDs, JSON) to what holds every value.

    Arguments:
        select: the query. Values go into ``parameters``, never into the text.
        parameters: values of the query's ``?`` marks, in order.
        types: DuckDB types to cast columns to, by the column's name in the result; strict, so that a
            value which does not fit is an error and never a NULL.
        attach: databases that the query reads.
        ordered: whether the order of the rows matters (the last row seen wins in a merge).
        windowed: whether ``select`` keeps to the resource's ``CursorWindow`` by itself, and gives rows
            without a cursor value unless they are excluded. Otherwise the engine filters, which is as right
            and may read more.
        threads: how many read and write at once, each with a connection of its own to a server; None for as
            many as there are cores.
        origin: what is read, for messages: "table orders", "3 CSV files of ./data". No secrets.
        otherwise: what to read where the query stops on a value (a failed cast, ``error()``, a broken
            line). It is called with that failure, when nothing of this scan is left, and gives what a
            resource yields; or it raises the error to report. So a source can read once by the types
            that a sample shows, and look at every value only where that went wrong.
        files: local Parquet files that hold exactly the rows and the columns of ``select``, in this order;
            empty for any other query. Those that read right as data files of the table are taken in as
            they are, which is many times faster; only the others are read.
        batches: gives the record batches that ``select`` reads as ``record_batches``; see ``of_batches``.
        schema: theirs, a ``pyarrow.Schema``.

    Example:
        >>> BulkScan("SELECT * FROM read_parquet(?)", (["a.parquet"],), origin="a.parquet").origin
        'a.parquet'
    """

    select: str
    parameters: tuple[Any, ...] = field(default=(), repr=False)
    types: Mapping[str, str] = field(default_factory=dict)
    attach: tuple[Attachment, ...] = ()
    ordered: bool = False
    windowed: bool = False
    threads: int | None = None
    origin: str = "a bulk scan"
    otherwise: Callable[[Exception], Iterable[Any]] | None = field(default=None, repr=False, compare=False)
    files: tuple[str, ...] = ()
    batches: Callable[[], Iterable[Any]] | None = field(default=None, repr=False, compare=False)
    schema: pa.Schema | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.select.strip():
            raise ValueError("BulkScan.select must be a SELECT statement, got an empty text")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"BulkScan.threads must be at least 1, got {self.threads}")
        if self.files and self.types:
            raise ValueError(
                "BulkScan.types cast columns, so the files cannot be taken as they are; leave one out"
            )
        if (self.batches is None) != (self.schema is None):
            raise ValueError("BulkScan.batches and BulkScan.schema belong together; give both or neither")
        if self.batches is not None and (self.files or self.attach):
            raise ValueError("BulkScan.batches are all that is read; leave files and attach out")

    @classmethod
    def of_parquet(cls, files: Sequence[str], *, origin: str, ordered: bool = False) -> Self:
        """Return the scan of all rows of local Parquet files, whose columns are united by name.

        Arguments:
            files: their paths, none of them a pattern.
            origin: what messages call them.
            ordered: whether the order of the rows has to stay.

        Example:
            >>> BulkScan.of_parquet(["day=1/a.parquet"], origin="a day").files
            ('day=1/a.parquet',)
        """
        # In a path, DuckDB takes these for wildcards.
        paths = [re.sub(r"([*?\[])", r"[\1]", path) for path in files]
        select = "SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)"
        return cls(select, (paths,), ordered=ordered, origin=origin, files=tuple(files))

    @classmethod
    def of_batches(
        cls,
        batches: Callable[[], Iterable[Any]],
        schema: pa.Schema,
        *,
        origin: str,
        select: str = "SELECT * FROM record_batches",
        types: Mapping[str, str] | None = None,
        ordered: bool = False,
        windowed: bool = False,
        otherwise: Callable[[Exception], Iterable[Any]] | None = None,
    ) -> Self:
        """Return the scan of record batches that the source makes while they are written.

        A few batches wait at most, so memory does not grow with them. What ``batches`` raises ends the load
        as it is, and nothing of the scan lands.

        Arguments:
            batches: gives ``pyarrow`` record batches or tables, all of ``schema``. It is called once at
                most, in the thread of the resource, when everything else about the table is settled; so it
                opens what it reads itself. What it returns is closed at the end (``close()``), if it can be.
            schema: of each batch: names, types and order.
            origin: what messages call them: "the rows of table orders".
            select: reads ``record_batches``, exactly once: to cast or compute columns on all cores.
            types: see the class.
            ordered: whether the order of the rows has to stay.
            windowed: see the class.
            otherwise: see the class.

        Example:
            >>> import pyarrow as pa
            >>> table = pa.table({"id": [1, 2]})
            >>> BulkScan.of_batches(table.to_batches, table.schema, origin="two rows").schema.names
            ['id']
        """
        return cls(
            select,
            types=types or {},
            ordered=ordered,
            windowed=windowed,
            origin=origin,
            otherwise=otherwise,
            batches=batches,
            schema=schema,
        )

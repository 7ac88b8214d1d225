"""A bulk read that the engine runs: what a source yields when its rows can stay columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Attachment:
    """A database that DuckDB attaches, read-only, for the time of one scan.

    Arguments:
        name: the name under which ``select`` refers to it; a plain identifier.
        kind: which DuckDB extension reads it.
        path: the database file (sqlite, duckdb), or empty for a server.
        secret: connection fields of a server (host, port, user, password, database). They reach DuckDB
            by ``CREATE SECRET``, never by a connection string, since DuckDB repeats that in its errors.
    """

    name: str
    kind: Literal["postgres", "sqlite", "mysql", "duckdb"]
    path: str = ""
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)

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
        origin: what is read, for messages: "table orders", "3 CSV files of ./data". No secrets.
        otherwise: what to read where the query stops on a value (a failed cast, ``error()``, a broken
            line). It is called with that failure, when nothing of this scan is left, and gives what a
            resource yields; or it raises the error to report. So a source can read once by the types
            that a sample shows, and look at every value only where that went wrong.

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
    origin: str = "a bulk scan"
    otherwise: Callable[[Exception], Iterable[Any]] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.select.strip():
            raise ValueError("BulkScan.select must be a SELECT statement, got an empty text")

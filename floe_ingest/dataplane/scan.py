"""Runs the ``BulkScan`` of a source: what it gives, and its rows as data files."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from floe_ingest.dataplane.batches import declare, fed
from floe_ingest.dataplane.columns import Column, identifier, literal
from floe_ingest.dataplane.connection import DataPlaneSettings, attach, connect
from floe_ingest.dataplane.copy import FileOptions, WrittenFile, copy_to_parquet
from floe_ingest.dataplane.row_versions import row_version
from floe_ingest.errors import SchemaError, SourceConfigurationError, SourceConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from floe_ingest_hookspecs import BulkScan

_Result = TypeVar("_Result")

_SAME = frozenset(
    {"boolean", "integer", "bigint", "float", "double", "varchar", "blob", "date", "time", "timestamp"}
)
_CAST = {
    "tinyint": "INTEGER",
    "smallint": "INTEGER",
    "utinyint": "INTEGER",
    "usmallint": "INTEGER",
    "uinteger": "BIGINT",
    "ubigint": "DECIMAL(20,0)",
    "hugeint": "DECIMAL(38,0)",
    "uhugeint": "DECIMAL(38,0)",
    "timestamp with time zone": "TIMESTAMPTZ",
    "timestamp_s": "TIMESTAMP",
    "timestamp_ms": "TIMESTAMP",
    # Iceberg 2 has no nanoseconds: they are cut off.
    "timestamp_ns": "TIMESTAMP",
    # A zone of a time of day has no place in Iceberg; as text it is kept.
    "time with time zone": "VARCHAR",
    "bit": "VARCHAR",
    "enum": "VARCHAR",
    "interval": "VARCHAR",
    "json": "VARCHAR",
    "sqlnull": "VARCHAR",
    '"null"': "VARCHAR",
    "uuid": "VARCHAR",
}
_BATCH_ROWS = 20_000
_FINITE = frozenset({"DATE", "TIMESTAMP", "TIMESTAMPTZ"})


def table_type(duckdb_type: Any, column: str) -> str:
    """Return the DuckDB type in which values of ``duckdb_type`` fit an Iceberg column, none lost.

    Raises:
        SchemaError: Iceberg has no such type.
    """
    kind = str(duckdb_type.id).lower()
    if kind in _SAME:
        return kind.upper()
    if kind in _CAST:
        return _CAST[kind]
    if kind == "decimal":
        return str(duckdb_type)
    if kind in ("list", "array"):
        return f"{table_type(duckdb_type.children[0][1], column)}[]"
    if kind == "struct":
        if not all(name for name, _ in duckdb_type.children):
            raise SchemaError(
                f"Column {column!r} is a struct whose fields have no names. Name them in the query, as in "
                f"{{'a': 1}}."
            )
        fields = [f"{identifier(name)} {table_type(child, column)}" for name, child in duckdb_type.children]
        return f"STRUCT({', '.join(fields)})"
    if kind == "map":
        (_, key), (_, value) = duckdb_type.children
        return f"MAP({table_type(key, column)}, {table_type(value, column)})"
    raise SchemaError(
        f"Column {column!r} has the type {duckdb_type}, which Iceberg does not have. "
        f"Cast it in the source (a query, or a view), for example to text."
    )


@dataclass(frozen=True, slots=True)
class OpenScan:
    """A scan whose databases are attached and whose columns are known.

    Arguments:
        connection: where it runs.
        scan: what runs.
        types: by column, in order: the DuckDB type in which it will be written.
        found: by column: the DuckDB type in which it comes.
    """

    connection: DuckDBPyConnection
    scan: BulkScan
    types: Mapping[str, str]
    found: Mapping[str, str]

    def arrow_schema(self) -> pa.Schema:
        """Return the Arrow schema of the result, as its data files will hold it."""
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in self.types.items())
        return self.connection.execute(f"SELECT {nulls} LIMIT 0").to_arrow_table().schema

    def with_nanoseconds(self) -> list[str]:
        """Return the columns whose digits below the microsecond are cut off."""
        return [name for name, kind in self.found.items() if "_NS" in kind]

    def write(
        self,
        columns: Sequence[Column],
        origins: Mapping[str, str],
        folder: Path,
        options: FileOptions,
        lenient: frozenset[str] = frozenset(),
        version: str | None = None,
    ) -> list[WrittenFile]:
        """Write all rows into data files below ``folder``.

        Arguments:
            columns: the table's columns, in order.
            origins: by name of a table column: the column of the scan that fills it. A column without
                one becomes NULL.
            folder: see ``copy_to_parquet``.
            options: see ``copy_to_parquet``.
            lenient: columns whose values become NULL where they do not fit; elsewhere that is an error.
            version: the one of ``columns`` that holds each row's version, made of its other columns.
        """
        values = [column for column in columns if column.name != version]
        parts = [
            f"{self._value(origins.get(column.name), column, column.name in lenient)}"
            f" AS {identifier(column.name)}"
            for column in values
        ]
        select = f"SELECT {', '.join(parts)} FROM ({self.scan.select}) AS scan"
        if version is not None:
            made = f"{row_version(column.name for column in values)} AS {identifier(version)}"
            names = [made if column.name == version else identifier(column.name) for column in columns]
            select = f"SELECT {', '.join(names)} FROM ({select}) AS rows_of_scan"
        return self.run(
            lambda few: copy_to_parquet(
                self.connection,
                select,
                columns,
                folder,
                replace(options, parallel=options.parallel and not few),
                self.scan.parameters,
            )
        )

    def run(self, query: Callable[[bool], _Result]) -> _Result:
        """Run a query over the scan, once; it is told whether the scan is known to have few rows.

        Raises: see ``fed``, where record batches are read.
        """
        return query(False) if self.scan.batches is None else fed(self.connection, self.scan, query)

    def _value(self, origin: str | None, column: Column, lenient: bool) -> str:
        if origin is None:
            return f"CAST(NULL AS {column.type})"
        value = f"CAST({identifier(origin)} AS {self.types[origin]})"
        if self.found[origin] == "TIMESTAMP_NS" and self.types[origin] == "TIMESTAMP":
            value = _cut_to_microseconds(identifier(origin))
        if self.types[origin] in _FINITE:
            advice = literal(
                f"Column {origin} holds an infinite date or timestamp, which Iceberg cannot hold. "
                f"Replace it in a query, for example by NULL."
            )
            value = f"CASE WHEN {value} IS NULL OR isfinite({value}) THEN {value} ELSE error({advice}) END"
        if column.type == self.types[origin]:
            return value
        return f"{'TRY_CAST' if lenient else 'CAST'}({value} AS {column.type})"


def _cut_to_microseconds(value: str) -> str:
    """Return the microsecond in which a time lies; a cast would go towards 1970."""
    nanos = f"epoch_ns({value})"
    micros = f"({nanos} - (({nanos} % 1000) + 1000) % 1000) // 1000"
    return f"CASE WHEN isfinite({value}) THEN make_timestamp({micros}) ELSE CAST({value} AS TIMESTAMP) END"


def stopped_on_data(error: Exception) -> bool:
    """Tell whether a query stopped on a value or a line that it read, and not on the machine."""
    import duckdb

    about_data = (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException)
    return isinstance(error, about_data)


@contextmanager
def open_scan(scan: BulkScan, settings: DataPlaneSettings) -> Iterator[OpenScan]:
    """Attach the databases of a scan and look up its columns. Everything is closed at the end.

    Raises:
        MissingPackageError: a DuckDB extension is not installed.
        SchemaError: a column has a type that Iceberg does not have, or two columns have one name.
        duckdb.Error: a database or file cannot be opened, or the query is wrong.
    """
    with _connected(scan, settings) as connection:
        result = connection.execute(f"SELECT * FROM ({scan.select}) AS scan LIMIT 0", list(scan.parameters))
        found = [(str(name), kind) for name, kind, *_ in result.description or ()]
        types = {name: scan.types.get(name) or table_type(kind, name) for name, kind in found}
        if len(types) != len(found):
            names = sorted({name for name, _ in found if [n for n, _ in found].count(name) > 1})
            raise SchemaError(
                f"The query of {scan.origin} gives {', '.join(names)} more than once. Name them apart."
            )
        yield OpenScan(connection, scan, types, {name: str(kind) for name, kind in found})


def scan_batches(scan: BulkScan, settings: DataPlaneSettings | None = None) -> Iterator[pa.RecordBatch]:
    """Run a scan and yield its result as Arrow, for a source that has to look before it reads.

    Arguments:
        scan: from a source. Its columns come as DuckDB has them, not cast to what Iceberg has.
        settings: memory, and where to spill.

    Raises:
        ValueError: the query stopped on its data, with DuckDB's words; or the scan is of record batches.
        SourceConfigurationError: the query is wrong, or names what is not there; likewise.
        SourceConnectionError: a database cannot be opened; likewise.
        duckdb.Error: anything else that stopped it.
    """
    import duckdb

    if scan.batches is not None:
        raise ValueError(f"{scan.origin}: the source itself makes the record batches of this scan")
    wrong = (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException, duckdb.SyntaxException)
    with _connected(scan, settings or DataPlaneSettings(), speaking=True) as connection:
        try:
            yield from connection.execute(scan.select, list(scan.parameters)).to_arrow_reader(_BATCH_ROWS)
        except Exception as error:
            if stopped_on_data(error):
                raise ValueError(str(error)) from error
            if isinstance(error, wrong):
                raise SourceConfigurationError(f"{scan.origin}: {error}") from error
            raise


@contextmanager
def _connected(
    scan: BulkScan, settings: DataPlaneSettings, *, speaking: bool = False
) -> Iterator[DuckDBPyConnection]:
    """Open a connection with a scan's databases and threads.

    Raises:
        SourceConnectionError: ``speaking``, and a database cannot be opened; ``duckdb.Error`` otherwise.
    """
    import duckdb

    with connect(settings, ordered=scan.ordered) as connection:
        if scan.threads is not None:
            connection.execute(f"SET threads = {scan.threads:d}")
        try:
            for attachment in scan.attach:
                attach(connection, attachment)
        except duckdb.Error as error:
            if not speaking:
                raise
            raise SourceConnectionError(f"{scan.origin} cannot be opened: {error}") from error
        if scan.batches is not None:
            declare(connection, scan)
        yield connection

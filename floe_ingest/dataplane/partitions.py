"""Iceberg's partition transforms in DuckDB, and data files that hold one partition each.

Transforms: https://iceberg.apache.org/spec/#partition-transforms. Bucket hashes come from pyiceberg-core,
since DuckDB has no 32-bit Murmur3.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from floe_ingest.dataplane.columns import Column, identifier
from floe_ingest.dataplane.copy import (
    FileOptions,
    SortTerm,
    WrittenFile,
    copy_to_parquet,
    order_by,
    parquet_rows,
    split_by_size,
)
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

_PID = "__floe_partition"
_HOUR = 3_600_000_000  # microseconds
_BATCH_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class PartitionTerm:
    """One field of a partition spec, as Iceberg names it: ``day`` of ``created_at``.

    Arguments:
        transform: identity, year, month, day, hour, bucket, truncate or void.
        column: what it is taken of.
        width: of bucket and truncate.
    """

    transform: str
    column: str
    width: int = 0

    def sql(self, duckdb_type: str) -> str:
        """Return the expression of this term's value, for any transform but bucket.

        Raises:
            SchemaError: the transform does not go with the type.
        """
        name = identifier(self.column)
        if self.transform == "identity":
            return name
        if self.transform == "void":
            return "NULL"
        if self.transform == "truncate":
            return self._truncate(name, duckdb_type)
        return self._time(name, duckdb_type)

    def _truncate(self, name: str, duckdb_type: str) -> str:
        if duckdb_type == "VARCHAR":
            return f"left({name}, {self.width})"
        if duckdb_type in ("INTEGER", "BIGINT"):
            width = f"CAST({self.width} AS {duckdb_type})"
        elif duckdb_type.startswith("DECIMAL"):
            scale = int(duckdb_type.rstrip(")").split(",")[1])
            width = f"CAST({self.width}::DECIMAL(38,{scale}) / {10**scale} AS DECIMAL(38,{scale}))"
        else:
            raise SchemaError(f"Column {self.column!r} is {duckdb_type}, which truncate does not take.")
        # DuckDB's remainder has the sign of the dividend; Iceberg rounds down.
        return f"CAST({name} - ((({name} % {width}) + {width}) % {width}) AS {duckdb_type})"

    def _time(self, name: str, duckdb_type: str) -> str:
        if duckdb_type not in ("DATE", "TIMESTAMP", "TIMESTAMPTZ"):
            raise SchemaError(f"Column {self.column!r} is {duckdb_type}, which has no {self.transform}.")
        if self.transform == "year":
            return f"CAST(year({name}) - 1970 AS INTEGER)"
        if self.transform == "month":
            return f"CAST((year({name}) - 1970) * 12 + month({name}) - 1 AS INTEGER)"
        if self.transform == "day":
            return f"CAST(date_diff('day', DATE '1970-01-01', CAST({name} AS DATE)) AS INTEGER)"
        micros = f"epoch_us({name})"
        return f"CAST(({micros} - ((({micros} % {_HOUR}) + {_HOUR}) % {_HOUR})) // {_HOUR} AS INTEGER)"


@dataclass(frozen=True, slots=True)
class FileLayout:
    """How rows are spread over files and ordered within them.

    Arguments:
        terms: the fields of the partition spec.
        order: the fields of the sort order.
    """

    terms: tuple[PartitionTerm, ...] = ()
    order: tuple[SortTerm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms or self.order)


def _bucket_files(
    connection: DuckDBPyConnection, select: str, term: PartitionTerm, folder: Path
) -> tuple[Path, str]:
    """Write the bucket of each distinct value of a column; return the file and the column, quoted.

    Batches go through pyiceberg-core and back into a file, so that any number of values fits in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg_core import transform

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{uuid.uuid4().hex}.buckets.parquet"
    name = identifier(term.column)
    result = connection.execute(f"SELECT DISTINCT {name} AS value FROM ({select})")
    reader = result.to_arrow_reader(_BATCH_ROWS)
    schema = pa.schema([reader.schema.field("value"), pa.field("bucket", pa.int32())])
    with pq.ParquetWriter(file, schema) as writer:
        for batch in reader:
            values = batch.column("value")
            buckets = transform.bucket(values, term.width)
            writer.write_batch(pa.record_batch([values, buckets], schema=schema))
    return file, name


def _with_buckets(
    connection: DuckDBPyConnection, select: str, terms: Sequence[PartitionTerm], folder: Path
) -> tuple[str, dict[PartitionTerm, str]]:
    """Return a query that adds a column for each bucket term, and the names of these columns."""
    added: dict[PartitionTerm, str] = {}
    joins = []
    for number, term in enumerate(term for term in terms if term.transform == "bucket"):
        file, column = _bucket_files(connection, select, term, folder)
        added[term] = f"__floe_b{number}"
        joins.append(
            f"LEFT JOIN {parquet_rows([file])} AS m{number} "
            f"ON s.{column} IS NOT DISTINCT FROM m{number}.value"
        )
    if not added:
        return select, added
    buckets = ", ".join(f"m{number}.bucket AS {name}" for number, name in enumerate(added.values()))
    return f"SELECT s.*, {buckets} FROM ({select}) AS s {' '.join(joins)}", added


def copy_by_partition(
    connection: DuckDBPyConnection,
    select: str,
    columns: Sequence[Column],
    layout: FileLayout,
    folder: Path,
    options: FileOptions,
) -> list[WrittenFile]:
    """Run ``select`` and write its rows into files of one partition each, in order.

    DuckDB writes keys of partitions as text, so partitions are numbered first, and the numbers lead back
    to the typed values.

    Arguments: see ``copy_to_parquet``. ``select`` is read more than once where the table is partitioned.
    """
    if not layout.terms:
        options = replace(options, ordered=options.ordered or bool(layout.order))
        files = copy_to_parquet(connection, select + order_by(layout.order), columns, folder, options)
        if not options.ordered:
            return files
        return [part for file in files for part in split_by_size(connection, file, columns, folder, options)]
    select, buckets = _with_buckets(connection, select, layout.terms, folder)
    types = {column.name: column.type for column in columns}
    values = [buckets.get(term) or term.sql(types[term.column]) for term in layout.terms]
    names = [f"__floe_p{number}" for number in range(len(layout.terms))]
    listed = ", ".join(f"{value} AS {name}" for value, name in zip(values, names, strict=True))
    numbers = f"floe_partitions_{uuid.uuid4().hex}"
    connection.execute(
        f"CREATE TEMP TABLE {numbers} AS SELECT row_number() OVER () AS {_PID}, * "
        f"FROM (SELECT DISTINCT {listed} FROM ({select}))"
    )
    same = " AND ".join(f"rows.{name} IS NOT DISTINCT FROM p.{name}" for name in names)
    kept = ", ".join(f"rows.{identifier(column.name)}" for column in columns)
    numbered = (
        f"SELECT {kept}, p.{_PID} FROM (SELECT *, {listed} FROM ({select})) AS rows "
        f"JOIN {numbers} AS p ON {same}{order_by(layout.order)}"
    )
    if layout.order:
        # Threads would put sorted pieces into a partition's file in any order.
        connection.execute("SET threads = 1")
    files = copy_to_parquet(
        connection, numbered, columns, folder, replace(options, parallel=False), partition_by=_PID
    )
    connection.execute("RESET threads")
    keys = {row[0]: row[1:] for row in connection.execute(f"SELECT * FROM {numbers}").fetchall()}
    placed = [replace(file, partition=tuple(keys[file.number])) for file in files]
    return [part for file in placed for part in split_by_size(connection, file, columns, folder, options)]

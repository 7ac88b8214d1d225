"""Iceberg's partition transforms in DuckDB, and data files that hold one partition each.

Transforms: https://iceberg.apache.org/spec/#partition-transforms. Bucket hashes come from pyiceberg-core,
by Arrow vectors, since DuckDB has no 32-bit Murmur3.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.columns import Column, identifier
from floe_ingest.dataplane.copy import FileOptions, WrittenFile, copy_to_parquet
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

_PID = "__floe_partition"
_HOUR = 3_600_000_000  # microseconds


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

    def sql(self, connection: DuckDBPyConnection, duckdb_type: str) -> str:
        """Return the expression of this term's value; bucket is registered with the connection.

        Raises:
            SchemaError: the transform does not go with the type.
        """
        name = identifier(self.column)
        if self.transform == "identity":
            return name
        if self.transform == "void":
            return "NULL"
        if self.transform == "bucket":
            return f"{_bucket(connection, duckdb_type, self.width)}({name})"
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


def _bucket(connection: DuckDBPyConnection, duckdb_type: str, width: int) -> str:
    """Register the bucket transform for a type and return its name."""
    import duckdb
    from duckdb.func import FunctionNullHandling, PythonUDFType
    from pyiceberg_core import transform

    # Without annotations, which DuckDB would try to resolve.
    def bucket(values):  # type: ignore[no-untyped-def]
        return transform.bucket(values.combine_chunks(), width)

    name = f"floe_bucket_{uuid.uuid4().hex}"
    kind, null_handling = PythonUDFType.ARROW, FunctionNullHandling.SPECIAL
    parameters: list[Any] = [duckdb.type(duckdb_type)]
    returned = duckdb.type("INTEGER")
    connection.create_function(name, bucket, parameters, returned, type=kind, null_handling=null_handling)
    return name


def copy_by_partition(
    connection: DuckDBPyConnection,
    select: str,
    columns: Sequence[Column],
    terms: Sequence[PartitionTerm],
    folder: Path,
    options: FileOptions,
) -> list[WrittenFile]:
    """Run ``select`` and write its rows into files of one partition each.

    DuckDB writes keys of partitions as text, so partitions are numbered first, and the numbers lead back
    to the typed values.

    Arguments: see ``copy_to_parquet``; ``terms`` may be empty. ``select`` is read twice where there are any.
    """
    if not terms:
        return copy_to_parquet(connection, select, columns, folder, options)
    types = {column.name: column.type for column in columns}
    values = [term.sql(connection, types[term.column]) for term in terms]
    names = [f"__floe_p{number}" for number in range(len(terms))]
    listed = ", ".join(f"{value} AS {name}" for value, name in zip(values, names, strict=True))
    numbers = f"floe_partitions_{uuid.uuid4().hex}"
    connection.execute(
        f"CREATE TEMP TABLE {numbers} AS SELECT row_number() OVER () AS {_PID}, * "
        f"FROM (SELECT DISTINCT {listed} FROM ({select}))"
    )
    same = " AND ".join(f"rows.{name} IS NOT DISTINCT FROM p.{name}" for name in names)
    numbered = (
        f"SELECT rows.* EXCLUDE ({', '.join(names)}), p.{_PID} "
        f"FROM (SELECT *, {listed} FROM ({select})) AS rows JOIN {numbers} AS p ON {same}"
    )
    files = copy_to_parquet(
        connection, numbered, columns, folder, replace(options, parallel=False), partition_by=_PID
    )
    keys = {row[0]: row[1:] for row in connection.execute(f"SELECT * FROM {numbers}").fetchall()}
    return [replace(file, partition=tuple(keys[file.number])) for file in files]

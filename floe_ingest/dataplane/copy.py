"""Writes the result of a query to Parquet data files."""

from __future__ import annotations

import math
import re
import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.columns import Column, field_ids_option, identifier, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

TARGET_FILE_BYTES = 512 * 1024 * 1024
"""Iceberg's default of ``write.target-file-size-bytes``."""

PARALLEL_FROM_BYTES = 32 * 1024 * 1024
"""Below this size of input, one file is written: each thread that saw rows would leave a small one."""

_WILDCARDS = re.compile(r"([*?\[])")
_ROW_NUMBER = "file_row_number"
_POSITION = "__floe_position"
_ROW_GROUP_ROWS = 122_880
# pyarrow's, and so pyiceberg's. DuckDB's own 3 takes a tenth longer for a three-hundredth of the size.
_ZSTD_LEVEL = 1


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A Parquet file that a ``COPY`` completed.

    Arguments:
        path: where it is.
        rows: how many rows it holds.
        bytes: its size.
        number: of its partition, where the copy was partitioned.
        partition: the values of its partition, in the order of the spec.
    """

    path: Path
    rows: int
    bytes: int
    number: int = 0
    partition: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class SortTerm:
    """One field of a sort order."""

    column: str
    descending: bool = False
    nulls_first: bool = True

    def sql(self) -> str:
        """Return this field as ``ORDER BY`` writes it."""
        direction = "DESC" if self.descending else "ASC"
        return f"{identifier(self.column)} {direction} NULLS {'FIRST' if self.nulls_first else 'LAST'}"


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How data files are written.

    Arguments:
        compression: DuckDB's name of the Parquet codec.
        compression_level: for zstd; None for 1.
        target_bytes: a file is ended once it has this size.
        parallel: one file a thread. Wanted for bulk, and wrong for a handful of rows: each thread that
            saw one would leave a file.
        ordered: keep the order of the query's rows, in one file of any size: DuckDB gives the order up
            where it ends files by size (``split_by_size`` ends them afterwards). The connection has to be
            ordered as well.
    """

    compression: str = "zstd"
    compression_level: int | None = None
    target_bytes: int = TARGET_FILE_BYTES
    parallel: bool = True
    ordered: bool = False


def available_columns(connection: DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation, and DuckDB's type of each."""
    found = connection.execute(f"SELECT * FROM {relation} LIMIT 0").description or ()
    return {str(name): str(kind) for name, kind, *_ in found}


def projection(
    columns: Sequence[Column], available: Mapping[str, str], renames: Mapping[str, str | None] | None = None
) -> str:
    """Return the ``SELECT`` list that gives ``columns`` from a relation with ``available`` columns.

    A column that the relation lacks becomes NULL of its type. Casts are strict: a value that does not
    fit raises, so that none is lost silently.

    Arguments:
        columns: what is selected.
        available: the relation's columns, and the type of each.
        renames: by name in the relation: the name among ``columns``, or None for what is not selected.
    """
    renamed = renames or {}
    origins = {name: name for name in available if name not in renamed}
    origins |= {target: name for name, target in renamed.items() if target is not None}
    values = [(_source_value(origins.get(column.name), available), column) for column in columns]
    return ", ".join(
        f"CAST({value} AS {column.type}) AS {identifier(column.name)}" for value, column in values
    )


def _source_value(name: str | None, available: Mapping[str, str]) -> str:
    if name is None or name not in available:
        return "NULL"
    value = identifier(name)
    if available[name] != "TIMESTAMP_NS":
        return value
    # A cast would cut them off.
    advice = literal(
        f"Column {name} holds a time with nanoseconds, which Iceberg cannot hold. Cut it to microseconds in "
        f"the source."
    )
    return f"CASE WHEN {value} IS NULL OR epoch_ns({value}) % 1000 = 0 THEN {value} ELSE error({advice}) END"


def copy_to_parquet(
    connection: DuckDBPyConnection,
    select: str,
    columns: Sequence[Column],
    folder: Path,
    options: FileOptions,
    parameters: Sequence[Any] = (),
    *,
    partition_by: str | None = None,
) -> list[WrittenFile]:
    """Run ``select`` and write its rows into new files of ``folder``.

    Only what ``COPY`` returns counts: after a crash a folder can hold broken files, or whole ones of
    an unfinished load.

    Arguments:
        connection: from ``connect``.
        select: gives ``columns``, in this order.
        columns: the columns with their field ids.
        folder: made if missing; the files go into a new folder of their own below it.
        options: codec, sizes, parallelism.
        parameters: values of the query's ``?`` marks.
        partition_by: a further column of ``select``, a number; each file holds rows of one number alone.

    Returns:
        One entry a file that holds rows.

    Raises:
        duckdb.Error: the query failed, or a value does not fit its column.
    """
    home = target = folder / uuid.uuid4().hex  # COPY refuses a folder that holds files
    home.mkdir(parents=True)
    clauses = [
        "FORMAT parquet",
        f"COMPRESSION {options.compression}",
        f"ROW_GROUP_SIZE {_ROW_GROUP_ROWS}",
        "RETURN_STATS",
    ]
    if options.compression == "zstd":
        level = _ZSTD_LEVEL if options.compression_level is None else options.compression_level
        clauses.append(f"COMPRESSION_LEVEL {level}")
    if field_ids := field_ids_option(columns):
        clauses.append(field_ids)
    in_one_file = options.ordered and partition_by is None
    if in_one_file:
        target /= f"{uuid.uuid4()}.parquet"
    else:
        clauses.append("FILENAME_PATTERN '{uuid}'")
    if partition_by is not None:
        clauses += [
            f"PARTITION_BY ({identifier(partition_by)})",
            "WRITE_PARTITION_COLUMNS false",
            "HIVE_FILE_PATTERN false",
        ]
    elif not in_one_file:
        clauses.append(f"FILE_SIZE_BYTES {options.target_bytes}")
        if options.parallel:
            clauses.append("PER_THREAD_OUTPUT true")
    sql = f"COPY ({select}) TO {literal(str(target))} ({', '.join(clauses)})"
    try:
        rows = connection.execute(sql, list(parameters)).fetchall()
    except Exception:
        shutil.rmtree(home, ignore_errors=True)
        raise
    files = [
        WrittenFile(Path(name), int(count), int(size), int(keys[partition_by]) if partition_by else 0)
        for name, count, size, _, _, keys in rows
    ]
    for file in files:
        if file.rows == 0:
            file.path.unlink()
    return [file for file in files if file.rows]


def split_by_size(
    connection: DuckDBPyConnection,
    file: WrittenFile,
    columns: Sequence[Column],
    folder: Path,
    options: FileOptions,
) -> list[WrittenFile]:
    """Split a file that is larger than a file should be into files of about that size, one after the other.

    Rows keep their order where the connection is ordered. Each part is read by its row groups, so that the
    file is read once in all. A file that is less than half too large stays.

    Arguments: see ``copy_to_parquet``; ``file`` is removed where it was split.
    """
    count = round(file.bytes / options.target_bytes)
    if count < 2:
        return [file]
    size = math.ceil(file.rows / count)
    if size > _ROW_GROUP_ROWS:
        size = math.ceil(size / _ROW_GROUP_ROWS) * _ROW_GROUP_ROWS
    names = ", ".join(identifier(column.name) for column in columns)
    relation, number = numbered_rows(connection, [file.path])
    in_order = replace(options, ordered=True)
    parts: list[WrittenFile] = []
    for start in range(0, file.rows, size):
        within = f"{_POSITION} >= {start} AND {_POSITION} < {start + size}"
        select = f"SELECT {names} FROM (SELECT *, {number} AS {_POSITION} FROM {relation}) WHERE {within}"
        parts += copy_to_parquet(connection, select, columns, folder, in_order)
    file.path.unlink()
    return [replace(part, number=file.number, partition=file.partition) for part in parts]


def rows_of(
    connection: DuckDBPyConnection,
    inputs: Sequence[Path],
    columns: Sequence[Column],
    renames: Mapping[str, str | None] | None = None,
) -> str:
    """Return the query for the rows of Parquet files, united by column name, with ``columns``.

    A column that no input has becomes NULL.

    Arguments:
        connection: looks the inputs' columns up.
        inputs: the files.
        columns: what the query gives.
        renames: see ``projection``.
    """
    relation = parquet_rows(inputs)
    return f"SELECT {projection(columns, available_columns(connection, relation), renames)} FROM {relation}"


def order_by(order: Sequence[SortTerm]) -> str:
    """Return the ``ORDER BY`` of a sort order, or nothing."""
    return f" ORDER BY {', '.join(term.sql() for term in order)}" if order else ""


def parquet_rows(paths: Sequence[Path], *options: str, united: bool = True) -> str:
    """Return the relation of the rows of Parquet files.

    Arguments:
        paths: the files. What DuckDB takes for wildcards in a path is none here, and folders like
            ``v=null`` make no columns.
        options: further ones of ``read_parquet``, as ``file_row_number = true``.
        united: whether columns are united by name; else all files have the same.
    """
    options = (f"union_by_name = {str(united).lower()}", "hive_partitioning = false", *options)
    escaped = ", ".join(literal(_WILDCARDS.sub(r"[\1]", str(path))) for path in paths)
    return f"read_parquet({', '.join([f'[{escaped}]', *options])})"


def paths_literal(paths: Sequence[Path]) -> str:
    """Return a list of paths as SQL text, where a bound parameter is not allowed."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def numbered_rows(connection: DuckDBPyConnection, paths: Sequence[Path], *options: str) -> tuple[str, str]:
    """Return the relation of the rows of Parquet files, and the expression that numbers them in order.

    The numbers begin anew in each file, or go on over all of them.

    Arguments: see ``parquet_rows``.
    """
    plain = parquet_rows(paths, *options)
    if _ROW_NUMBER not in map(str.casefold, available_columns(connection, plain)):
        return parquet_rows(paths, *options, f"{_ROW_NUMBER} = true"), _ROW_NUMBER
    # DuckDB gives its own numbers no other name. Counting takes one thread, and rows in their order.
    connection.execute("SET preserve_insertion_order = true")
    return plain, "(row_number() OVER () - 1)"

"""Parquet files as one scan. Their types are known; files that do not agree on one are found beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan, SourceConfigurationError
from floe_ingest_sources._sql import boolean, call, literal, select_from
from floe_ingest_sources.filesystem.files import duckdb_path, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from floe_ingest_sources.filesystem.config import ReaderOptions
    from floe_ingest_sources.filesystem.files import FileGroup


def scan_parquet(group: FileGroup, reader: ReaderOptions, file_column: str | None = None) -> BulkScan:
    """Return the scan over the files of a group; columns are matched by name.

    Arguments:
        group: the files.
        reader: options of the reader.
        file_column: the column that shall tell each row's file; None for none.

    Raises:
        SourceConfigurationError: a file is no Parquet, or two files have a column with types that no
            common type holds exactly.
        SourceConnectionError: a file cannot be read.
    """
    columns_of(group)
    if file_column is None and not reader.binary_as_string:
        return BulkScan.of_parquet([str(file) for file in group.files], origin=group.origin)
    read = call(
        "read_parquet",
        union_by_name="true",
        filename=literal(file_column) if file_column else "false",
        hive_partitioning="false",
        binary_as_string=boolean(reader.binary_as_string),
    )
    return BulkScan(
        select_from(["*"], read), ([duckdb_path(file) for file in group.files],), origin=group.origin
    )


def columns_of(group: FileGroup) -> tuple[tuple[str, ...], int]:
    """Return the names of all columns and the number of rows, from the files' footers.

    Raises:
        SourceConfigurationError, SourceConnectionError: see ``scan_parquet``.
    """
    seen: dict[str, tuple[str, Any, Path]] = {}
    rows = 0
    for file in group.files:
        schema, count = _footer(file, group.shown(file))
        rows += count
        for field in schema:
            name, kind, where = seen.setdefault(field.name.casefold(), (field.name, field.type, file))
            if where is file and name == field.name:
                continue
            if name != field.name:
                raise SourceConfigurationError(
                    f"{group.shown(where)} has a column {name!r} and {group.shown(file)} has {field.name!r}; "
                    f"letter case must be the same"
                )
            if not _compatible(kind, field.type):
                raise SourceConfigurationError(
                    f"Column {name!r} is {kind} in {group.shown(where)} and {field.type} in "
                    f"{group.shown(file)}; no type holds both exactly. "
                    f"Read them as two resources, or write one of them anew"
                )
    return tuple(name for name, _, _ in seen.values()), rows


def _footer(file: Path, shown: str) -> tuple[pa.Schema, int]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as opened:
            return opened.schema_arrow, opened.metadata.num_rows
    except pa.ArrowInvalid as error:
        raise SourceConfigurationError(f"{shown} is not a whole Parquet file: {error}") from error
    except OSError as error:
        raise unreadable(shown, error) from error


def _compatible(one: Any, other: Any) -> bool:
    """Tell whether DuckDB's common type of both holds every value of each."""
    from pyarrow import types

    if one.equals(other) or types.is_null(one) or types.is_null(other):
        return True
    alike = (types.is_signed_integer, types.is_unsigned_integer, types.is_floating, _is_text, _is_bytes)
    if any(check(one) and check(other) for check in alike):
        return True
    return bool(types.is_timestamp(one) and types.is_timestamp(other) and bool(one.tz) == bool(other.tz))


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))

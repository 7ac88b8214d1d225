"""Tells versions of rows apart by a hash of their values, as ``scd2`` needs where rows stay columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from floe_ingest.dataplane.columns import identifier, literal
from floe_ingest.dataplane.connection import DataPlaneSettings, connect

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa


def row_version(columns: Iterable[str]) -> str:
    """Return the SQL expression of a row's version: 32 hexadecimal digits of all its values.

    A NULL counts as if the column were not there, so that a new column without values makes no new
    versions. Each value stands behind its column's name and its own length: no two rows have one text.

    Arguments:
        columns: names of the row's columns, in any order.
    """
    parts = []
    for name in sorted(columns):
        text = f"CAST({identifier(name)} AS VARCHAR)"
        parts.append(f"{literal(f'{name}:')} || strlen({text}) || ':' || {text}")
    return f"md5(concat_ws('', {', '.join(parts)}))"


def with_row_versions(table: pa.Table, column: str) -> pa.Table:
    """Return an Arrow table with the version of each row in a further column.

    Arguments:
        table: under the names that its columns have in the target.
        column: the further column's name.
    """
    with connect(DataPlaneSettings(), ordered=True) as connection:
        connection.register("item", table)
        versions = connection.execute(f"SELECT {row_version(table.column_names)} FROM item").to_arrow_table()
    return table.append_column(column, versions.column(0))

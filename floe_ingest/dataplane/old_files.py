"""Reads the data files of a table by DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.columns import identifier, literal
from floe_ingest.dataplane.copy import available_columns, parquet_rows, projection

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from floe_ingest.dataplane.columns import Column

_PATH = "__floe_path"  # a table may have a column called filename


@dataclass(frozen=True, slots=True)
class OldFiles:
    """Data files of a table.

    Arguments:
        by_name: local paths of files whose columns have the table's names; quickest to read.
        by_id: local paths of files written before a column got its present name: read by field id.
    """

    by_name: tuple[Path, ...] = ()
    by_id: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_name or self.by_id)

    def only(self, paths: Collection[Path]) -> OldFiles:
        """Return those of these files that are among ``paths``."""
        wanted = set(paths)
        return OldFiles(
            tuple(path for path in self.by_name if path in wanted),
            tuple(path for path in self.by_id if path in wanted),
        )

    def query(
        self, connection: DuckDBPyConnection, columns: Sequence[Column], file_as: str | None = None
    ) -> str:
        """Return the query for the rows of these files; there is at least one.

        Arguments:
            connection: looks the files' columns up.
            columns: the table's, or some of them.
            file_as: a further column that holds the path of each row's file; None for none.
        """
        options = (f"filename = '{_PATH}'",) if file_as else ()
        file = f", {_PATH} AS {identifier(file_as)}" if file_as else ""
        parts = []
        if self.by_name:
            relation = parquet_rows(self.by_name, *options)
            values = projection(columns, available_columns(connection, relation))
            parts.append(f"SELECT {values}{file} FROM {relation}")
        if self.by_id:
            fields = ", ".join(
                f"{column.field_id.id}: {{name: {literal(column.name)}, type: {literal(column.type)}, "
                f"default_value: NULL}}"
                for column in columns
                if column.field_id is not None
            )
            relation = parquet_rows(self.by_id, f"schema = MAP {{{fields}}}", *options, united=False)
            names = ", ".join(identifier(column.name) for column in columns)
            parts.append(f"SELECT {names}{file} FROM {relation}")
        return " UNION ALL ".join(parts)


@dataclass(frozen=True, slots=True)
class RowsFrom:
    """The rows of a table from a value of one column on.

    Arguments:
        files: those that may hold such rows.
        columns: what is read of each row.
        column: the one that is compared; it need not be among ``columns``.
        start: the first value; None for none.
        greater: whether greater values follow, or smaller ones.
        nulls: whether rows without a value are among them.
    """

    files: OldFiles
    columns: tuple[Column, ...]
    column: Column
    start: Any
    greater: bool
    nulls: bool

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def query(self, connection: DuckDBPyConnection) -> tuple[str, list[Any]]:
        """Return the query for these rows, with its parameters."""
        listed = ", ".join(identifier(name) for name in self.names)
        known = {column.name: column for column in (*self.columns, self.column)}
        name = identifier(self.column.name)
        wanted, values = [], []
        if self.start is not None:
            wanted.append(f"{name} {'>=' if self.greater else '<='} CAST(? AS {self.column.type})")
            values.append(self.start)
        if self.nulls:
            wanted.append(f"{name} IS NULL")
        rows = self.files.query(connection, tuple(known.values()))
        return f"SELECT {listed} FROM ({rows}) AS rows WHERE {' OR '.join(wanted) or 'false'}", values

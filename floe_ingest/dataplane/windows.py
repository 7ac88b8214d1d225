"""Keeps a query to the window of a cursor, and leaves out rows that the table holds already."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.columns import identifier, literal
from floe_ingest.dataplane.connection import connect
from floe_ingest.dataplane.copy import parquet_rows
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from floe_ingest.dataplane.connection import DataPlaneSettings
    from floe_ingest.dataplane.old_files import RowsFrom
    from floe_ingest.dataplane.scan import OpenScan
    from floe_ingest_hookspecs import CursorWindow

_ITEM = "floe_item"
_NUMBER = "floe_number"


@dataclass(frozen=True, slots=True)
class Window:
    """A window over a query's column.

    Arguments:
        asked: from where to where.
        kind: the DuckDB type in which the column lands.
        last: the last value of the loads before; rows up to it may be in the table already.
        origin: what is read, for messages.
    """

    asked: CursorWindow
    kind: str
    last: Any = None
    origin: str = "the source"

    @property
    def column(self) -> str:
        """The column, as SQL."""
        return f"CAST({identifier(self.asked.column)} AS {self.kind})"

    def condition(self, *, strict: bool) -> tuple[str, list[Any]]:
        """Return the condition on a row, with its parameters.

        Arguments:
            strict: whether a row without a value stops the query, where it must not be. Such a condition
                cannot be pushed into a reader.
        """
        bounds = self.asked.bounds()
        within = " AND ".join(f"{self.column} {operator} CAST(? AS {self.kind})" for operator, _ in bounds)
        values = [value for _, value in bounds]
        missing = f"{self.column} IS NULL"
        if self.asked.nulls == "include":
            return (f"({within}) OR {missing}" if within else "true"), values
        if self.asked.nulls == "raise" and strict:
            stop = f"error({literal(self.without_value())})"
            return f"CASE WHEN {missing} THEN {stop} ELSE {within or 'true'} END", values
        return within or f"NOT ({missing})", values

    def may_be_seen(self) -> tuple[str, list[Any]]:
        """Return the condition on a row that the table may hold already, with its parameters."""
        operator = "<=" if self.asked.order == "asc" else ">="
        within = f"{self.column} {operator} CAST(? AS {self.kind})"
        return f"coalesce({within}, {self.column} IS NULL)", [self.last]

    def without_value(self) -> str:
        """Return what to say of a row without a value where there must be none."""
        return (
            f"Column {self.asked.column} of {self.origin} is the cursor_field, and has rows without a value. "
            f"Choose cursor: {{nulls: include}} or {{nulls: exclude}}, or another cursor_field"
        )


def narrowed(opened: OpenScan, window: Window) -> OpenScan:
    """Return an open scan that keeps to a window."""
    strict = True
    once = opened.scan.windowed or opened.scan.batches is not None
    if window.asked.nulls == "raise" and window.asked.bounds() and not once:
        # Asked apart, the bounds alone remain, and a Parquet reader passes over what is out of them.
        condition = f"SELECT * FROM ({opened.scan.select}) AS scan WHERE {window.column} IS NULL LIMIT 1"
        if opened.connection.execute(condition, list(opened.scan.parameters)).fetchall():
            raise SchemaError(window.without_value())
        strict = False
    condition, values = window.condition(strict=strict)
    select = f"SELECT * FROM ({opened.scan.select}) AS scan WHERE {condition}"
    return _over(opened, select, [*opened.scan.parameters, *values])


def unseen(opened: OpenScan, window: Window, seen: RowsFrom, origins: Mapping[str, str]) -> OpenScan:
    """Return an open scan without the rows that the table holds already.

    Two rows are one where all columns are equal that the table has; of several equal ones, as many are left
    out as the table holds.

    Arguments:
        opened: within the window.
        window: says which rows can be there.
        seen: those rows of the table.
        origins: the scan's column by each column of ``seen``.
    """
    rows, bounds = seen.query(opened.connection)
    pairs = [(identifier(name), _as_landed(opened, origins[name])) for name in seen.names]
    names = ", ".join(name for name, _ in pairs)
    values = ", ".join(value for _, value in pairs)
    equal = " AND ".join(
        f"seen.{name} IS NOT DISTINCT FROM {_as_landed(opened, origins[column], 'numbered.')}"
        for column, (name, _) in zip(seen.names, pairs, strict=True)
    )
    old, last = window.may_be_seen()
    select = (
        f"WITH found AS MATERIALIZED ({opened.scan.select}), "
        f"seen AS (SELECT {names}, count(*) AS floe_count FROM ({rows}) AS rows GROUP BY ALL), "
        f"numbered AS (SELECT *, row_number() OVER (PARTITION BY {values}) AS {_NUMBER} "
        f"FROM found WHERE {old}) "
        f"SELECT numbered.* EXCLUDE ({_NUMBER}) FROM numbered LEFT JOIN seen ON {equal} "
        f"WHERE coalesce({_NUMBER} > seen.floe_count, true) "
        f"UNION ALL SELECT * FROM found WHERE NOT {old}"
    )
    return _over(opened, select, [*opened.scan.parameters, *bounds, *last, *last])


def extreme(opened: OpenScan, files: Sequence[Path], column: str, *, greatest: bool) -> Any:
    """Return the greatest or the least value of a column in data files; None where it has none.

    Raises:
        SchemaError: it is NaN, beyond which nothing would ever be new.
    """
    function = "max" if greatest else "min"
    name = identifier(column)
    query = f"SELECT {function}({name}) FROM {parquet_rows(files, united=False)}"
    row = opened.connection.execute(query).fetchone()
    value = row[0] if row else None
    if isinstance(value, float) and value != value:  # noqa: PLR0124 (NaN alone differs from itself)
        raise SchemaError(f"Column {column!r} is the cursor_field, and holds NaN. Leave such rows out.")
    return value


def _as_landed(opened: OpenScan, column: str, relation: str = "") -> str:
    return f"CAST({relation}{identifier(column)} AS {opened.types[column]})"


def _over(opened: OpenScan, select: str, parameters: Sequence[Any]) -> OpenScan:
    return replace(opened, scan=replace(opened.scan, select=select, parameters=tuple(parameters)))


class ArrowWindow:
    """Keeps Arrow tables that come one after another to a window, without the rows that are there already.

    Arguments:
        window: over a column of the tables.
        last: the last value of the loads before.
        seen: rows of the table that may come again.
        settings: see ``connect``.
    """

    def __init__(
        self, window: CursorWindow, last: Any, seen: SeenCounts | None, settings: DataPlaneSettings
    ) -> None:
        self._asked = window
        self._last = last
        self._seen = seen
        self._settings = settings

    def keep(self, item: pa.Table, origin: str) -> tuple[pa.Table, Any]:
        """Return the rows of a table that are new, and their last cursor value.

        Raises:
            SchemaError: a row has no cursor value, and has to have one.
        """
        with connect(self._settings, ordered=True) as connection:
            connection.register(_ITEM, item)
            types = _types_of(connection)
            window = Window(self._asked, types[self._asked.column], self._last, origin)
            condition, values = window.condition(strict=True)
            rows = f"(SELECT *, row_number() OVER () - 1 AS {_NUMBER} FROM {_ITEM})"
            query = f"SELECT {_NUMBER} FROM {rows} AS numbered WHERE ({condition})"
            if self._seen is not None and self._seen.find(connection, window, types):
                query += f" AND {_NUMBER} NOT IN (SELECT {_NUMBER} FROM known)"
            kept = connection.execute(f"{query} ORDER BY ALL", values).to_arrow_table()
            taken = item if kept.num_rows == item.num_rows else item.take(kept.column(0))
            connection.unregister(_ITEM)
            connection.register(_ITEM, taken)
            function = "max" if self._asked.order == "asc" else "min"
            row = connection.execute(f"SELECT {function}({identifier(self._asked.column)}) FROM {_ITEM}")
            return taken, (row.fetchone() or (None,))[0]


class SeenCounts:
    """How often the table holds each row that may come again, less those that came; on the disk.

    Arguments:
        rows: those of the table.
        origins: the source's column by each of theirs.
        folder: where the counts are kept.
    """

    def __init__(self, rows: RowsFrom, origins: Mapping[str, str], folder: Path) -> None:
        self._rows = rows
        self._origins = origins
        self._folder = folder
        self._counts: Path | None = None
        self._used: list[Path] = []

    def find(self, connection: DuckDBPyConnection, window: Window, types: Mapping[str, str]) -> bool:
        """Make the table ``known`` of the numbers of rows that are there; what they match is used up.

        Arguments:
            connection: has the rows as a relation.
            window: says which of them can be there.
            types: the columns of the rows.

        Returns:
            Whether any can be there; else there is no such table.
        """
        old, last = window.may_be_seen()
        if not connection.execute(f"SELECT 1 FROM {_ITEM} WHERE {old} LIMIT 1", last).fetchall():
            return False
        counts = self._count(connection)
        pairs = [(name, self._origins[name]) for name in self._rows.names]
        values = [identifier(origin) if origin in types else "NULL" for _, origin in pairs]
        named = ", ".join(
            f"{value} AS {identifier(name)}" for (name, _), value in zip(pairs, values, strict=True)
        )
        listed = ", ".join(identifier(name) for name in self._rows.names)
        equal = " AND ".join(
            f"seen.{name} IS NOT DISTINCT FROM numbered.{name}" for name in map(identifier, self._rows.names)
        )
        used = "SELECT NULL AS floe_row, 0 AS floe_used WHERE false"
        if self._used:
            parts = parquet_rows(self._used, united=False)
            used = f"SELECT floe_row, sum(floe_used) AS floe_used FROM {parts} GROUP BY ALL"
        connection.execute(
            f"CREATE TEMP TABLE known AS "
            f"WITH rows AS (SELECT *, row_number() OVER () - 1 AS {_NUMBER} FROM {_ITEM}), "
            f"old AS (SELECT {named}, {_NUMBER} FROM rows WHERE {old}), "
            f"numbered AS (SELECT *, row_number() OVER (PARTITION BY {listed} ORDER BY {_NUMBER}) "
            f"AS floe_nth FROM old), "
            f"used AS ({used}) "
            f"SELECT numbered.{_NUMBER}, seen.floe_row FROM numbered "
            f"JOIN {parquet_rows([counts])} AS seen ON {equal} LEFT JOIN used USING (floe_row) "
            f"WHERE floe_nth <= seen.floe_count - coalesce(floe_used, 0)",
            last,
        )
        used_up = "SELECT floe_row, count(*) AS floe_used FROM known GROUP BY ALL"
        self._used.append(self._write(connection, used_up, []))
        return True

    def _count(self, connection: DuckDBPyConnection) -> Path:
        if self._counts is None:
            rows, bounds = self._rows.query(connection)
            counted = f"SELECT *, count(*) AS floe_count FROM ({rows}) AS rows GROUP BY ALL"
            numbered = f"SELECT *, row_number() OVER () AS floe_row FROM ({counted}) AS counted"
            self._counts = self._write(connection, numbered, bounds)
        return self._counts

    def _write(self, connection: DuckDBPyConnection, query: str, parameters: Sequence[Any]) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid.uuid4().hex}.parquet"
        connection.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet)", list(parameters))
        return path


def _types_of(connection: DuckDBPyConnection) -> dict[str, str]:
    found = connection.execute(f"SELECT * FROM {_ITEM} LIMIT 0").description or ()
    return {str(name): str(kind) for name, kind, *_ in found}

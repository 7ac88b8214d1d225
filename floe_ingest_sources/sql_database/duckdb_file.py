"""Reflects DuckDB's own database files, which DuckDB attaches read-only: no SQLAlchemy, no driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan, scan_batches
from floe_ingest_sources._sql import identifier
from floe_ingest_sources.sql_database.relation import Relation, missing_schema, missing_table
from floe_ingest_sources.sql_database.types import ColumnPlan, quoted
from floe_ingest_sources.sql_database.urls import ATTACHED

if TYPE_CHECKING:
    from floe_ingest_sources.sql_database.urls import Database

_TABLES = "SELECT table_name AS name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?"
_VIEWS = "SELECT view_name AS name FROM duckdb_views() WHERE database_name = ? AND schema_name = ?"
_SCHEMAS = (
    "SELECT schema_name AS name FROM duckdb_schemas() "
    "WHERE database_name = ? AND schema_name NOT IN ('information_schema', 'pg_catalog')"
)
_COLUMNS = (
    "SELECT column_name AS name, comment FROM duckdb_columns() "
    "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index"
)
_KEY = (
    "SELECT unnest(constraint_column_names) AS name FROM duckdb_constraints() "
    "WHERE database_name = ? AND schema_name = ? AND table_name = ? AND constraint_type = 'PRIMARY KEY'"
)
_SIZE = (
    "SELECT estimated_size AS rows FROM duckdb_tables() "
    "WHERE database_name = ? AND schema_name = ? AND table_name = ?"
)


class DuckDBFile:
    """A database file, asked by one scan after another; none of them stays open."""

    def __init__(self, database: Database) -> None:
        self._attach = (database.attachment(),)
        self._origin = database.label

    def rows(self, select: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a query.

        Raises:
            SourceConnectionError: the file cannot be opened.
            SourceConfigurationError: the query is wrong.
        """
        scan = BulkScan(select, parameters, attach=self._attach, origin=self._origin)
        return [row for batch in scan_batches(scan) for row in batch.to_pylist()]

    def columns(self, select: str) -> tuple[str, ...]:
        """Return the columns of a query; it gives no row. Raises: as ``rows``."""
        described = self.rows(" ".join(["SELECT column_name FROM (DESCRIBE", select, ")"]))
        return tuple(row["column_name"] for row in described)


def table_names(file: DuckDBFile, database: Database, schema: str | None, *, views: bool) -> list[str]:
    """Return the tables of a schema, and its views if wished.

    Raises:
        SourceConfigurationError: there is no such schema.
    """
    home = schema or "main"
    known = [row["name"] for row in file.rows(_SCHEMAS, ATTACHED)]
    if home not in known:
        raise missing_schema(home, known, database.label)
    found = [row["name"] for row in file.rows(f"{_TABLES} ORDER BY 1", ATTACHED, home)]
    if views:
        found += [row["name"] for row in file.rows(f"{_VIEWS} ORDER BY 1", ATTACHED, home)]
    return found


def reflect_table(file: DuckDBFile, database: Database, schema: str | None, name: str) -> Relation:
    """Return a table or view, reflected.

    Raises:
        SourceConfigurationError: it does not exist.
    """
    names = table_names(file, database, schema, views=True)
    if name not in names:
        raise missing_table(name, names, database.label)
    where = (ATTACHED, schema or "main", name)
    columns = file.rows(_COLUMNS, *where)
    sizes = file.rows(_SIZE, *where)
    return Relation(
        name,
        f"table {name}",
        quoted(*where),
        tuple(_plan(row["name"]) for row in columns),
        tuple(row["name"] for row in file.rows(_KEY, *where)),
        comments={row["name"]: row["comment"] or "" for row in columns},
        estimated_rows=int(sizes[0]["rows"]) if sizes else None,
    )


def reflect_query(file: DuckDBFile, query: str, name: str) -> Relation:
    """Return a query, reflected: DuckDB plans it, and runs nothing of it."""
    # The line break ends a comment at the query's end.
    source = f"({query.rstrip().rstrip(';')}\n) AS query"
    names = file.columns(" ".join(["SELECT * FROM", source]))
    return Relation(name, "the query", source, tuple(_plan(column) for column in names))


def try_condition(file: DuckDBFile, relation: Relation) -> None:
    """Let DuckDB plan the relation's SELECT with its condition; it runs nothing of it."""
    file.columns(relation.sent())


def scan(database: Database, relation: Relation, threads: int | None) -> BulkScan:
    """Return the scan of a relation. Its types are DuckDB's own, which the engine knows."""
    origin = f"{relation.origin} of {database.label}"
    return BulkScan(relation.sent(), attach=(database.attachment(),), threads=threads, origin=origin)


def _plan(name: str) -> ColumnPlan:
    column = identifier(name)
    return ColumnPlan(name, "", column, column, column)

"""Reflects MariaDB and MySQL: how each column travels, so that no value is changed on its way.

DuckDB's own reading of a table turns TINYINT(1) into a boolean, DECIMAL beyond 38 digits into a double and a
zero date into NULL, and the text protocol of the Python drivers cuts FLOAT to six digits. So every table is
read by a query of ours, whose columns are types that each reader has, or text that is cast strictly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest_sources._sql import guarded, identifier
from floe_ingest_sources._sql import literal as text_literal
from floe_ingest_sources.sql_database import generic
from floe_ingest_sources.sql_database.relation import Relation, missing_table
from floe_ingest_sources.sql_database.types import ColumnPlan
from floe_ingest_sources.sql_database.windows import cursor_plan, typed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from floe_ingest import CursorWindow
    from floe_ingest_sources.sql_database.urls import Database

_COLUMNS = """
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, COLLATION_NAME, COLUMN_COMMENT
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = coalesce(:schema, DATABASE()) AND TABLE_NAME = :name ORDER BY ORDINAL_POSITION
"""
_KEY = """
SELECT COLUMN_NAME FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = coalesce(:schema, DATABASE()) AND TABLE_NAME = :name AND INDEX_NAME = 'PRIMARY'
ORDER BY SEQ_IN_INDEX
"""
_ROWS = """
SELECT TABLE_ROWS, ENGINE FROM information_schema.TABLES
WHERE TABLE_SCHEMA = coalesce(:schema, DATABASE()) AND TABLE_NAME = :name
"""
_INTEGERS = {
    "tinyint": "INTEGER",
    "smallint": "INTEGER",
    "mediumint": "INTEGER",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "year": "INTEGER",
}
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_SHAPES = frozenset(
    {
        "geometry",
        "point",
        "linestring",
        "polygon",
        "multipoint",
        "multilinestring",
        "multipolygon",
        "geometrycollection",
        "geomcollection",
    }
)
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_MOST_DIGITS = 38
_INT64_DIGITS = 18


def table_names(connection: Connection, database: Database, schema: str | None, *, views: bool) -> list[str]:
    """Return the tables of a database, and its views if wished.

    Raises:
        SourceConfigurationError: there is no such schema, as a database is called here.
    """
    return generic.table_names(connection, database, schema, views=views)


def reflect_table(connection: Connection, database: Database, schema: str | None, name: str) -> Relation:
    """Return a table or view, reflected.

    Raises:
        SourceConfigurationError: it does not exist.
    """
    import sqlalchemy

    names = table_names(connection, database, schema, views=True)
    if name not in names:
        raise missing_table(name, names, database.label)
    asked = {"schema": schema, "name": name}
    columns = list(connection.execute(sqlalchemy.text(_COLUMNS), asked))
    plans = tuple(
        mysql_plan(name, str(base), str(display), precision, scale, collation)
        for name, base, display, precision, scale, collation, _ in columns
    )
    key = [row[0] for row in connection.execute(sqlalchemy.text(_KEY), asked)]
    rows, engine = connection.execute(sqlalchemy.text(_ROWS), asked).one()
    return Relation(
        name,
        f"table {name}",
        ".".join(column_name(part) for part in (schema, name) if part is not None),
        plans,
        tuple(key),
        comments={column[0]: column[6] or "" for column in columns},
        estimated_rows=None if rows is None else int(rows),
        bounded=_bounded(connection, database.statement_timeout),
        unshared="" if engine == "InnoDB" else "only a table of InnoDB has consistent snapshots",
    )


def try_condition(connection: Connection, relation: Relation) -> None:
    """Let the database plan the relation's SELECT with its condition; it gives no row."""
    # Without parameters at all: the drivers take a percent sign for one otherwise.
    plain = connection.execution_options(no_parameters=True)
    plain.exec_driver_sql(relation.sent(bare=True)).close()


def condition(connection: Connection, relation: Relation, window: CursorWindow) -> str | None:
    """Return the condition of a cursor's window, values rendered by SQLAlchemy; None where all is read.

    Text is left to the engine, which compares bytes: a collation may order it otherwise.
    """
    plan = cursor_plan(relation, window)
    if plan.kind in ("VARCHAR", "BLOB"):
        return None
    name = column_name(plan.name)
    within = " AND ".join(
        f"{name} {operator} {literal(connection, typed(value, plan.kind))}"
        for operator, value in window.bounds()
    )
    if not within:
        return None
    return within if window.nulls == "exclude" else f"({within}) OR {name} IS NULL"


def estimated(connection: Connection, query: str) -> int:
    """Return about how many rows a query looks at, as the database plans it; it runs nothing of it."""
    plain = connection.execution_options(no_parameters=True)
    return max(int(row.rows or 0) for row in plain.exec_driver_sql(f"EXPLAIN {query}"))


def mysql_plan(
    name: str,
    base: str,
    display: str,
    precision: Any = None,
    scale: Any = None,
    collation: str | None = None,
) -> ColumnPlan:
    """Return the plan of a column.

    Arguments:
        name: the column's name.
        base: its type without more, such as ``int``.
        display: its type in full, such as ``int(10) unsigned``.
        precision, scale: of a decimal.
        collation: of text.
    """
    column = column_name(name)
    word = base.lower()
    if word in _INTEGERS:
        if "unsigned" not in display.lower():
            return _plan(name, _INTEGERS[word], f"CAST({column} AS SIGNED)")
        kind = {"int": "BIGINT", "bigint": "DECIMAL(20,0)"}.get(word, "INTEGER")
        return _plan(name, kind, f"CAST({column} AS UNSIGNED)")
    if word == "bit":
        kind = "BOOLEAN" if precision in (None, 1) else "BIGINT"
        return _plan(name, "DECIMAL(20,0)" if precision == 64 else kind, f"CAST({column} AS UNSIGNED)")
    if word in ("float", "double"):
        return _plan(name, word.upper(), f"({column} + 0e0)")
    if word == "decimal":
        kind = f"DECIMAL({min(int(precision), _MOST_DIGITS)},{int(scale or 0)})"
        # The text has as many digits after the point as the type, so that none is rounded.
        problem = f"has a value that {kind} cannot hold exactly. Read it as text by a query"
        digits = (
            f"CAST({column} * 1{'0' * int(scale or 0)} AS SIGNED)" if int(precision) <= _INT64_DIGITS else ""
        )
        cast = _cast(name, kind, identifier(name), problem)
        return _plan(name, kind, f"CAST({column} AS CHAR)", cast, digits)
    if word in ("date", "datetime", "timestamp", "time"):
        return _of_time(name, word, column)
    if word in _BYTES:
        return _plan(name, "BLOB", column)
    if word in _SHAPES:
        return _plan(name, "VARCHAR", f"ST_AsText({column})")
    if word in _TEXTS and collation is not None and not collation.endswith("_bin"):
        # A binary collation makes drivers take text for bytes.
        return _plan(name, "VARCHAR", f"CAST({column} AS CHAR)", compact=column)
    return _plan(name, "VARCHAR", f"CAST({column} AS CHAR)")


def _of_time(name: str, word: str, column: str) -> ColumnPlan:
    """Return the plan of a date or time. As text, since a zero date would arrive as NULL otherwise."""
    text = f"CAST({column} AS CHAR)"
    received = identifier(name)
    if word == "time":
        message = f"Column {name!r} holds a time that is no time of day, which Iceberg cannot hold. "
        inside = f"{received} IS NULL OR regexp_full_match({received}, '([01]\\d|2[0-3]):.*')"
        cast = guarded(
            f"CAST({received} AS TIME)", inside, f"{message}Read it as text by a query: ", received
        )
        return _plan(name, "TIME", text, cast)
    kind = {"date": "DATE", "datetime": "TIMESTAMP", "timestamp": "TIMESTAMPTZ"}[word]
    if word == "timestamp":
        # The connections of all readers have the time zone UTC.
        text = f"CONCAT(CAST({column} AS CHAR), '+00:00')"
    problem = (
        "holds a date that does not exist, which Iceberg cannot hold. Replace it in a query, such as "
        "NULLIF(column, 0)"
    )
    # The year 0 would become one before Christ.
    real = f"CASE WHEN {received} NOT LIKE '0000-%' THEN {received} END"
    # As a number, a date that does not exist is still to be seen; and numbers are quicker than text.
    return _plan(
        name, kind, text, _cast(name, kind, real, problem), f"({column} + 0)" if word == "date" else ""
    )


def _cast(name: str, kind: str, text: str, problem: str) -> str:
    """Return ``text`` as ``kind``; what is no such value stops the query with the problem."""
    received = identifier(name)
    message = text_literal(f"Column {name!r} {problem}. The value: ")
    failed = f"CASE WHEN {received} IS NOT NULL THEN error({message} || {received}) END"
    return f"coalesce(TRY_CAST({text} AS {kind}), {failed})"


def _plan(name: str, kind: str, sent: str, received: str | None = None, compact: str = "") -> ColumnPlan:
    column = identifier(name)
    value = f"{received or f'CAST({column} AS {kind})'} AS {column}"
    quick = f"{compact} AS {column_name(name)}" if compact else ""
    return ColumnPlan(name, kind, value, f"{sent} AS {column_name(name)}", value, compact=quick)


def literal(connection: Connection, value: Any) -> str:
    """Return a value as SQL text, rendered by SQLAlchemy."""
    import sqlalchemy

    if getattr(value, "tzinfo", None) is not None:
        from datetime import UTC

        value = value.astimezone(UTC).replace(tzinfo=None)
    expression: Any = sqlalchemy.literal(value)
    return str(expression.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))


def _bounded(connection: Connection, seconds: int | None) -> str | None:
    """Return what bounds the time of one statement; None where only the session can."""
    if seconds is None:
        return ""
    mariadb = getattr(connection.dialect, "is_mariadb", False)
    return f"SET STATEMENT max_statement_time={seconds:d} FOR " if mariadb else None


def column_name(name: str) -> str:
    """Return a name, quoted."""
    return "`" + name.replace("`", "``") + "`"

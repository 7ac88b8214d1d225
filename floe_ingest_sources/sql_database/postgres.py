"""Reflects PostgreSQL: tables and queries with the exact type of each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest_sources.sql_database.relation import Relation, missing_schema, missing_table
from floe_ingest_sources.sql_database.types import postgres_plan, quoted
from floe_ingest_sources.sql_database.urls import ATTACHED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from floe_ingest_sources.sql_database.urls import Database

_DETAILS = """
SELECT c.relkind::text, c.relhassubclass, c.reltuples::bigint,
       array(SELECT a.attname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'd')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
"""
_ENUMS = "SELECT oid::bigint FROM pg_type WHERE typtype = 'e' AND oid = ANY(%(oids)s)"


def table_names(connection: Connection, database: Database, schema: str | None, *, views: bool) -> list[str]:
    """Return the tables of a schema, and its views if wished.

    Raises:
        SourceConfigurationError: there is no such schema.
    """
    import sqlalchemy

    inspector = sqlalchemy.inspect(connection)
    if schema is not None and schema not in (known := inspector.get_schema_names()):
        raise missing_schema(schema, known, database.label)
    names = list(inspector.get_table_names(schema))
    if views:
        names += inspector.get_view_names(schema)
        names += inspector.get_materialized_view_names(schema)
    return names


def reflect_table(connection: Connection, database: Database, schema: str | None, name: str) -> Relation:
    """Return a table or view, reflected.

    Raises:
        SourceConfigurationError: it does not exist.
    """
    import sqlalchemy

    inspector = sqlalchemy.inspect(connection)
    home = schema or inspector.default_schema_name or "public"
    names = table_names(connection, database, schema, views=True)
    if name not in names:
        raise missing_table(name, names, f"schema {home} of {database.label}")
    kind, inherited, rows, domains = _details(connection, home, name)
    source = quoted(home, name)
    indirect = []
    if kind not in ("r", "m") or inherited:
        indirect.append("it is not a plain table, whose pages DuckDB could share out")
    if sum(other.casefold() == name.casefold() for other in names) > 1:
        indirect.append("another table's name differs in letter case alone")
    plans = _plans(connection, " ".join(["SELECT * FROM", source, "LIMIT 0"]), domains)
    key = inspector.get_pk_constraint(name, schema).get("constrained_columns") or ()
    return Relation(
        name,
        f"table {name}",
        source,
        plans,
        tuple(key),
        scanned=quoted(ATTACHED, home, name),
        indirect=tuple(indirect),
        comments={
            column["name"]: column.get("comment") or "" for column in inspector.get_columns(name, schema)
        },
        estimated_rows=rows if rows >= 0 else None,
        unshared="a foreign table is read by transactions of its own" if kind == "f" else "",
    )


def reflect_query(connection: Connection, query: str, name: str) -> Relation:
    """Return a query, reflected: the database plans it, and runs nothing of it."""
    # The line break ends a comment at the query's end.
    source = f"({query.rstrip().rstrip(';')}\n) AS query"
    plans = _plans(connection, " ".join(["SELECT * FROM", source, "LIMIT 0"]), ())
    return Relation(
        name, "the query", source, plans, indirect=("a query is run by the database",), unshared=""
    )


def bound(connection: Connection, seconds: int) -> None:
    """Let no statement of this connection run longer than that."""
    connection.exec_driver_sql(f"SET statement_timeout = {seconds * 1000}")


def column_name(name: str) -> str:
    """Return a name, quoted."""
    return quoted(name)


def literal(connection: Connection, value: Any) -> str:
    """Return a value as SQL text, quoted by the driver."""
    from psycopg import sql

    driver: Any = connection.connection.driver_connection
    return sql.Literal(value).as_string(driver)


def estimated(connection: Connection, query: str) -> int:
    """Return about how many rows a query gives, as the database plans it; it runs nothing of it."""
    plain = connection.execution_options(no_parameters=True)
    (plan,) = plain.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {query}").scalar_one()
    return int(plan["Plan"]["Plan Rows"])


def try_condition(connection: Connection, relation: Relation) -> None:
    """Let the database plan the relation's SELECT with its condition; it runs nothing of it."""
    _described(connection, relation.sent(bare=True))


def _plans(connection: Connection, sql: str, domains: tuple[str, ...]) -> tuple[Any, ...]:
    described = _described(connection, sql)
    unknown = [column.type_code for column in described if column.type_display.isdigit()]
    enums = {row[0] for row in _rows(connection, _ENUMS, {"oids": unknown})} if unknown else set()
    return tuple(
        postgres_plan(
            column.name,
            column.type_display,
            is_enum=column.type_code in enums,
            is_domain=column.name in domains,
        )
        for column in described
    )


def _details(connection: Connection, schema: str, name: str) -> tuple[str, bool, int, tuple[str, ...]]:
    ((kind, inherited, rows, domains),) = _rows(connection, _DETAILS, {"schema": schema, "name": name})
    return kind, inherited, rows, tuple(domains)


def _described(connection: Connection, sql: str) -> list[Any]:
    """Return psycopg's description of a result: it has the types that SQLAlchemy does not tell of a query.

    The driver's own cursor is used, since it takes the text as it is, percent signs included.
    """
    from sqlalchemy.exc import DBAPIError

    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql)
        return list(cursor.description or ())
    except connection.dialect.loaded_dbapi.Error as error:
        raise DBAPIError(sql, None, error) from error
    finally:
        cursor.close()


def _rows(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
    return list(connection.exec_driver_sql(sql, dict(parameters)))

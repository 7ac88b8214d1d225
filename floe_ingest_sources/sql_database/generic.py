"""Reflects any other dialect of SQLAlchemy, by its Inspector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest_sources.sql_database.relation import Relation, missing_schema, missing_table
from floe_ingest_sources.sql_database.types import ColumnPlan

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

    from floe_ingest_sources.sql_database.urls import Database


def table_names(connection: Connection, database: Database, schema: str | None, *, views: bool) -> list[str]:
    """Return the tables of a schema, and its views if wished.

    Raises:
        SourceConfigurationError: there is no such schema.
    """
    import sqlalchemy

    inspector = sqlalchemy.inspect(connection)
    if schema is not None and schema not in (known := inspector.get_schema_names()):
        raise missing_schema(schema, known, database.label)
    return [*inspector.get_table_names(schema), *(inspector.get_view_names(schema) if views else ())]


def reflect_table(connection: Connection, database: Database, schema: str | None, name: str) -> Relation:
    """Return a table or view, reflected.

    Raises:
        SourceConfigurationError: it does not exist.
    """
    import sqlalchemy

    names = table_names(connection, database, schema, views=True)
    if name not in names:
        raise missing_table(name, names, database.label)
    inspector = sqlalchemy.inspect(connection)
    columns = inspector.get_columns(name, schema)
    plans = tuple(
        ColumnPlan(column["name"], kind_of(column["type"]), "", "", "", "this dialect has no DuckDB reader")
        for column in columns
    )
    comments = {column["name"]: column.get("comment") or "" for column in columns}
    key = inspector.get_pk_constraint(name, schema).get("constrained_columns") or ()
    return Relation(name, f"table {name}", name, plans, tuple(key), comments=comments)


def statement_of(connection: Connection, relation: Relation, schema: str | None) -> Any:
    """Return SQLAlchemy's SELECT of a reflected table, with its types' own conversions."""
    import sqlalchemy

    types = {
        column["name"]: column["type"]
        for column in sqlalchemy.inspect(connection).get_columns(relation.name, schema)
    }
    columns = [sqlalchemy.column(plan.name, types[plan.name]) for plan in relation.plans]
    statement = sqlalchemy.select(*columns).select_from(
        sqlalchemy.table(relation.name, *columns, schema=schema)
    )
    return (
        statement
        if relation.where is None
        else statement.where(sqlalchemy.literal_column(f"({relation.where}\n)"))
    )


def kind_of(kind: TypeEngine[Any]) -> str:
    """Return the DuckDB type in which values of an SQLAlchemy type arrive; empty where only they can tell."""
    from sqlalchemy import types

    if isinstance(kind, types.Boolean):
        return "BOOLEAN"
    if isinstance(kind, types.Integer):
        return "DECIMAL(20,0)" if getattr(kind, "unsigned", False) else "BIGINT"
    if isinstance(kind, types.Float):
        return "DOUBLE"
    if isinstance(kind, types.Numeric):
        if kind.precision is None or kind.precision > 38:
            return "DECIMAL(38,9)"
        return f"DECIMAL({kind.precision},{kind.scale or 0})"
    if isinstance(kind, types.DateTime):
        return "TIMESTAMPTZ" if kind.timezone else "TIMESTAMP"
    by_class: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
        (types.Date, "DATE"),
        (types.Time, "TIME"),
        (types.LargeBinary, "BLOB"),
        (types._Binary, "BLOB"),  # noqa: SLF001  (BINARY and VARBINARY have no public base)
    )
    return next((name for base, name in by_class if isinstance(kind, base)), "VARCHAR")

"""Reflects SQLite: declared types, and whether the values keep to them, which SQLite does not ask for."""

from __future__ import annotations

import re
import sqlite3
import time
import uuid
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from floe_ingest import SchemaError, SourceConfigurationError, SourceConnectionError
from floe_ingest_sources._sql import identifier
from floe_ingest_sources.sql_database.relation import Relation, missing_schema, missing_table
from floe_ingest_sources.sql_database.types import ColumnPlan, quoted, sqlite_plan, with_kind, zoned
from floe_ingest_sources.sql_database.urls import ATTACHED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from floe_ingest_sources.sql_database.urls import Database

_log = structlog.get_logger(__name__)
_COUNT_SECONDS = 2.0
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_VIEW = "floe_ingest_query"
_EXACT_POWERS = 22
"""The greatest power of ten that a double holds exactly."""


def table_names(connection: Connection, database: Database, schema: str | None, *, views: bool) -> list[str]:
    """Return the tables, and the views if wished.

    Raises:
        SourceConfigurationError: a schema other than ``main``.
    """
    import sqlalchemy

    if schema not in (None, "main"):
        raise missing_schema(str(schema), ["main"], database.label)
    inspector = sqlalchemy.inspect(connection)
    return [*inspector.get_table_names(), *(inspector.get_view_names() if views else ())]


def at_rest(database: Database, folder: Path | None) -> Database:
    """Return the database, or a copy of it as of now where its writers do not wait for readers.

    DuckDB reads a table in pieces, each a read of its own. In WAL mode others commit between them, and rows
    of different moments would land. A copy by SQLite's own backup is of one moment.

    Arguments:
        database: an SQLite database.
        folder: for the copy; None for no copy, where nothing is loaded.

    Raises:
        SourceConnectionError: it cannot be opened, or not be copied.
    """
    if folder is None:
        return database
    with database.connect() as connection:
        if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
            return database
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}.db"
        try:
            with closing(sqlite3.connect(path)) as copy:
                connection.connection.driver_connection.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise SourceConnectionError(f"{database.label} cannot be copied to {folder}: {error}") from error
    _log.info("a copy is read", database=database.label, reason="in WAL mode others write while it is read")
    return replace(database, path=path)


def reflect_table(connection: Connection, database: Database, schema: str | None, name: str) -> Relation:
    """Return a table or view, reflected; values are not looked at.

    Raises:
        SourceConfigurationError: it does not exist.
    """
    import sqlalchemy

    names = table_names(connection, database, schema, views=True)
    if name not in names:
        raise missing_table(name, names, database.label)
    # As the driver takes it: text() would see a parameter in a name with `:word`.
    columns = list(connection.exec_driver_sql(f"PRAGMA table_xinfo({identifier(name)})"))
    plans = tuple(sqlite_plan(column.name, column.type) for column in columns if column.hidden != 1)
    key = sqlalchemy.inspect(connection).get_pk_constraint(name).get("constrained_columns") or ()
    indirect = []
    if any(column.hidden for column in columns):
        indirect.append("it has generated columns, which DuckDB does not see")
    return Relation(
        name,
        f"table {name}",
        quoted(name),
        plans,
        tuple(key),
        scanned=quoted(ATTACHED, "main", name),
        indirect=tuple(indirect),
        estimated_rows=None,
    )


def reflect_query(connection: Connection, query: str, name: str) -> Relation:
    """Return a query, reflected by a temporary view, which lives in this connection alone."""
    text = query.rstrip().rstrip(";")
    connection.exec_driver_sql(" ".join(["CREATE TEMP VIEW", _VIEW, "AS", text]))
    try:
        columns = list(connection.exec_driver_sql(f"PRAGMA table_info({_VIEW})"))
    finally:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {_VIEW}")
    plans = tuple(sqlite_plan(column.name, column.type) for column in columns)
    return Relation(
        name, "the query", f"({text}\n) AS query", plans, indirect=("a query is run by the database",)
    )


def try_condition(connection: Connection, relation: Relation) -> None:
    """Let the database prepare the relation's SELECT with its condition."""
    connection.exec_driver_sql(relation.sent(bare=True)).close()


def look_at_values(connection: Connection, relation: Relation) -> Relation:
    """Return the relation with plans that hold its values: one pass over the table, in SQLite.

    Raises:
        SchemaError: values do not keep to a column's declared type.
    """
    checks = [check for plan in relation.plans for check in _checks(plan)]
    if not checks:
        return relation
    source = f"FROM {relation.source}"
    if relation.where is not None:
        source += f" WHERE ({relation.where}\n)"
    found = [0] * len(checks)
    if _finds_any(connection, source, [test for _, _, test in checks]):
        every = ", ".join(f"max({test})" for _, _, test in checks)
        found = list(connection.exec_driver_sql(f"SELECT {every} {source}").one())
    facts: dict[str, set[str]] = {plan.name: set() for plan in relation.plans}
    for (column, fact, _), value in zip(checks, found, strict=True):
        if value:
            facts[column].add(fact)
    plans = tuple(_settled(plan, facts[plan.name], relation) for plan in relation.plans)
    return replace(relation, plans=plans)


def _finds_any(connection: Connection, source: str, tests: Sequence[str]) -> bool:
    """Return whether a row passes any test. As a rule none does, which is found sooner than each maximum."""
    any_of = " OR ".join(f"({test})" for test in tests)
    query = " ".join(["SELECT EXISTS (SELECT 1 FROM (SELECT *", source, ") WHERE", any_of, ")"])
    return bool(connection.exec_driver_sql(query).scalar())


def count_rows(connection: Connection, relation: Relation) -> int | None:
    """Return the number of rows; None where counting takes longer than two seconds."""
    driver = connection.connection.driver_connection
    if driver is None:
        return None
    end = time.monotonic() + _COUNT_SECONDS
    driver.set_progress_handler(lambda: int(time.monotonic() > end), 100_000)
    try:
        count: int = driver.execute(" ".join(["SELECT count(*) FROM", relation.source])).fetchone()[0]
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    finally:
        driver.set_progress_handler(None, 0)
    return count


def _checks(plan: ColumnPlan) -> list[tuple[str, str, str]]:
    """Return what to ask of a column: (column, fact, SQL that is 1 where a value has it)."""
    column = identifier(plan.name)
    kind = f"typeof({column})"
    if plan.kind == "":
        return [(plan.name, word, f"{kind} = '{word}'") for word in ("integer", "real", "text", "blob")]
    if plan.kind in ("TIMESTAMP", "TIMESTAMPTZ"):
        clock = f"substr({column}, 11)"
        shape = f"{column} GLOB '{_DAY}' OR {column} GLOB '{_DAY}[ T][0-9][0-9]:[0-9][0-9]*'"
        zone = f"({clock} GLOB '*Z' OR {clock} GLOB '*[+-]*')"
        return [
            (plan.name, "bad", f"{column} IS NOT NULL AND ({kind} <> 'text' OR NOT ({shape}))"),
            (plan.name, "zone", f"{kind} = 'text' AND {zone}"),
            (plan.name, "offset", f"{kind} = 'text' AND {zone} AND NOT {clock} GLOB '*Z'"),
            (plan.name, "plain", f"{kind} = 'text' AND NOT {zone}"),
            (
                plan.name,
                "nanoseconds",
                f"{kind} = 'text' AND {clock} GLOB '*.[0-9][0-9][0-9][0-9][0-9][0-9][0-9]*'",
            ),
        ]
    good = _good(plan, column, kind)
    return [(plan.name, "bad", f"{column} IS NOT NULL AND NOT ({good})")] if good else []


def _good(plan: ColumnPlan, column: str, kind: str) -> str:
    simple = {
        "BIGINT": f"{kind} = 'integer'",
        "DOUBLE": f"{kind} = 'real'",
        "VARCHAR": f"{kind} = 'text'",
        "BLOB": f"{kind} = 'blob'",
        "BOOLEAN": f"{kind} = 'integer' AND {column} IN (0, 1)",
        "DATE": f"{kind} = 'text' AND {column} GLOB '{_DAY}'",
    }
    if plan.kind in simple:
        return simple[plan.kind]
    if (match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", plan.kind)) and not plan.indirect:
        digits, scale = int(match[1]), int(match[2])
        fits = f"({_has_digits(column, scale)}) AND abs({column}) < 1e{digits - scale}"
        return f"{kind} IN ('integer', 'real') AND {fits}"
    return ""


def _has_digits(column: str, scale: int) -> str:
    """Return the condition that a number has ``scale`` digits after the point, or is the double next to such.

    A whole number below 2^53 over a power of ten is that double. SQLite's ``round``, which goes by way of
    text, takes twice as long and misses it now and then, as does SQLite's own reading of numbers as text; so
    it is asked for what is left alone.
    """
    rounded = f"round({column}, {scale}) = {column}"
    if scale > _EXACT_POWERS:
        return rounded
    power = f"1e{scale}"
    half = f"CASE WHEN {column} < 0 THEN -0.5 ELSE 0.5 END"
    divided = f"CAST({column} * {power} + {half} AS INTEGER) / {power} = {column}"
    return f"abs({column}) < 1e15 / {power} AND {divided} OR {rounded}"


def _settled(plan: ColumnPlan, facts: set[str], relation: Relation) -> ColumnPlan:
    if plan.kind == "":
        return with_kind(plan, _kind_of_values(facts))
    if plan.kind == "VARCHAR" and "bad" in facts:
        return replace(plan, indirect="some values are not text")
    mixed = {"zone", "plain"} <= facts
    if not facts & {"bad", "nanoseconds"} and not mixed:
        return zoned(plan, offsets="offset" in facts) if "zone" in facts else plan
    if mixed:
        problem = "has times with a zone and times without one"
    elif "nanoseconds" in facts:
        problem = "has times with more than six digits after the second"
    else:
        problem = f"has values that are no {plan.kind}"
    raise SchemaError(
        f"Column {plan.name!r} of {relation.origin} {problem}, though it is declared as such. Nothing is "
        f"guessed or rounded. Correct the values, or read them as text by a query, with "
        f"CAST({plan.name} AS TEXT) AS {plan.name}"
    )


def _kind_of_values(facts: set[str]) -> str:
    if facts == {"integer"}:
        return "BIGINT"
    if facts and facts <= {"integer", "real"}:
        return "DOUBLE"
    if facts == {"blob"}:
        return "BLOB"
    if "blob" in facts:
        raise SourceConfigurationError(
            "A column without a declared type holds blobs beside other values; read it by a query with hex()"
        )
    return "VARCHAR"

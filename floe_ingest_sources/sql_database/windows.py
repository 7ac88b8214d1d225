"""The window of a cursor as a condition that the database itself checks."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError
from floe_ingest_sources._resources import listed, nearest
from floe_ingest_sources._sql import identifier

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from floe_ingest import CursorWindow
    from floe_ingest_sources.sql_database.relation import Relation
    from floe_ingest_sources.sql_database.types import ColumnPlan

_NUMBERS = re.compile(r"INTEGER|BIGINT|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)")


def cursor_plan(relation: Relation, window: CursorWindow) -> ColumnPlan:
    """Return the column by which a relation is read in parts.

    Raises:
        SourceConfigurationError: it is not among the columns that are read.
    """
    by_name = {plan.name: plan for plan in relation.plans}
    if window.column in by_name:
        return by_name[window.column]
    folded = [plan for plan in relation.plans if plan.name.casefold() == window.column.casefold()]
    if len(folded) == 1:
        return folded[0]
    raise SourceConfigurationError(
        f"cursor_field: {relation.origin} has no column {window.column!r} among those that are read."
        f"{nearest(window.column, by_name)} It has: {listed(by_name)}"
    )


def typed(value: Any, kind: str) -> Any:
    """Return a bound in the type of its column. A time without a zone means UTC where the column has zones.

    Raises:
        SourceConfigurationError: it is no value of that type.
    """
    try:
        return _typed(value, kind)
    except (ValueError, InvalidOperation):
        raise SourceConfigurationError(
            f"cursor: {value!r} is no {kind}, which the cursor_field is. Write a value as the column has it"
        ) from None


def _typed(value: Any, kind: str) -> Any:
    if kind in ("TIMESTAMP", "TIMESTAMPTZ"):
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime.combine(moment, time.min)
        if not isinstance(moment, datetime):
            raise ValueError(kind)
        if kind == "TIMESTAMP":
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if kind == "DATE":
        return date.fromisoformat(value) if isinstance(value, str) else value
    if kind == "TIME":
        return time.fromisoformat(value) if isinstance(value, str) else value
    if _NUMBERS.fullmatch(kind):
        return Decimal(value) if isinstance(value, str) else value
    return str(value)


def postgres_condition(connection: Connection, relation: Relation, window: CursorWindow) -> str | None:
    """Return the condition in PostgreSQL's dialect, values quoted by its driver; None where all is read.

    Text is compared by its bytes, as the last value was found.
    """
    from psycopg import sql

    plan = cursor_plan(relation, window)
    name = identifier(plan.name)
    column = f'{name}::text COLLATE "C"' if plan.kind == "VARCHAR" else name
    driver: Any = connection.connection.driver_connection
    within = " AND ".join(
        f"{column} {operator} {sql.Literal(typed(value, plan.kind)).as_string(driver)}"
        for operator, value in window.bounds()
    )
    if not within:
        return None
    return within if window.nulls == "exclude" else f"({within}) OR {name} IS NULL"


def narrow_statement(statement: Any, relation: Relation, window: CursorWindow) -> Any:
    """Return an SQLAlchemy SELECT that keeps to the window, with bound parameters.

    Text is left to the engine, which compares bytes: a collation may order it otherwise.
    """
    import sqlalchemy

    plan = cursor_plan(relation, window)
    if plan.kind in ("", "VARCHAR"):
        return statement
    column: Any = sqlalchemy.column(plan.name)
    within = [
        column.op(operator, is_comparison=True)(sqlalchemy.bindparam(None, typed(value, plan.kind)))
        for operator, value in window.bounds()
    ]
    if not within:
        return statement
    condition = sqlalchemy.and_(*within)
    if window.nulls != "exclude":
        condition = sqlalchemy.or_(condition, column.is_(None))
    return statement.where(condition)

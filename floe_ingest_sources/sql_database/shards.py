"""Splits a relation by ranges of a column, of about as many rows each, for several connections at once."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError
from floe_ingest_sources._resources import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from floe_ingest_sources.sql_database.config import SqlDatabaseConfig
    from floe_ingest_sources.sql_database.relation import Relation
    from floe_ingest_sources.sql_database.types import ColumnPlan

ROWS_OF_A_SHARD = 250_000
"""A shard of ``auto`` has at least that many rows: below, a connection costs more than it brings."""

_ORDERED = re.compile(r"INTEGER|BIGINT|DECIMAL\(\d+,\d+\)|DATE|TIMESTAMP|TIMESTAMPTZ")
# Pieces are halved until none has more rows than this part of a shard, or so often.
_PIECES_OF_A_SHARD = 4
_MOST_HALVINGS = 128


def split(
    connection: Connection, dialect: Any, config: SqlDatabaseConfig, relation: Relation
) -> tuple[tuple[Relation, ...], str]:
    """Return the shards of a relation, which together have each of its rows once.

    Arguments:
        connection: to the database, which is asked for the column's ends and for estimates.
        dialect: the module of the database.
        config: says how many shards there are to be, more than one, and by which column.
        relation: with its conditions.

    Returns:
        The shards, none where it is not split; and the column, or why it is not split.

    Raises:
        SourceConfigurationError: a number of shards is asked for and cannot be, or there is no such column.
    """
    asked = config.shards
    plan = _column(config, relation)
    reason = relation.unshared or (plan if isinstance(plan, str) else "")
    if reason or isinstance(plan, str):
        if asked != "auto":
            raise SourceConfigurationError(
                f"shards: {relation.origin} cannot be split ({reason}); write shards: auto, or leave it out"
            )
        return (), reason
    if not isinstance(asked, int):
        rows = dialect.estimated(connection, relation.query("1"))
        asked = min(os.cpu_count() or 1, rows // ROWS_OF_A_SHARD)
        if asked < 2:
            return (), f"it has about {rows} rows, and a shard has {ROWS_OF_A_SHARD}"
    return _ranges(connection, dialect, relation, plan, asked), plan.name


def _column(config: SqlDatabaseConfig, relation: Relation) -> ColumnPlan | str:
    """Return the column by whose ranges a relation is split, or why there is none."""
    by_name = {plan.name: plan for plan in relation.plans}
    name = config.shard_column
    if name is None:
        if not relation.primary_key:
            return "it has no primary key among the columns that are read; write shard_column"
        name = relation.primary_key[0]
    elif name not in by_name:
        raise SourceConfigurationError(
            f"shard_column: {relation.origin} has no column {name!r} among those that are read."
            f"{nearest(name, by_name)} It has: {listed(by_name)}"
        )
    if not _ORDERED.fullmatch(by_name[name].kind):
        return f"column {name} is neither a whole or decimal number, nor a date or a timestamp"
    return by_name[name]


def _ranges(
    connection: Connection, dialect: Any, relation: Relation, plan: ColumnPlan, count: int
) -> tuple[Relation, ...]:
    column = dialect.column_name(plan.name)
    ends = connection.execution_options(no_parameters=True).exec_driver_sql(
        relation.query(f"min({column}), max({column})")
    )
    least, most = ends.one()
    if not _usable(least) or not _usable(most):
        return (relation,)

    def literal(value: Any) -> str:
        text: str = dialect.literal(connection, value)
        return text

    def rows_between(start: Any, end: Any) -> int:
        condition = f"{column} >= {literal(start)} AND {column} < {literal(end)}"
        rows: int = dialect.estimated(connection, replace(relation, piece=condition).query("1"))
        return rows

    bounds = [literal(bound) for bound in balanced_bounds(least, most, count, rows_between)]
    # The first and the last have no outer end: rows that come in meanwhile, and those without a value.
    above = ["", *(f"{column} >= {bound}" for bound in bounds)]
    below = [*(f"{column} < {bound}" for bound in bounds), ""]
    conditions = [" AND ".join(part for part in pair if part) for pair in zip(above, below, strict=True)]
    if not bounds:
        return (relation,)
    conditions[0] += f" OR {column} IS NULL"
    return tuple(replace(relation, piece=condition) for condition in conditions)


def balanced_bounds(least: Any, most: Any, count: int, rows_between: Callable[[Any, Any], int]) -> list[Any]:
    """Return at most ``count - 1`` values, in order, between which there are about as many rows each.

    Where rows are dense, pieces are halved further: a few far-off values do not leave all rows to one shard.

    Arguments:
        least, most: between which rows are.
        count: of shards.
        rows_between: estimates the rows from a value up to another, without it.
    """
    pieces = [(rows_between(least, most), least, most)]
    whole: list[tuple[int, Any, Any]] = []
    for _ in range(_MOST_HALVINGS):
        if not pieces:
            break
        # The wider one of two: an estimate may not tell them apart.
        largest = max(pieces, key=lambda piece: (piece[0], piece[2] - piece[1]))
        rows, start, end = largest
        enough = sum(piece[0] for piece in (*pieces, *whole)) / (count * _PIECES_OF_A_SHARD)
        if rows <= enough:
            break
        pieces.remove(largest)
        middle = _middle(start, end)
        if not start < middle < end:
            whole.append(largest)
            continue
        pieces += [(rows_between(start, middle), start, middle), (rows_between(middle, end), middle, end)]
    pieces = sorted([*pieces, *whole], key=lambda piece: piece[1])
    total = sum(rows for rows, *_ in pieces)
    ends = [end for *_, end in pieces[:-1]]
    seen = list(accumulate(rows for rows, *_ in pieces[:-1]))
    if not ends:
        return []
    nearest_ones = (
        min(range(len(ends)), key=lambda place: abs(seen[place] * count - total * shard))
        for shard in range(1, count)
    )
    return [ends[place] for place in dict.fromkeys(nearest_ones)]


def _usable(value: Any) -> bool:
    """Return whether halves can be made of a value: NaN, infinities and dates of no calendar cannot."""
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int | date | datetime)


def _middle(start: Any, end: Any) -> Any:
    if isinstance(start, int):
        return (start + end) // 2
    if isinstance(start, Decimal):
        return (start + end) / 2
    return start + (end - start) / 2

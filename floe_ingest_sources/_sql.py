"""Words of DuckDB's SQL: quoted names and literals, and casts that refuse what they cannot hold.

DuckDB's own casts round and drop: ``'1.239'`` becomes 1.24 in a ``DECIMAL(10,2)``, ``'5.7'`` becomes 6 in a
``BIGINT``, ``'2024-01-02 03:04'`` loses its time in a ``DATE``, and the offset of a timestamp vanishes in a
``TIMESTAMP``. A load must bring every value as it is, or stop; so text is looked at before it is cast.
"""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.IGNORECASE)
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER"})
_DAY = r"\d{4,6}-\d\d?-\d\d?"
_CLOCK = r"\d\d?:\d\d(:\d\d(\.\d{1,6}0*)?)?"
_SHAPES = {
    "DATE": _DAY,
    "TIME": _CLOCK,
    "TIMESTAMP": rf"{_DAY}([ T]{_CLOCK})?",
    "TIMESTAMPTZ": rf"{_DAY}[ T]{_CLOCK} ?(Z|UTC|[+-]\d\d(:\d\d)?)",
}


def identifier(name: str) -> str:
    """Return ``name`` as a quoted identifier (the same in DuckDB, PostgreSQL and SQLite)."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return ``text`` as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def columns_argument(types: dict[str, str]) -> str:
    """Return the ``columns`` argument of DuckDB's readers: ``{'id': 'BIGINT', ...}``."""
    return "{" + ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items()) + "}"


def text_as(column: str, kind: str, text: str | None = None) -> str:
    """Return an expression that turns the text column ``column`` into ``kind`` without any loss.

    Arguments:
        column: the column's name, unquoted.
        kind: a DuckDB type.
        text: an expression that gives the text; the column itself by default.

    Returns:
        An expression. At run time it raises where ``kind`` cannot hold the text exactly.
    """
    name = text or identifier(column)
    shape = shape_of(kind.strip().upper())
    if shape is None:
        return f"CAST({name} AS {kind})"
    pattern = literal(rf"\s*{shape}\s*")
    return guarded(
        f"CAST({name} AS {kind})",
        f"{name} IS NULL OR regexp_full_match({name}, {pattern})",
        f"Column {column!r} has a value that {kind} cannot hold exactly, and nothing is rounded. Give it "
        f"another type, or read it as text. The value: ",
        f"left({name}, 100)",
    )


def guarded(expression: str, condition: str, message: str, value: str = "''") -> str:
    """Return ``expression`` where ``condition`` holds; elsewhere the query stops with ``message``."""
    return f"CASE WHEN {condition} THEN {expression} ELSE error({literal(message)} || {value}) END"


def shape_of(kind: str) -> str | None:
    """Return the regular expression of texts that a DuckDB type holds exactly; None where any cast does."""
    if kind in _INTEGERS:
        return r"[+-]?\d+"
    if match := _DECIMAL.fullmatch(kind):
        return rf"[+-]?\d+(\.\d{{0,{match[2]}}}0*)?"
    return _SHAPES.get(kind)


def select_from(columns: list[str], relation: str) -> str:
    """Return a query over ``relation``; both must already be quoted where they name something."""
    return " ".join(["SELECT", ", ".join(columns), "FROM", relation])


def call(function: str, **options: str) -> str:
    """Return a call of a DuckDB reader whose first argument is the next parameter of the query."""
    return f"{function}(?{''.join(f', {name}={value}' for name, value in options.items())})"


def boolean(value: bool) -> str:
    """Return ``true`` or ``false``."""
    return str(value).lower()

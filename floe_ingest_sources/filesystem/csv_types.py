"""Types of CSV columns: what a sample shows, held against every value in the same breath as it is read.

``TextColumn`` says which type all values of a column have. ``seen_as`` gives the SQL that reads a column as
the type that a sample has, and stops at the first value that does not have it. So the types of a load are
always those of all its values, and most loads parse their files once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from floe_ingest_sources._sql import identifier, literal, text_as
from floe_ingest_sources.filesystem.text_types import PATTERNS

if TYPE_CHECKING:
    from floe_ingest_sources.filesystem.config import CsvOptions

_NUMBERS = frozenset({"SMALLINT", "INTEGER", "BIGINT", "DOUBLE"})
_PLAIN_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?"
_STOP = "error('a value is not what a sample showed')"


def settled_as(name: str, kind: str, options: CsvOptions) -> str:
    """Return the expression of a column whose values all have a kind, or were given one by the user."""
    column = identifier(name)
    given = options.types.get(name)
    kind = given or kind
    if kind == "VARCHAR":
        return column
    if kind == "DATE" and options.date_format:
        return f"CAST(strptime({column}, {literal(options.date_format)}) AS DATE) AS {column}"
    text = _text(name, kind, options)
    cast = text_as(name, kind, text) if given else f"CAST({text} AS {kind})"
    return f"{cast} AS {column}"


def seen_as(name: str, kind: str, options: CsvOptions, *, seen: bool) -> str:
    """Return the expression of a column of which a sample alone is known: it stops at other values.

    Arguments:
        name: the column.
        kind: what the values of the sample have in common.
        options: how the files are written.
        seen: whether the sample had any value.
    """
    column = identifier(name)
    if name in options.types:
        return settled_as(name, kind, options)
    if not seen:
        # Named, since DuckDB takes a NULL without a type for an integer.
        return f"CAST(CASE WHEN {column} IS NOT NULL THEN {_STOP} END AS VARCHAR) AS {column}"
    if kind == "VARCHAR":
        return column
    if kind == "DATE" and options.date_format:
        return settled_as(name, kind, options)
    text = _text(name, kind, options)
    return f"{_checked(text, kind)} AS {column}"


def _checked(text: str, kind: str) -> str:
    cast = f"CAST({text} AS {kind})"
    whole = f"regexp_full_match({text}, {literal(PATTERNS[kind])})"
    if kind == "BIGINT":
        # There and back costs half of what a regular expression does.
        tried = f"TRY_CAST({text} AS BIGINT)"
        return f"CASE WHEN CAST({tried} AS VARCHAR) IS DISTINCT FROM {text} THEN {_STOP} ELSE {tried} END"
    if kind == "DOUBLE":
        # Up to 15 digits come back as they were. DuckDB would also cast what is no number: 0012, 1_000, "5 ".
        plain = f"regexp_full_match({text}, {literal(_PLAIN_NUMBER)})"
        finite = f"isfinite(TRY_CAST({text} AS DOUBLE))"
        return (
            f"CASE WHEN strlen({text}) <= 15 AND {plain} THEN {cast} WHEN {text} IS NULL THEN NULL "
            f"WHEN strlen({text}) <= 16 AND {whole} AND {finite} THEN {cast} ELSE {_STOP} END"
        )
    if kind == "DATE":
        return (
            f"CASE WHEN {text} LIKE '____-__-__' AND {text} < ':' THEN {cast} "
            f"WHEN {text} IS NULL THEN NULL ELSE {_STOP} END"
        )
    return f"CASE WHEN {text} IS NULL OR {whole} THEN {cast} ELSE {_STOP} END"


def _text(name: str, kind: str, options: CsvOptions) -> str:
    """Return the column's text, numbers with a point before their fraction."""
    column = identifier(name)
    number = kind in _NUMBERS or kind.startswith("DECIMAL")
    # A point in such a number would be one of thousands: it becomes what no number has.
    return f"translate({column}, ',.', '.x')" if number and options.decimal == "," else column

"""How each type of a database becomes a column, exactly or not at all.

PostgreSQL (``direct`` by DuckDB's parallel reader; one column that is not makes the table go ``by query``,
over one connection):

| type | column | how |
| --- | --- | --- |
| smallint, integer, bigint, oid | INTEGER, BIGINT | direct |
| real, double precision, boolean, bytea | FLOAT, DOUBLE, BOOLEAN, BLOB | direct |
| text, varchar, char, name, enums | VARCHAR | direct |
| date, timestamp, timestamptz | DATE, TIMESTAMP, TIMESTAMPTZ | direct; infinity stops the load |
| time | TIME | direct; 24:00:00 stops the load |
| numeric(p,s) up to 38 digits | DECIMAL(p,s) | direct; NaN stops the load (DuckDB would read 0) |
| numeric | DECIMAL(38,9) | by query, as text; more digits or NaN stop the load |
| numeric(p,s) beyond 38 digits | DECIMAL(38,s) | by query, as text; what does not fit stops the load |
| uuid, json, jsonb, xml, money, inet, cidr, macaddr, bit, tsvector, int4range | VARCHAR | direct |
| arrays of integers, doubles, booleans, text | lists | direct; a second dimension stops the load |
| interval, timetz, other arrays, composites, all other types | VARCHAR | by query, PostgreSQL's text |
| domains | as their base type | by query |

SQLite (whose columns take values of any kind; each value is checked against the declared type first):

| declared | column | how |
| --- | --- | --- |
| ...INT... | BIGINT | DuckDB |
| REAL, FLOAT, DOUBLE | DOUBLE | DuckDB |
| CHAR, CLOB, TEXT and unknown words | VARCHAR | DuckDB; SQLAlchemy where some values are not text |
| BLOB | BLOB | DuckDB |
| BOOLEAN | BOOLEAN | DuckDB; other than 0 and 1 stops the load |
| DECIMAL(p,s), NUMERIC(p,s) up to 15 digits | DECIMAL(p,s) | DuckDB; more digits in a value stop the load |
| other DECIMAL, NUMERIC | DECIMAL(p,s), DECIMAL(38,9) | SQLAlchemy |
| DATE | DATE | DuckDB; anything but 2024-01-31 stops the load |
| DATETIME, TIMESTAMP | TIMESTAMP; TIMESTAMPTZ if every value has a zone | DuckDB; offsets: SQLAlchemy |
| TIME | TIME | SQLAlchemy |
| no type | by its values | SQLAlchemy |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from floe_ingest_sources._sql import guarded, identifier, literal, select_from, text_as

_DISPLAY = re.compile(r"(?P<base>.+?)(?:\((?P<mods>[\d\s,-]+)\))?(?P<array>\[\])?")
_PLAIN = {
    "int2": "INTEGER",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "oid": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "bool": "BOOLEAN",
    "bytea": "BLOB",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
}
_TEXT = frozenset(
    [
        "text",
        "varchar",
        "bpchar",
        "name",
        "uuid",
        "json",
        "jsonb",
        "xml",
        "money",
        "inet",
        "cidr",
        "macaddr",
        "bit",
        "varbit",
        "tsvector",
        "int4range",
    ]
) | {'"char"'}
_LISTS = {
    "int2": "INTEGER",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float8": "DOUBLE",
    "bool": "BOOLEAN",
    "text": "VARCHAR",
    "varchar": "VARCHAR",
}
_UNBOUNDED = "DECIMAL(38,9)"
_SQLITE_DECIMAL = re.compile(r"(?:decimal|numeric|dec)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")
_SQLITE_WORDS = (
    ("int", "BIGINT"),
    ("char", "VARCHAR"),
    ("clob", "VARCHAR"),
    ("text", "VARCHAR"),
    ("blob", "BLOB"),
    ("real", "DOUBLE"),
    ("floa", "DOUBLE"),
    ("doub", "DOUBLE"),
    ("bool", "BOOLEAN"),
)
_SQLITE_TIMES = {"date": "DATE", "datetime": "TIMESTAMP", "timestamp": "TIMESTAMP", "time": "TIME"}


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """How one column is read.

    Arguments:
        name: its name.
        kind: the DuckDB type in which it arrives; empty where only the values can tell.
        scan: the expression over DuckDB's own reading of the table.
        sent: the expression in the database's own dialect, for a query.
        received: the expression over what that query gives to DuckDB.
        indirect: why DuckDB's own reading would not be exact; empty where it is.
        not_a_number: whether the column can hold a NaN that DuckDB's own reading would make 0.
        compact: the expression for a driver that gives Arrow, where there is a quicker one than ``sent``: a
            decimal as the whole number of its digits, a date as ``yyyymmdd``, text as it is. Empty if none.
    """

    name: str
    kind: str
    scan: str
    sent: str
    received: str
    indirect: str = ""
    not_a_number: bool = False
    compact: str = ""


def postgres_plan(name: str, display: str, *, is_enum: bool = False, is_domain: bool = False) -> ColumnPlan:
    """Return the plan of a PostgreSQL column.

    Arguments:
        name: the column's name.
        display: its type as psycopg displays it, such as ``numeric(10,2)`` or ``text[]``.
        is_enum: whether it is an enum.
        is_domain: whether it is a domain over that type, which DuckDB reads as text.
    """
    match = _DISPLAY.fullmatch(display)
    base = match["base"] if match else display
    column = identifier(name)
    domain = "it is a domain" if is_domain else ""
    if match and match["array"]:
        if base in _LISTS:
            return _plan(name, f"{_LISTS[base]}[]", sent=column, indirect=domain)
        return _as_text(name, f"{display} is not exact in DuckDB's own reading")
    if base == "numeric":
        return _numeric(name, match["mods"] if match else None, domain)
    if base == "time":
        return _time(name, domain)
    if base in _PLAIN:
        sent = f"{column}::int8" if base == "oid" else column
        return _plan(name, _PLAIN[base], sent=sent, indirect=domain)
    if is_enum or base in _TEXT:
        return _plan(name, "VARCHAR", sent=f"{column}::text", indirect=domain)
    return _as_text(name, f"{display} is not exact in DuckDB's own reading")


def sqlite_plan(name: str, declared: str) -> ColumnPlan:
    """Return the plan of an SQLite column, by its declared type."""
    word = " ".join(declared.lower().split())
    column = identifier(name)
    if not word:
        return _plan(name, "", sent=column, indirect="it has no declared type")
    decimal = _SQLITE_DECIMAL.fullmatch(word)
    if decimal:
        return _sqlite_decimal(name, decimal[1], decimal[2])
    base = re.sub(r"\s*\(.*\)$", "", word)
    kind = _SQLITE_TIMES.get(base) or next((kind for part, kind in _SQLITE_WORDS if part in word), "VARCHAR")
    indirect = ""
    if base == "time":
        indirect = "DuckDB does not read TIME from SQLite"
    elif kind == "VARCHAR" and re.search(r"date|time|num|dec|real|floa|doub|blob", word):
        indirect = f"DuckDB may read {declared} as something else than text"
    return _plan(name, kind, sent=column, indirect=indirect)


def zoned(plan: ColumnPlan, *, offsets: bool) -> ColumnPlan:
    """Return the plan of an SQLite timestamp of which every value has a zone: ``Z``, or also others."""
    indirect = "DuckDB drops the offset of a time" if offsets else plan.indirect
    return replace(with_kind(plan, "TIMESTAMPTZ"), indirect=indirect)


def with_kind(plan: ColumnPlan, kind: str) -> ColumnPlan:
    """Return the plan of a column whose kind its values told."""
    column = identifier(plan.name)
    cast = f"CAST({column} AS {kind}) AS {column}"
    return replace(plan, kind=kind, scan=cast, received=cast)


def _plan(name: str, kind: str, *, sent: str, indirect: str = "", not_a_number: bool = False) -> ColumnPlan:
    column = identifier(name)
    cast = f"CAST({column} AS {kind}) AS {column}" if kind else column
    return ColumnPlan(name, kind, cast, f"{sent} AS {column}", cast, indirect, not_a_number)


def _as_text(name: str, indirect: str) -> ColumnPlan:
    return _plan(name, "VARCHAR", sent=f"{identifier(name)}::text", indirect=indirect)


def _from_text(name: str, kind: str, indirect: str) -> ColumnPlan:
    column = identifier(name)
    cast = f"{text_as(name, kind)} AS {column}"
    return ColumnPlan(name, kind, cast, f"{column}::text AS {column}", cast, indirect)


def _numeric(name: str, mods: str | None, domain: str) -> ColumnPlan:
    if mods is None:
        return _from_text(name, _UNBOUNDED, "numeric has no precision")
    precision, _, written = mods.partition(",")
    digits, scale = int(precision), int(written or 0)
    if 0 <= scale <= digits <= 38:
        kind = f"DECIMAL({digits},{scale})"
        # By query it travels as text, so that NaN meets a cast that refuses it.
        plan = _from_text(name, kind, domain)
        column = identifier(name)
        direct = f"CAST({column} AS {kind}) AS {column}"
        return ColumnPlan(name, kind, direct, plan.sent, plan.received, domain, not_a_number=True)
    kind = (
        f"DECIMAL({min(38, max(digits, scale, digits - scale))},{max(0, scale)})"
        if scale <= 38
        else "VARCHAR"
    )
    if kind == "VARCHAR":
        return _as_text(name, f"numeric({mods}) has more than 38 digits after the point")
    return _from_text(name, kind, f"numeric({mods}) is not exact in DuckDB's own reading")


def _time(name: str, domain: str) -> ColumnPlan:
    column = identifier(name)
    message = f"Column {name!r} holds the time 24:00:00, which Iceberg cannot hold. Replace it in a query"
    inside = f"{column} IS NULL OR {column} < TIME '24:00:00'"
    cast = f"{guarded(column, inside, message)} AS {column}"
    return ColumnPlan(name, "TIME", cast, f"{column} AS {column}", cast, domain)


def _sqlite_decimal(name: str, precision: str | None, scale: str | None) -> ColumnPlan:
    column = identifier(name)
    if precision is None:
        return _plan(name, _UNBOUNDED, sent=column, indirect="NUMERIC has no precision")
    digits, places = int(precision), int(scale or 0)
    if not places <= digits <= 38:
        return _plan(name, _UNBOUNDED, sent=column, indirect=f"DECIMAL({digits},{places}) is no decimal type")
    indirect = "" if digits <= 15 else "SQLite keeps 15 digits of a decimal, and whole numbers exactly"
    return _plan(name, f"DECIMAL({digits},{places})", sent=column, indirect=indirect)


def quoted(*parts: str) -> str:
    """Return a name of several parts, quoted."""
    return ".".join(identifier(part) for part in parts)


def nan_guard(plans: list[ColumnPlan], relation: str, attached: str) -> str | None:
    """Return a condition that stops the scan where PostgreSQL has a NaN that DuckDB would read as 0.

    Arguments:
        plans: the columns that are read.
        relation: the table as PostgreSQL names it.
        attached: DuckDB's name of the database.

    Returns:
        A condition for DuckDB's WHERE, which reads in the same snapshot; None where no column needs it.
    """
    names = [plan.name for plan in plans if plan.not_a_number]
    if not names:
        return None
    check = " OR ".join(f"{identifier(name)} = 'NaN'" for name in names)
    inner = " ".join(["SELECT 1 AS found FROM", relation, "WHERE", check, "LIMIT 1"])
    message = (
        f"A numeric column of {relation} holds NaN, which no decimal can hold: one of {', '.join(names)}. "
        f"Replace it in a query, such as NULLIF(column, 'NaN')"
    )
    found = f"postgres_query({literal(attached)}, {literal(inner)})"
    count = select_from(["count(*) AS n"], found)
    passed = select_from([f"CASE WHEN n = 0 THEN true ELSE error({literal(message)}) END"], f"({count})")
    return f"({passed})"

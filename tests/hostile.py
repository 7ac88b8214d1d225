"""Names and values that would be SQL, were they ever spliced into a statement as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import floe_ingest
from floe_ingest.config import parse_config

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

HOSTILE = [
    'x"; DROP TABLE canary; --',
    "x'; DROP TABLE canary; --",
    "x\\'; DROP TABLE canary; --",
    "`x`; DROP TABLE canary; /*",
    "x\n; DROP TABLE canary",
    "$$; DROP TABLE canary; $$",
    "%s %(x)s :x ? $1 {x}",
]
# Numbered, so that every database has them in this order.
VALUES = [f"{number:02} {value}" for number, value in enumerate(HOSTILE)]


def quoted(name: str, quote: str = '"') -> str:
    return quote + name.replace(quote, quote * 2) + quote


def statements(name: str, quote: str = '"') -> list[str]:
    """Statements that make a table of this name, with a key of this name, and all values but the last."""
    table = quoted(name, quote)
    rows = ", ".join(f"({quoted(value, chr(39))}, 1)" for value in VALUES[:-1])
    return [
        "CREATE TABLE canary (id INTEGER)",
        f"CREATE TABLE {table} ({table} VARCHAR(80) PRIMARY KEY, n INTEGER)",
        f"INSERT INTO {table} VALUES {rows}",
    ]


def load(lake: Lake, folder: Path, name: str, **settings: Any) -> int:
    """Load what is new in the table of this name by its key; return the number of rows."""
    source = {
        "name": "shop",
        "source_type": "sql_database",
        "source_config": {"table": name, **settings},
        "destination_table": "raw.hostile",
        "write_mode": "merge",
        "primary_key": [name],
        "cursor_field": name,
    }
    document = {"catalog_config": lake.properties, "retry_config": {"max_retries": 0}, "sources": [source]}
    result = floe_ingest.run(parse_config(document, path=folder / "ingest.yaml"))
    assert result.success, result.sources[0].errors
    return sum(table.rows_loaded for table in result.sources[0].tables)


def loaded(lake: Lake) -> list[str]:
    """The keys in the table, in order."""
    rows = lake.duckdb("raw.hostile").to_pylist()
    return sorted(value for row in rows for key, value in row.items() if key != "n")

"""Names and values that would be SQL, were they ever spliced into a statement as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

import floe_ingest
from floe_ingest.config import parse_config

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

    from .conftest import Shop

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


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def statements(name: str) -> list[str]:
    """Statements that make a table of this name, with a key of this name, and all values but the last."""
    rows = ", ".join(f"('{value.replace(chr(39), chr(39) * 2)}', 1)" for value in VALUES[:-1])
    return [
        "CREATE TABLE canary (id INTEGER)",
        f"CREATE TABLE {quoted(name)} ({quoted(name)} VARCHAR(80) PRIMARY KEY, n INTEGER)",
        f"INSERT INTO {quoted(name)} VALUES {rows}",
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


@pytest.mark.parametrize("backend", ["auto", "sqlalchemy"])
@pytest.mark.parametrize("name", HOSTILE)
def test_in_sqlite(lake: Lake, tmp_path: Path, name: str, backend: str) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as database:
        for statement in statements(name):
            database.execute(statement)
        settings = {"url": "sqlite:///shop.db", "backend": backend}
        assert load(lake, tmp_path, name, **settings) == len(VALUES) - 1
        database.execute(f"INSERT INTO {quoted(name)} VALUES (?, 2)", (VALUES[-1],))
        assert load(lake, tmp_path, name, **settings) == 1
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    assert loaded(lake) == VALUES
    assert tables == {"canary", name}


@pytest.mark.parametrize("backend", ["auto", "adbc", "sqlalchemy"])
@pytest.mark.parametrize("name", HOSTILE)
def test_in_postgresql(lake: Lake, shop: Shop, tmp_path: Path, name: str, backend: str) -> None:
    shop.execute(*statements(name))
    settings = {"url": shop.url, "backend": backend}
    assert load(lake, tmp_path, name, **settings) == len(VALUES) - 1
    shop.execute(f"INSERT INTO {quoted(name)} VALUES ($text${VALUES[-1]}$text$, 2)")
    assert load(lake, tmp_path, name, **settings) == 1

    assert loaded(lake) == VALUES
    tables = shop.connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row[0] for row in tables.fetchall()} == {"canary", name}

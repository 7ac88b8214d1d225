"""Hostile names and values in SQLite and PostgreSQL, through each reader."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hostile import HOSTILE, VALUES, load, loaded, quoted, statements

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

    from .conftest import Shop


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

"""The built-in source of databases passes the kit that third parties get; here on SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from floe_ingest import ErrorCategory
from floe_ingest.testing import SourceContract

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def write(folder: Path, rows: Iterable[tuple[int, str, str, str]]) -> dict[str, Any]:
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as shop, shop:
        shop.execute(
            "CREATE TABLE IF NOT EXISTS orders"
            " (id INTEGER PRIMARY KEY, city TEXT, price DECIMAL(10,2), placed DATE)"
        )
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    return {"url": f"sqlite:///{path}", "tables": ["orders"]}


@pytest.mark.requirement("FR-077")
class TestSqlite(SourceContract):
    source_type = "sql_database"
    cursor_field: ClassVar[str | None] = "id"

    def make_source(self, folder: Path) -> dict[str, Any]:
        return write(folder, [(1, "Bern", "1.50", "2024-01-31"), (2, "Chur", "2.25", "2024-02-01")])

    def expected(self) -> dict[str, list[dict[str, Any]]]:
        return {
            "orders": [
                {"id": 1, "city": "Bern", "price": Decimal("1.50"), "placed": date(2024, 1, 31)},
                {"id": 2, "city": "Chur", "price": Decimal("2.25"), "placed": date(2024, 2, 1)},
            ]
        }

    def add_rows(self, folder: Path) -> dict[str, list[dict[str, Any]]]:
        write(folder, [(3, "Thun", "3.75", "2024-02-02")])
        row = {"id": 3, "city": "Thun", "price": Decimal("3.75"), "placed": date(2024, 2, 2)}
        return {"orders": [row]}

    def make_empty(self, folder: Path) -> dict[str, Any]:
        return write(folder, [])

    def make_big(self, folder: Path, rows: int) -> dict[str, Any]:
        return write(folder, ((number, "Bern", f"{number}.50", "2024-01-31") for number in range(rows)))

    def make_broken(self, folder: Path) -> Mapping[str, tuple[dict[str, Any], ErrorCategory]]:
        there = write(folder, [])
        return {"no such table": ({**there, "tables": ["ordrs"]}, ErrorCategory.CONFIGURATION)}

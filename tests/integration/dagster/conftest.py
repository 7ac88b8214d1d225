"""A shop whose tables are read back from beside its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dagster_shop import Shop
from lakes import Lake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import dagster as dg


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    folder.mkdir()
    made = Shop(folder, Lake(folder / "warehouse"))
    made.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, day TEXT, amount INTEGER)")
    made.sql("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)")
    days = [(number, f"2024-01-{number:02d}", number * 10) for number in range(1, 31)]
    made.sql("INSERT INTO orders VALUES (?, ?, ?)", days)
    made.sql("INSERT INTO customers VALUES (?, ?)", [(1, "Ada"), (2, "Bob")])
    return made


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    import dagster as dg

    with dg.DagsterInstance.local_temp() as made:
        yield made

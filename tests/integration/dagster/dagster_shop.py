"""A small shop, the definitions of its tables, and what runs of them told."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg
from lakes import Lake

from floe_ingest.integrations.dagster import definitions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass
class Shop:
    """A SQLite database in a folder, and a configuration beside it."""

    folder: Path
    lake: Lake
    catalog: Mapping[str, str] = field(default_factory=dict)

    def sql(self, statement: str, rows: Sequence[Sequence[Any]] = ()) -> None:
        with sqlite3.connect(self.folder / "shop.db") as database:
            if rows:
                database.executemany(statement, rows)
            else:
                database.execute(statement)
        database.close()

    def write(self, *others: dict[str, Any], **changes: Any) -> Path:
        """Write the configuration: the shop's source with changes, and other sources."""
        shop = {
            "name": "shop",
            "source_type": "sql_database",
            "source_config": {"url": "sqlite:///shop.db", "tables": ["orders", "customers"]},
            "destination_table": "bronze.shop_{resource}",
            **changes,
        }
        document: dict[str, Any] = {"retry_config": {"max_retries": 0}, "sources": [shop, *others]}
        if self.catalog:
            document["catalog_config"] = dict(self.catalog)
        path = self.folder / "ingest.yaml"
        path.write_text(json.dumps(document))
        return path

    def definitions(self, *others: dict[str, Any], **changes: Any) -> dg.Definitions:
        return definitions(self.write(*others, **changes))

    def ids(self, table: str) -> list[int]:
        return [row["id"] for row in self.lake.duckdb(table, "SELECT id FROM t ORDER BY id").to_pylist()]


def new_shop(tmp_path: Path) -> Shop:
    """Return a shop with thirty orders, one a day, and two customers."""
    folder = tmp_path / "shop"
    folder.mkdir()
    made = Shop(folder, Lake(folder / "warehouse"))
    made.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, day TEXT, amount INTEGER)")
    made.sql("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)")
    days = [(number, f"2024-01-{number:02d}", number * 10) for number in range(1, 31)]
    made.sql("INSERT INTO orders VALUES (?, ?, ?)", days)
    made.sql("INSERT INTO customers VALUES (?, ?)", [(1, "Ada"), (2, "Bob")])
    return made


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(f"ingestion__{name}")


def materialized(result: Any) -> dict[str, dict[str, Any]]:
    """The metadata of each materialised asset, by the end of its key."""
    return {
        event.asset_key.to_user_string().removeprefix("ingestion__"): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
    }


def observed(result: Any) -> list[str]:
    return [
        event.asset_key.to_user_string().removeprefix("ingestion__")
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION
    ]


def failures(result: Any) -> list[Any]:
    return [event.step_failure_data for event in result.all_events if event.is_step_failure]

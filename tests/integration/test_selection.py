"""``run(resources=…)``: some resources of a source are loaded, and no others."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from lakes import Lake

import floe_ingest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> floe_ingest.DltIngestionConfig:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        for table in ("orders", "customers"):
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
            database.execute(f"INSERT INTO {table} VALUES (1), (2)")
    database.close()
    (tmp_path / "ingest.yaml").write_text(
        "sources: [{name: shop, source_type: sql_database, destination_table: 'raw.{resource}', "
        "source_config: {url: 'sqlite:///shop.db', tables: [orders, customers]}}]"
    )
    return floe_ingest.load_config(tmp_path / "ingest.yaml")


def test_what_is_not_selected_is_not_loaded(config: floe_ingest.DltIngestionConfig) -> None:
    result = floe_ingest.run(config, resources={"shop": ["orders"]})
    assert result.success
    assert [table.table for table in result.sources[0].tables] == ["raw.orders"]
    lake = Lake(config.folder / "warehouse")
    assert lake.duckdb("raw.orders").num_rows == 2
    assert not (lake.folder / "raw" / "customers").exists()


def test_a_resource_that_is_not_there_is_named(config: floe_ingest.DltIngestionConfig) -> None:
    result = floe_ingest.run(config, resources={"shop": ["ordrs"]})
    [error] = result.sources[0].errors
    assert error.category == "configuration"
    assert "'ordrs'" in error.message
    assert "customers, orders" in error.message


def test_a_source_that_is_not_there_is_named(config: floe_ingest.DltIngestionConfig) -> None:
    with pytest.raises(floe_ingest.InvalidConfigError, match="'shopp'"):
        floe_ingest.run(config, resources={"shopp": ["orders"]})

"""Partitions: each run loads its own range of the cursor, and puts it in the place of what was there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from dagster_shop import Shop, key, materialized

if TYPE_CHECKING:
    from collections.abc import Mapping

    import dagster as dg

DAYS = {"every": "day", "start": "2024-01-01", "end": "2024-01-31"}


def load(defs: dg.Definitions, partition: str, instance: dg.DagsterInstance) -> Any:
    job = defs.resolve_implicit_global_asset_job_def()
    orders = [key("shop__orders")]
    return job.execute_in_process(asset_selection=orders, partition_key=partition, instance=instance)


def partitioned(shop: Shop, partitions: Mapping[str, Any], cursor: str) -> dg.Definitions:
    settings = {"url": "sqlite:///shop.db", "tables": ["orders"]}
    return shop.definitions(source_config=settings, partitions=partitions, cursor_field=cursor)


def test_a_day_is_loaded_and_loaded_again(shop: Shop, instance: dg.DagsterInstance) -> None:
    defs = partitioned(shop, DAYS, "day")
    assert materialized(load(defs, "2024-01-07", instance))["shop__orders"]["rows_loaded"] == 1
    assert shop.ids("bronze.shop_orders") == [7]
    load(defs, "2024-01-03", instance)
    assert shop.ids("bronze.shop_orders") == [3, 7]

    shop.sql("UPDATE orders SET amount = 777 WHERE id = 7")
    load(defs, "2024-01-07", instance)
    rows = shop.lake.duckdb("bronze.shop_orders", "SELECT id, amount FROM t ORDER BY id").to_pylist()
    assert rows == [{"id": 3, "amount": 30}, {"id": 7, "amount": 777}]

    shop.sql("DELETE FROM orders WHERE id = 7")
    emptied = load(defs, "2024-01-07", instance)
    assert shop.ids("bronze.shop_orders") == [3]
    assert list(materialized(emptied)) == ["shop__orders"], "a partition without rows is loaded all the same"


@pytest.mark.parametrize("name", ["low", "a/b: kleiner als 10 €"])
def test_ranges_by_name(shop: Shop, instance: dg.DagsterInstance, name: str) -> None:
    defs = partitioned(shop, {"ranges": {name: [1, 11], "high": [11, 31]}}, "id")
    load(defs, name, instance)
    assert shop.ids("bronze.shop_orders") == list(range(1, 11))
    load(defs, "high", instance)
    load(defs, name, instance)
    assert shop.ids("bronze.shop_orders") == list(range(1, 31))


@pytest.mark.parametrize(
    ("every", "partition", "rows"),
    [
        ("hour", "2024-01-07-00:00", [7]),
        ("week", "2024-01-07", list(range(7, 14))),
        ("month", "2024-01-01", list(range(1, 31))),
    ],
)
def test_lengths(
    shop: Shop, instance: dg.DagsterInstance, every: str, partition: str, rows: list[int]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    days = [datetime(2024, 1, number, tzinfo=UTC) for number in range(1, 31)]
    table = pa.table({"id": range(1, 31), "at": pa.array(days, pa.timestamp("us", "UTC"))})
    pq.write_table(table, shop.folder / "events.parquet")
    files = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": ".", "file_glob": "events.parquet"},
        "destination_table": "raw.events",
        "cursor_field": "at",
        "partitions": {"every": every, "start": "2024-01-01"},
    }
    job = shop.definitions(files).resolve_implicit_global_asset_job_def()
    events = [key("files__files")]
    assert job.execute_in_process(asset_selection=events, partition_key=partition, instance=instance).success
    assert shop.ids("raw.events") == rows

"""The assets of a configuration whose tables lie in a REST catalog, with their files on MinIO."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from dagster_shop import Shop, key, materialized, new_shop, observed
from lakes import served_lake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.together import Services


@pytest.fixture
def shop(services: Services, tmp_path: Path) -> Iterator[Shop]:
    with served_lake("rest-minio", services, tmp_path) as lake:
        yield replace(new_shop(tmp_path), lake=lake, catalog=lake.properties)


def load(defs: dg.Definitions, *names: str, **arguments: Any) -> Any:
    job = defs.resolve_implicit_global_asset_job_def()
    selected = [key(name) for name in names] or None
    return job.execute_in_process(asset_selection=selected, **arguments)


def test_a_merge_with_its_checks_and_its_numbers(shop: Shop) -> None:
    defs = shop.definitions(
        write_mode="merge", primary_key="id", resources={"orders": {"cursor_field": "id"}}
    )
    first = load(defs)
    told = materialized(first)
    assert {name: numbers["rows_loaded"] for name, numbers in told.items()} == {
        "shop__orders": 30,
        "shop__customers": 2,
    }
    assert "s3://" in told["shop__orders"]["look"]
    checks = {(found.check_name, found.passed) for found in first.get_asset_check_evaluations()}
    assert checks == {("row_count", True), ("primary_key", True)}

    shop.sql("INSERT INTO orders VALUES (?, ?, ?)", [(31, "2024-01-31", 5)])
    second = materialized(load(defs, "shop__orders"))["shop__orders"]
    assert (second["rows_loaded"], second["total_rows"]) == (1, 31)
    assert (second["cursor_before"], second["cursor_after"]) == (30, 31)
    assert observed(load(defs, "shop__orders")) == ["shop__orders"]
    assert shop.ids("bronze.shop_orders") == list(range(1, 32))
    secret = shop.catalog["s3.secret-access-key"]
    assert secret not in repr([first.all_events, *told.values()])


def test_partitions_and_their_repetition(shop: Shop) -> None:
    settings = {"url": "sqlite:///shop.db", "tables": ["orders"]}
    days = {"every": "day", "start": "2024-01-01", "end": "2024-01-31"}
    defs = shop.definitions(source_config=settings, partitions=days, cursor_field="day")
    with dg.DagsterInstance.ephemeral() as instance:
        for day in ("2024-01-02", "2024-01-01", "2024-01-02"):
            load(defs, partition_key=day, instance=instance)
            shop.sql("UPDATE orders SET amount = amount + 1")
    rows = shop.lake.duckdb("bronze.shop_orders", "SELECT id, amount FROM t ORDER BY id").to_pylist()
    assert rows == [{"id": 1, "amount": 11}, {"id": 2, "amount": 22}]

"""``dagster dev`` with daemon and launcher: runs of processes of their own, side by side, and terminated."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
from dagster_server import dagster_dev, until
from dagster_shop import Shop, new_shop
from rest_support import Answer, serving

if TYPE_CHECKING:
    from pathlib import Path

    from rest_support import Asked

DEFINITIONS = """
from floe_ingest.integrations.dagster import definitions

defs = definitions("ingest.yaml")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return new_shop(tmp_path)


@pytest.mark.timeout(900)
def test_thirty_partitions_four_at_a_time(shop: Shop) -> None:
    settings = {"url": "sqlite:///shop.db", "tables": ["orders"]}
    days = {"every": "day", "start": "2024-01-01", "end": "2024-01-31"}
    shop.write(source_config=settings, partitions=days, cursor_field="day")
    (shop.folder / "definitions.py").write_text(DEFINITIONS)
    names = [f"2024-01-{number:02d}" for number in range(1, 31)]
    with dagster_dev(shop.folder) as server:
        backfill = server.backfill(names, "ingestion__shop__orders")
        until(
            lambda: server.backfill_status(backfill).startswith("COMPLETED"), 800, "the end of the backfill"
        )
        assert server.backfill_status(backfill) == "COMPLETED_SUCCESS"
    rows = shop.lake.duckdb("bronze.shop_orders", "SELECT id, day, amount FROM t ORDER BY id").to_pylist()
    assert rows == [
        {"id": number, "day": f"2024-01-{number:02d}", "amount": number * 10} for number in range(1, 31)
    ]
    left = [path.name for path in (shop.folder / ".floe-ingest").glob("*/*")]
    assert left == []


@pytest.mark.timeout(600)
def test_a_run_that_is_terminated_leaves_the_table_as_it_was(shop: Shop) -> None:
    with serving() as api:
        asked, go_on = threading.Event(), threading.Event()

        def posts(_: Asked) -> Answer:
            if slow:
                asked.set()
                go_on.wait(300)
            return Answer([{"id": 1}, {"id": 2}])

        slow = False
        api.routes["/posts"] = posts
        source = {
            "name": "api",
            "source_type": "rest_api",
            "source_config": {
                "client": {"base_url": api.url, "paginator": "single_page"},
                "resources": ["posts"],
            },
            "destination_table": "raw.{resource}",
        }
        (shop.folder / "ingest.yaml").write_text(json.dumps({"sources": [source]}))
        (shop.folder / "definitions.py").write_text(DEFINITIONS)
        with dagster_dev(shop.folder) as server:
            first = server.launch("ingestion__api__posts")
            until(lambda: server.status(first) == "SUCCESS", 200, "a first load")
            before = shop.lake.table("raw.posts").metadata_location
            slow = True
            second = server.launch("ingestion__api__posts")
            assert asked.wait(200)
            server.terminate(second)
            until(lambda: server.status(second) == "CANCELED", 120, "the end of the run")
            go_on.set()
        assert shop.lake.table("raw.posts").metadata_location == before
        assert shop.ids("raw.posts") == [1, 2]

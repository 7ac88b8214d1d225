"""``dagster dev`` with daemon and launcher: runs of processes of their own, side by side, and terminated."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from dagster_server import dagster_dev, until
from dagster_shop import Shop, new_shop
from rest_support import Answer, serving

if TYPE_CHECKING:
    from pathlib import Path

    from dagster_server import Server
    from rest_support import Asked

pytestmark = pytest.mark.servers("Dagster")

DEFINITIONS = """
from floe_ingest.integrations.dagster import definitions

defs = definitions("ingest.yaml")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return new_shop(tmp_path)


RETRYING = """
import dagster as dg

from floe_ingest.integrations.dagster import definitions

defs = definitions("ingest.yaml", retry_policy=dg.RetryPolicy(max_retries=1, delay=1))
"""


def ends(server: Server, run: str, status: str) -> None:
    over = ("SUCCESS", "FAILURE", "CANCELED")
    until(lambda: server.status(run) in over, 300, "the end of a run")
    assert server.status(run) == status


def most_at_once(runs: list[dict[str, Any]]) -> int:
    """The greatest number of runs that went on at one time."""
    return max(
        sum(other["startTime"] <= run["startTime"] < other["endTime"] for other in runs) for run in runs
    )


@pytest.mark.timeout(1200)
def test_thirty_partitions_four_at_a_time(shop: Shop) -> None:
    settings = {"url": "sqlite:///shop.db", "tables": ["orders"]}
    days = {"every": "day", "start": "2024-01-01", "end": "2024-01-31"}
    shop.write(source_config=settings, partitions=days, cursor_field="day")
    (shop.folder / "definitions.py").write_text(DEFINITIONS)
    names = [f"2024-01-{number:02d}" for number in range(1, 31)]
    with dagster_dev(shop.folder) as server:
        backfill = server.backfill(names, "ingestion__shop__orders")
        until(
            lambda: server.backfill_status(backfill).startswith("COMPLETED"), 1000, "the end of the backfill"
        )
        assert server.backfill_status(backfill) == "COMPLETED_SUCCESS"
        runs = server.told_of_runs()
        assert [run["status"] for run in runs] == ["SUCCESS"] * 30
        assert 2 <= most_at_once(runs) <= 4

        # One of them again, after the source has changed: its slice alone is another.
        shop.sql("UPDATE orders SET amount = 777 WHERE id = 7")
        again = server.backfill(["2024-01-07"], "ingestion__shop__orders")
        until(lambda: server.backfill_status(again).startswith("COMPLETED"), 300, "a partition once more")
        assert server.backfill_status(again) == "COMPLETED_SUCCESS"
    rows = shop.lake.duckdb("bronze.shop_orders", "SELECT id, day, amount FROM t ORDER BY id").to_pylist()
    assert rows == [
        {"id": number, "day": f"2024-01-{number:02d}", "amount": 777 if number == 7 else number * 10}
        for number in range(1, 31)
    ]
    assert (shop.folder / ".floe-ingest" / "shop").is_dir()
    assert list((shop.folder / ".floe-ingest").glob("*/*")) == []


@pytest.mark.timeout(900)
def test_a_run_that_is_terminated_leaves_the_table_as_it_was(shop: Shop) -> None:
    """And executed again it loads, once."""
    asked, go_on = threading.Event(), threading.Event()
    slow = False

    def posts(_: Asked) -> Answer:
        if slow:
            asked.set()
            go_on.wait(300)
        return Answer([{"id": 1}, {"id": 2}])

    with serving() as api:
        api.routes["/posts"] = posts
        client = {"base_url": api.url, "paginator": "single_page"}
        source = {
            "name": "api",
            "source_type": "rest_api",
            "source_config": {"client": client, "resources": ["posts"]},
            "destination_table": "raw.{resource}",
            "write_mode": "append",
        }
        (shop.folder / "ingest.yaml").write_text(json.dumps({"sources": [source]}))
        (shop.folder / "definitions.py").write_text(DEFINITIONS)
        with dagster_dev(shop.folder) as server:
            ends(server, server.launch("ingestion__api__posts"), "SUCCESS")
            before = shop.lake.table("raw.posts").metadata_location
            slow = True
            second = server.launch("ingestion__api__posts")
            assert asked.wait(300)
            server.terminate(second)
            ends(server, second, "CANCELED")
            assert shop.lake.table("raw.posts").metadata_location == before
            assert shop.ids("raw.posts") == [1, 2]

            slow = False
            go_on.set()
            ends(server, server.execute_again(second, "FROM_FAILURE"), "SUCCESS")
            assert shop.ids("raw.posts") == [1, 1, 2, 2]
            ends(server, server.execute_again(second, "ALL_STEPS"), "SUCCESS")
    assert shop.ids("raw.posts") == [1, 1, 2, 2]
    assert list((shop.folder / ".floe-ingest").glob("*/*")) == []


@pytest.mark.timeout(900)
def test_what_is_tried_again_never_doubles_an_append(shop: Shop) -> None:
    """One table lands, the storage refuses the other: Dagster tries again, then the run is executed again."""
    shop.write(write_mode="append")
    (shop.folder / "definitions.py").write_text(RETRYING)
    in_the_way = shop.lake.folder / "bronze" / "shop_customers"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where a folder has to be")
    with dagster_dev(shop.folder) as server:
        first = server.launch("ingestion__shop__orders", "ingestion__shop__customers")
        ends(server, first, "FAILURE")
        assert server.events(first).count("ExecutionStepUpForRetryEvent") == 1
        assert server.events(first).count("ExecutionStepRestartEvent") == 1
        assert shop.ids("bronze.shop_orders") == list(range(1, 31))
        assert not shop.lake.catalog().table_exists("bronze.shop_customers")

        in_the_way.unlink()
        ends(server, server.execute_again(first, "FROM_FAILURE"), "SUCCESS")
        ends(server, server.execute_again(first, "ALL_STEPS"), "SUCCESS")
    assert shop.ids("bronze.shop_orders") == list(range(1, 31))
    assert shop.ids("bronze.shop_customers") == [1, 2]
    for table in ("bronze.shop_orders", "bronze.shop_customers"):
        assert shop.lake.snapshots(table) == 1
    assert list((shop.folder / ".floe-ingest").glob("*/*")) == []

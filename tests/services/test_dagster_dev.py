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
    from rest_support import Api, Asked

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

defs = definitions("ingest.yaml", retry_policy=dg.RetryPolicy(max_retries=2, delay=1))
"""


class SlowOrBroken:
    """Answers of an API that can be held up, or be out of order."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.slow = False
        self.failures = 0

    def __call__(self, _: Asked) -> Answer:
        if self.slow:
            self.asked.set()
            self.go_on.wait(300)
        if self.failures:
            self.failures -= 1
            return Answer({"error": "busy"}, 503)
        return Answer([{"id": 1}, {"id": 2}])


def serve_api(shop: Shop, api: Api, definitions: str, **routes: Any) -> None:
    """Write a configuration that appends what an API gives: only the run's id tells that it is there."""
    api.routes.update({f"/{name}": route for name, route in routes.items()})
    client = {"base_url": api.url, "paginator": "single_page"}
    source = {
        "name": "api",
        "source_type": "rest_api",
        "source_config": {"client": client, "resources": list(routes), "max_retries": 0},
        "destination_table": "raw.{resource}",
        "write_mode": "append",
    }
    document = {"retry_config": {"max_retries": 0}, "sources": [source]}
    (shop.folder / "ingest.yaml").write_text(json.dumps(document))
    (shop.folder / "definitions.py").write_text(definitions)


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
    posts = SlowOrBroken()
    with serving() as api:
        serve_api(shop, api, DEFINITIONS, posts=posts)
        with dagster_dev(shop.folder) as server:
            ends(server, server.launch("ingestion__api__posts"), "SUCCESS")
            before = shop.lake.table("raw.posts").metadata_location
            posts.slow = True
            second = server.launch("ingestion__api__posts")
            assert posts.asked.wait(300)
            server.terminate(second)
            ends(server, second, "CANCELED")
            assert shop.lake.table("raw.posts").metadata_location == before
            assert shop.ids("raw.posts") == [1, 2]

            posts.slow = False
            posts.go_on.set()
            ends(server, server.execute_again(second, "FROM_FAILURE"), "SUCCESS")
            assert shop.ids("raw.posts") == [1, 1, 2, 2]
            ends(server, server.execute_again(second, "ALL_STEPS"), "SUCCESS")
    assert shop.ids("raw.posts") == [1, 1, 2, 2]
    assert list((shop.folder / ".floe-ingest").glob("*/*")) == []


@pytest.mark.timeout(900)
def test_a_step_that_is_tried_again_never_doubles_an_append(shop: Shop) -> None:
    """One resource lands, the other's server fails; Dagster tries the step again in another process."""
    users = SlowOrBroken()
    with serving() as api:
        serve_api(shop, api, RETRYING, posts=SlowOrBroken(), users=users)
        with dagster_dev(shop.folder) as server:
            users.failures = 1
            run = server.launch("ingestion__api__posts", "ingestion__api__users")
            ends(server, run, "SUCCESS")
            assert server.events(run).count("ExecutionStepUpForRetryEvent") == 1
            assert shop.ids("raw.posts") == [1, 2]
            assert shop.ids("raw.users") == [1, 2]

            users.failures = 100
            broken = server.launch("ingestion__api__posts", "ingestion__api__users")
            ends(server, broken, "FAILURE")
            users.failures = 0
            ends(server, server.execute_again(broken, "FROM_FAILURE"), "SUCCESS")
    assert shop.ids("raw.posts") == [1, 1, 2, 2]
    assert shop.ids("raw.users") == [1, 1, 2, 2]
    for table in ("raw.posts", "raw.users"):
        assert shop.lake.snapshots(table) == 2

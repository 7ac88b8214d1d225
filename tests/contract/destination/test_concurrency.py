"""Several writers on one table at once."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from prefork import processes
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError

import floe_ingest
from floe_ingest.destination.commit import TableCommit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Lake

Call = tuple[Any, ...]


def append(properties: dict[str, str], work: str, pipeline: str, number: int, run_id: str | None) -> None:
    """Load ten rows in a process of its own."""
    dlt.pipeline(
        pipeline,
        destination=floe_ingest.iceberg(**properties, run_id=run_id),
        dataset_name="bronze",
        pipelines_dir=work,
    ).run([{"id": number * 10 + i} for i in range(10)], table_name="items")


DISPOSITIONS: dict[str, Any] = {
    "append": "append",
    "replace": "replace",
    **{
        strategy: {"disposition": "merge", "strategy": strategy}
        for strategy in ("upsert", "delete-insert", "insert-only", "scd2")
    },
}


def load_orders(
    properties: dict[str, str],
    work: str,
    writer: str,
    how: str,
    ids: list[int],
    run_id: str | None = None,
    pipeline: str | None = None,
) -> None:
    """Load orders with nested lines and tags; each value names its writer."""
    orders = [
        {"id": i, "by": writer, "lines": [{"n": n, "by": writer, "tags": [{"by": writer}]} for n in range(3)]}
        for i in ids
    ]
    resource = dlt.resource(orders, name="orders", write_disposition=DISPOSITIONS[how], primary_key="id")
    dlt.pipeline(
        pipeline or writer,
        destination=floe_ingest.iceberg(**properties, run_id=run_id),
        dataset_name="bronze",
        pipelines_dir=work,
    ).run(resource)


def in_processes(function: Callable[..., None], calls: list[Call]) -> None:
    with ProcessPoolExecutor(len(calls), mp_context=processes()) as pool:
        for future in [pool.submit(function, *call) for call in calls]:
            future.result(timeout=240)


def in_threads(function: Callable[..., None], calls: list[Call]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(function, *call) for call in calls]:
            future.result(timeout=240)


def test_all_appends_of_many_processes_land(lake: Lake, tmp_path: Path) -> None:
    lake.catalog()
    in_processes(
        append, [(lake.properties, str(tmp_path / f"w{n}"), f"writer{n}", n, None) for n in range(4)]
    )

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == list(range(40))
    assert lake.snapshots("bronze.items") == 4


def test_the_same_run_twice_at_once_writes_once(lake: Lake, tmp_path: Path) -> None:
    lake.catalog()
    in_processes(
        append, [(lake.properties, str(tmp_path / f"w{n}"), "writer", 0, "monday") for n in range(3)]
    )

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == list(range(10))
    assert lake.snapshots("bronze.items") == 1


def in_step(lake: Lake) -> list[tuple[int, str]]:
    """Check that each order has its own writer's lines and tags, and no other; return id and writer."""
    orders = {row["_dlt_id"]: row for row in lake.duckdb("bronze.orders").to_pylist()}
    lines = {row["_dlt_id"]: row for row in lake.duckdb("bronze.orders__lines").to_pylist()}
    tags = lake.duckdb("bronze.orders__lines__tags").to_pylist()
    found: dict[str, list[tuple[int, str]]] = {key: [] for key in orders}
    assert len(lines) == lake.table("bronze.orders__lines").scan().count(), "two lines with one id"
    for line in lines.values():
        found[line["_dlt_parent_id"]].append((line["n"], line["by"]))
    for key, order in orders.items():
        assert sorted(found[key]) == [(n, order["by"]) for n in range(3)], order
    assert sorted(tag["_dlt_parent_id"] for tag in tags) == sorted(lines)
    return sorted((order["id"], order["by"]) for order in orders.values())


@contextmanager
def another_load_before_the_root(
    call: Call, *, times: int = 1, then: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Let another process load, whole, between the commits of the children and of the root."""
    done: list[Call] = []
    real = TableCommit.run

    def run(commit: TableCommit) -> None:
        if commit._load.is_root and len(done) < times:
            done.append(call)
            in_processes(load_orders, [call])
            then()
        real(commit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableCommit, "run", run)
        yield
    assert len(done) == times


HISTORY = pytest.mark.parametrize("expired", [False, True], ids=["history", "expired"])
"""Whether snapshots are expired, all but the newest, in the middle of a load."""


def afterwards(lake: Lake, expired: bool) -> Callable[[], None]:
    return lake.expire if expired else lambda: None


@HISTORY
@pytest.mark.parametrize("first", [True, False], ids=["new table", "known table"])
@pytest.mark.parametrize("how", ["replace", "upsert", "delete-insert", "insert-only"])
def test_children_are_planned_anew_when_another_load_was_quicker(
    lake: Lake, tmp_path: Path, how: str, first: bool, expired: bool
) -> None:
    if not first:
        load_orders(lake.properties, str(tmp_path / "w0"), "zero", how, [0, 1, 2])
    quicker = (lake.properties, str(tmp_path / "w1"), "quick", how, [2, 3, 4])

    with another_load_before_the_root(quicker, then=afterwards(lake, expired)):
        load_orders(lake.properties, str(tmp_path / "w2"), "slow", how, [3, 4, 5])

    before = {} if first else {0: "zero", 1: "zero", 2: "zero"}
    expected = {
        "replace": {3: "slow", 4: "slow", 5: "slow"},
        "insert-only": {2: "quick", 3: "quick", 4: "quick", 5: "slow"} | before,
    }.get(how, before | {2: "quick", 3: "slow", 4: "slow", 5: "slow"})
    assert in_step(lake) == sorted(expected.items())


@HISTORY
def test_appended_children_that_another_load_replaced_come_again(
    lake: Lake, tmp_path: Path, expired: bool
) -> None:
    load_orders(lake.properties, str(tmp_path / "w0"), "zero", "append", [0])
    quicker = (lake.properties, str(tmp_path / "w1"), "quick", "replace", [1])

    with another_load_before_the_root(quicker, then=afterwards(lake, expired)):
        load_orders(lake.properties, str(tmp_path / "w2"), "slow", "append", [2])

    assert in_step(lake) == [(1, "quick"), (2, "slow")]


@HISTORY
def test_appended_children_stay_when_others_append(lake: Lake, tmp_path: Path, expired: bool) -> None:
    quicker = (lake.properties, str(tmp_path / "w1"), "quick", "append", [1])

    with another_load_before_the_root(quicker, then=afterwards(lake, expired)):
        load_orders(lake.properties, str(tmp_path / "w2"), "slow", "append", [2])

    assert in_step(lake) == [(1, "quick"), (2, "slow")]
    for table in ("orders", "orders__lines", "orders__lines__tags"):
        assert lake.table(f"bronze.{table}").metadata.last_sequence_number == 2


@HISTORY
@pytest.mark.parametrize("how", DISPOSITIONS)
def test_two_tries_of_one_run_with_nested_tables_write_once(
    lake: Lake, tmp_path: Path, how: str, expired: bool
) -> None:
    quicker = (lake.properties, str(tmp_path / "w1"), "w", how, [1, 2], "monday", "shop")

    with another_load_before_the_root(quicker, then=afterwards(lake, expired)):
        load_orders(lake.properties, str(tmp_path / "w2"), "w", how, [1, 2], "monday", "shop")

    assert in_step(lake) == [(1, "w"), (2, "w")]


@pytest.mark.parametrize("how", ["upsert", "delete-insert", "insert-only", "append"])
@pytest.mark.parametrize("where", [in_threads, in_processes], ids=["threads", "processes"])
def test_many_writers_of_nested_tables_at_once(
    lake: Lake, tmp_path: Path, how: str, where: Callable[[Callable[..., None], list[Call]], None]
) -> None:
    load_orders(lake.properties, str(tmp_path / "w"), "first", how, [0, 1])
    where(
        load_orders,
        [(lake.properties, str(tmp_path / f"w{n}"), f"writer{n}", how, [n, 1, 7, 8]) for n in range(3)],
    )

    orders = in_step(lake)
    if how == "append":
        assert len(orders) == 2 + 3 * 4
    else:
        assert [key for key, _ in orders] == [0, 1, 2, 7, 8]


@contextmanager
def expiring(lake: Lake) -> Iterator[None]:
    """Expire every snapshot but the newest, again and again."""
    ended = threading.Event()
    rounds = 0

    def expire() -> None:
        nonlocal rounds
        while not ended.wait(0.2):
            with suppress(CommitFailedException, NoSuchNamespaceError):  # a load was quicker: next round
                lake.expire()
                rounds += 1

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(expire)
        try:
            yield
        finally:
            ended.set()
        running.result()
    assert rounds


@pytest.mark.parametrize("how", ["upsert", "insert-only", "append"])
def test_many_writers_of_nested_tables_while_snapshots_expire(lake: Lake, tmp_path: Path, how: str) -> None:
    load_orders(lake.properties, str(tmp_path / "w"), "first", how, [0, 1])
    calls = [(lake.properties, str(tmp_path / f"w{n}"), f"writer{n}", how, [n, 1, 7, 8]) for n in range(3)]
    with expiring(lake):
        in_processes(load_orders, calls)

    orders = in_step(lake)
    if how == "append":
        assert len(orders) == 2 + 3 * 4
    else:
        assert [key for key, _ in orders] == [0, 1, 2, 7, 8]

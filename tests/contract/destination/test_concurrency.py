"""Several writers on one table at once."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import dlt

import floe_ingest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


def append(properties: dict[str, str], work: str, pipeline: str, number: int, run_id: str | None) -> None:
    """Load ten rows in a process of its own."""
    dlt.pipeline(
        pipeline,
        destination=floe_ingest.iceberg(**properties, run_id=run_id),
        dataset_name="bronze",
        pipelines_dir=work,
    ).run([{"id": number * 10 + i} for i in range(10)], table_name="items")


def in_processes(calls: list[tuple[dict[str, str], str, str, int, str | None]]) -> None:
    with ProcessPoolExecutor(len(calls), mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in [pool.submit(append, *call) for call in calls]:
            future.result(timeout=120)


def test_all_appends_of_many_processes_land(lake: Lake, tmp_path: Path) -> None:
    lake.catalog()
    in_processes([(lake.properties, str(tmp_path / f"w{n}"), f"writer{n}", n, None) for n in range(4)])

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == list(range(40))
    assert len(lake.table("bronze.items").snapshots()) == 4


def test_the_same_run_twice_at_once_writes_once(lake: Lake, tmp_path: Path) -> None:
    lake.catalog()
    in_processes([(lake.properties, str(tmp_path / f"w{n}"), "writer", 0, "monday") for n in range(3)])

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == list(range(10))
    assert len(lake.table("bronze.items").snapshots()) == 1

"""Tables whose older snapshots are gone, or never shown: what was loaded before is known all the same."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from crash_points import InjectedError, crash_at
from dlt.pipeline.exceptions import PipelineStepFailed
from flaky import Flaky

import floe_ingest
from floe_ingest.destination import ledger, orphans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake


def make(
    lake: Lake, folder: Path, *, name: str = "shop", run_id: str | None = None, **properties: str
) -> dlt.Pipeline:
    return dlt.pipeline(
        name,
        destination=floe_ingest.iceberg(**lake.properties | properties, run_id=run_id),
        dataset_name="bronze",
        pipelines_dir=str(folder),
    )


def rows(*ids: int) -> Any:
    return dlt.resource([{"id": i} for i in ids], name="items", write_disposition="append")


def counted(upto: int) -> Any:
    """Return a resource with numbers from where it stopped."""

    @dlt.resource(name="items")
    def items(after: Any = dlt.sources.incremental("id", initial_value=-1)) -> Iterator[dict[str, int]]:
        yield from ({"id": i} for i in range(upto) if i > after.last_value)

    return items()


def load(properties: dict[str, str], folder: Path, id_: int) -> None:
    """Load one row in a process of its own."""
    dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**properties),
        dataset_name="bronze",
        pipelines_dir=str(folder),
    ).run(rows(id_))


def ids(lake: Lake) -> list[int]:
    return sorted(row["id"] for row in lake.duckdb("bronze.items").to_pylist())


def crash(pipeline: dlt.Pipeline, point: str, resource: Any) -> None:
    with crash_at(point), pytest.raises((PipelineStepFailed, InjectedError)):
        pipeline.run(resource)


@pytest.mark.parametrize("others", [1, 3])
def test_a_lost_answer_and_other_loads_of_the_pipeline_before_the_look(
    lake: Lake, tmp_path: Path, others: int
) -> None:
    def meanwhile() -> None:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            for number in range(others):
                pool.submit(load, lake.properties, tmp_path / str(number), 10 + number).result(timeout=240)
                lake.expire()

    make(lake, tmp_path / "before").run(rows(0))
    Flaky.faults.clear()
    Flaky.faults.append("overtaken")
    Flaky.meanwhile = meanwhile
    properties = {key: value for key, value in lake.properties.items() if key != "type"}
    flaky = floe_ingest.iceberg(**properties, **{"py-catalog-impl": lake.flaky})

    dlt.pipeline("shop", destination=flaky, dataset_name="bronze", pipelines_dir=str(tmp_path / "flaky")).run(
        rows(1)
    )

    assert not Flaky.faults
    assert ids(lake) == [0, 1, *range(10, 10 + others)]


@pytest.mark.parametrize("point", ["after-commit", "before-done"])
def test_a_package_taken_up_after_other_loads_of_the_pipeline(lake: Lake, tmp_path: Path, point: str) -> None:
    left = make(lake, tmp_path / "left")
    crash(left, point, rows(1))
    for number in range(3):
        make(lake, tmp_path / str(number)).run(rows(10 + number))
    lake.expire()

    left.run()

    assert ids(lake) == [1, 10, 11, 12]


def test_a_run_is_known_after_other_runs_of_the_pipeline(lake: Lake, tmp_path: Path) -> None:
    for number, day in enumerate(("monday", "tuesday", "wednesday")):
        make(lake, tmp_path / day, run_id=day).run(rows(number))
    lake.expire()

    make(lake, tmp_path / "again", run_id="monday").run(rows(0))

    assert ids(lake) == [0, 1, 2]


def test_a_load_that_the_table_may_have_forgotten_is_refused(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once more loads came after it than the table keeps on record, nobody can tell whether it is there."""
    monkeypatch.setattr(ledger, "_KEPT", 2)
    monkeypatch.setattr(ledger, "_KEPT_YOUNG", 2)
    make(lake, tmp_path / "before").run(rows(0))
    left = make(lake, tmp_path / "left")
    crash(left, "after-commit", rows(1))
    for number in range(3):
        make(lake, tmp_path / str(number)).run(rows(10 + number))
    lake.expire()

    with pytest.raises(PipelineStepFailed, match=r"may hold load \d+\.\d+ of pipeline shop already"):
        left.run()

    assert ids(lake) == [0, 1, 10, 11, 12]
    left.abort_packages()
    left.run(rows(2))
    assert ids(lake) == [0, 1, 2, 10, 11, 12]


@pytest.mark.needs_history
def test_a_load_that_is_not_on_record_is_loaded_where_the_history_goes_back_far_enough(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_KEPT", 1)
    monkeypatch.setattr(ledger, "_KEPT_YOUNG", 1)
    make(lake, tmp_path / "before").run(rows(0))
    left = make(lake, tmp_path / "left")
    crash(left, "before-commit", rows(1))
    for number in range(3):
        make(lake, tmp_path / str(number)).run(rows(10 + number))

    left.run()

    assert ids(lake) == [0, 1, 10, 11, 12]


@pytest.mark.needs_history
def test_a_rolled_back_load_stays_away_after_another_load_and_expiry(lake: Lake, tmp_path: Path) -> None:
    make(lake, tmp_path / "1", name="other").run(rows(10))
    make(lake, tmp_path / "2", run_id="monday").run(counted(3))
    table = lake.table("bronze.items")
    table.manage_snapshots().rollback_to_snapshot(table.snapshots()[0].snapshot_id).commit()
    make(lake, tmp_path / "3", name="other").run(rows(11))
    lake.expire()

    make(lake, tmp_path / "4", run_id="monday").run(counted(3))

    assert ids(lake) == [0, 1, 2, 10, 11]


@pytest.mark.needs_history
def test_a_cursor_stays_rolled_back_after_another_load_and_expiry(lake: Lake, tmp_path: Path) -> None:
    make(lake, tmp_path / "first").run(counted(2))
    make(lake, tmp_path / "second").run(counted(4))
    table = lake.table("bronze.items")
    table.manage_snapshots().rollback_to_snapshot(table.snapshots()[0].snapshot_id).commit()
    make(lake, tmp_path / "other", name="other").run(rows(10))
    lake.expire()

    make(lake, tmp_path / "again").run(counted(4))

    assert ids(lake) == [0, 1, 2, 3, 10]


@pytest.mark.needs_history
def test_a_load_whose_snapshot_a_tag_keeps_is_not_taken_for_a_rolled_back_one(
    lake: Lake, tmp_path: Path
) -> None:
    make(lake, tmp_path / "1").run(counted(3))
    table = lake.table("bronze.items")
    table.manage_snapshots().create_tag(table.snapshots()[0].snapshot_id, "kept").commit()
    for number in range(2):
        make(lake, tmp_path / f"other{number}", name="other").run(rows(10 + number))
    table = lake.table("bronze.items")
    table.maintenance.expire_snapshots().by_id(table.snapshots()[1].snapshot_id).commit()

    make(lake, tmp_path / "2").run(counted(4))

    assert ids(lake) == [0, 1, 2, 3, 10, 11]


def orders(*ids: int) -> Any:
    return dlt.resource([{"id": i, "lines": [{"n": i}]} for i in ids], name="orders", primary_key="id")


@pytest.mark.parametrize("disposition", ["append", "insert-only"])
def test_child_rows_of_a_dead_load_go_though_their_snapshot_is_gone(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disposition: str
) -> None:
    how: Any = {"append": "append"}.get(disposition, {"disposition": "merge", "strategy": disposition})
    make(lake, tmp_path / "before").run(orders(0), write_disposition=how)
    crash(make(lake, tmp_path / "dead"), "after-commit", orders(1).apply_hints(write_disposition=how))
    shutil.rmtree(tmp_path / "dead")
    make(lake, tmp_path / "another").run(orders(2), write_disposition=how)
    lake.expire()
    assert sorted(row["n"] for row in lake.rows("bronze.orders__lines")) == [0, 1, 2]

    monkeypatch.setattr(orphans, "SAFE_AGE_SECONDS", -1)
    make(lake, tmp_path / "an hour later").run(orders(3), write_disposition=how)

    assert sorted(row["id"] for row in lake.rows("bronze.orders")) == [0, 2, 3]
    assert sorted(row["n"] for row in lake.rows("bronze.orders__lines")) == [0, 2, 3]

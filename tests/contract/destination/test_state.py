"""The state of a pipeline: kept by the tables alone, whatever happens to them."""

from __future__ import annotations

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from conftest import Lake
from crash_points import InjectedError, crash_at
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.pipeline.exceptions import PipelineStepFailed
from pyiceberg.catalog.sql import SqlCatalog

import floe_ingest
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table import Table


def run(lake: Lake, folder: Path, *resources: Any, **properties: str) -> None:
    """Run resources in a pipeline that has nothing but the catalog: its working folder is new."""
    assert not folder.exists()
    dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties | properties),
        dataset_name="bronze",
        pipelines_dir=str(folder),
    ).run(list(resources))
    shutil.rmtree(folder)


def counted(name: str, upto: int) -> Any:
    """Return a resource with numbers from where it stopped."""

    @dlt.resource(name=name)
    def numbers(after: Any = dlt.sources.incremental("id", initial_value=-1)) -> Iterator[dict[str, int]]:
        yield from ({"id": i} for i in range(upto) if i > after.last_value)

    return numbers()


def ids(lake: Lake, table: str) -> list[int]:
    return sorted(row["id"] for row in lake.rows(f"bronze.{table}"))


def test_metadata_grows_by_less_than_a_kilobyte_a_load(tmp_path: Path) -> None:
    sizes = []
    # Each load names two files by their whole paths: here those are as long as ones in object storage.
    with tempfile.TemporaryDirectory(prefix="lake-") as folder:
        lake = Lake(Path(folder))
        for number in range(1, 9):
            run(lake, tmp_path / "work", counted("items", number))
            location = lake.table("bronze.items").metadata_location
            sizes.append(Path(location.removeprefix("file://")).stat().st_size)
        assert ids(lake, "items") == list(range(8))
        close_catalogs()

    growth = [after - before for before, after in pairwise(sizes)]
    assert max(growth) < 1000, growth


def test_metadata_of_a_load_without_rows_does_not_grow(lake: Lake, tmp_path: Path) -> None:
    run(lake, tmp_path / "work", counted("items", 3))
    before = lake.table("bronze.items").metadata_location
    for _ in range(3):
        run(lake, tmp_path / "work", counted("items", 3))

    assert lake.table("bronze.items").metadata_location == before


def polled(moment: int, ids: list[int]) -> Any:
    """Return a resource that notes when it looked, also when there was nothing new."""

    @dlt.resource(name="events")
    def events() -> Iterator[dict[str, int]]:
        state = dlt.current.resource_state()
        state.setdefault("looks", []).append(moment)
        yield from ({"id": i} for i in ids)

    return events()


def looks(lake: Lake, folder: Path) -> list[int]:
    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(folder),
    )
    pipeline.sync_destination()
    found: list[int] = pipeline.state["sources"]["shop"]["resources"]["events"]["looks"]  # type: ignore[typeddict-item]
    return found


def test_state_that_changed_without_rows_is_kept(lake: Lake, tmp_path: Path) -> None:
    run(lake, tmp_path / "1", polled(1, [1]))
    run(lake, tmp_path / "2", polled(2, []))
    assert looks(lake, tmp_path / "look") == [1, 2]
    assert lake.snapshots("bronze.events") == 1

    run(lake, tmp_path / "3", polled(3, [2]))

    assert looks(lake, tmp_path / "look again") == [1, 2, 3]
    assert ids(lake, "events") == [1, 2]


def test_state_without_rows_is_kept_beside_a_resource_with_rows(lake: Lake, tmp_path: Path) -> None:
    run(lake, tmp_path / "1", polled(1, [1]), counted("items", 2))
    run(lake, tmp_path / "2", polled(2, []), counted("items", 4))

    assert looks(lake, tmp_path / "look") == [1, 2]
    run(lake, tmp_path / "3", polled(3, []), counted("items", 5))
    assert looks(lake, tmp_path / "look again") == [1, 2, 3]
    assert ids(lake, "items") == [0, 1, 2, 3, 4]


@pytest.mark.needs_history
def test_state_without_rows_goes_with_a_rollback(lake: Lake, tmp_path: Path) -> None:
    run(lake, tmp_path / "1", polled(1, [1]))
    run(lake, tmp_path / "2", polled(2, [2]))
    run(lake, tmp_path / "3", polled(3, []))
    table = lake.table("bronze.events")
    table.manage_snapshots().rollback_to_snapshot(table.snapshots()[0].snapshot_id).commit()

    assert looks(lake, tmp_path / "look") == [1]


# -- what happens to tables between loads


def compact(table: Table) -> None:
    table.overwrite(table.scan().to_arrow())


def expire_all_but_the_newest(table: Table) -> None:
    old = [snapshot.snapshot_id for snapshot in table.snapshots()[:-1]]
    table.maintenance.expire_snapshots().by_ids(old).commit()


def set_a_property(table: Table) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"owner": "somebody"})


def evolve(table: Table) -> None:
    from pyiceberg.types import StringType

    with table.update_schema() as update:
        update.add_column("note", StringType())


@pytest.mark.parametrize(
    "events",
    [
        [compact],
        pytest.param([expire_all_but_the_newest], marks=pytest.mark.needs_history),
        pytest.param([compact, expire_all_but_the_newest], marks=pytest.mark.needs_history),
        pytest.param(
            [expire_all_but_the_newest, compact, compact, expire_all_but_the_newest],
            marks=pytest.mark.needs_history,
        ),
        [set_a_property, evolve],
    ],
    ids=lambda events: "+".join(event.__name__ for event in events),
)
def test_cursors_survive(lake: Lake, tmp_path: Path, events: list[Any]) -> None:
    for upto in (2, 4):
        run(lake, tmp_path / "work", counted("items", upto), counted("others", upto))
    for event in events:
        event(lake.table("bronze.items"))

    run(lake, tmp_path / "work", counted("items", 6), counted("others", 5))

    assert ids(lake, "items") == list(range(6))
    assert ids(lake, "others") == list(range(5))


@pytest.mark.needs_history
def test_one_of_two_tables_rolled_back_takes_its_own_cursor_back(lake: Lake, tmp_path: Path) -> None:
    for upto in (2, 4, 6):
        run(lake, tmp_path / "work", counted("items", upto), counted("others", upto))
    table = lake.table("bronze.items")
    table.manage_snapshots().rollback_to_snapshot(table.snapshots()[0].snapshot_id).commit()
    assert ids(lake, "items") == [0, 1]

    run(lake, tmp_path / "work", counted("items", 7), counted("others", 7))

    assert ids(lake, "items") == list(range(7))
    assert ids(lake, "others") == list(range(7))


@pytest.mark.needs_history
def test_a_rollback_whose_newer_snapshots_are_expired(lake: Lake, tmp_path: Path) -> None:
    for upto in (2, 4, 6):
        run(lake, tmp_path / "work", counted("items", upto))
    first, second, third = (snapshot.snapshot_id for snapshot in lake.table("bronze.items").snapshots())
    lake.table("bronze.items").manage_snapshots().rollback_to_snapshot(second).commit()
    lake.table("bronze.items").maintenance.expire_snapshots().by_ids([first, third]).commit()

    run(lake, tmp_path / "work", counted("items", 7))

    assert ids(lake, "items") == list(range(7))


class NewestOnlyCatalog(SqlCatalog):
    """A catalog that shows only the newest snapshot of a table, without its parent, as Nessie does."""

    def load_table(self, identifier: Any) -> Table:
        table = super().load_table(identifier)
        current = table.metadata.current_snapshot()
        if current is not None:
            shown = current.model_copy(update={"parent_snapshot_id": None})
            log = [entry for entry in table.metadata.snapshot_log if entry.snapshot_id == shown.snapshot_id]
            table.metadata = table.metadata.model_copy(update={"snapshots": [shown], "snapshot_log": log})
        return table


def test_a_catalog_that_shows_only_the_newest_snapshot(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")  # the catalog below is one of SQL, whatever the suite runs on
    properties = {"py-catalog-impl": f"{__name__}.NewestOnlyCatalog"}
    lake.catalog()
    newest = {"type": ""} | properties
    for upto in (2, 4, 6):
        run(lake, tmp_path / "work", counted("items", upto), counted("others", 3), **newest)

    assert ids(lake, "items") == list(range(6))
    assert ids(lake, "others") == [0, 1, 2]
    close_catalogs()


def test_a_machine_that_is_lost_in_a_refresh_takes_no_rows_along(lake: Lake, tmp_path: Path) -> None:
    """`refresh="drop_data"` empties the table and forgets the cursor at once."""

    @dlt.resource(name="items", primary_key="id", write_disposition="append")
    def items(id_: Any = dlt.sources.incremental("id", initial_value=0)) -> Any:
        yield [{"id": i} for i in range(5)]

    def run(folder: str, **options: Any) -> None:
        dlt.pipeline(
            "shop",
            destination=floe_ingest.iceberg(**lake.properties),
            dataset_name="bronze",
            pipelines_dir=str(tmp_path / folder),
        ).run(items(), **options)

    run("one")
    with crash_at("before-commit"), pytest.raises((PipelineStepFailed, InjectedError)):
        run("one", refresh="drop_data")
    assert lake.rows("bronze.items") == []

    run("another")

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == list(range(5))


def test_a_dataset_is_read_without_a_pipeline(lake: Lake, tmp_path: Path) -> None:
    run(lake, tmp_path / "work", counted("items", 3))
    active = Container()[PipelineContext]
    active.deactivate()

    dataset: Any = dlt.dataset(floe_ingest.iceberg(**lake.properties), "bronze")

    assert "items" in dataset.schema.tables
    with dataset.destination_client as client:
        state = client.get_stored_state("shop")
    assert state.pipeline_name == "shop"
    assert not active.is_active()


def replaced(table: str, *lines: int) -> Any:
    """Return orders, with a child table, that replace what this table holds."""
    rows = [{"id": 1, "lines": [{"no": number} for number in lines]}]
    return dlt.resource(rows, name="orders", table_name=table, write_disposition="replace")


def test_pipelines_whose_sources_have_one_name_leave_each_others_tables_alone(
    lake: Lake, tmp_path: Path
) -> None:
    def load(pipeline: str, resource: Any) -> None:
        dlt.pipeline(
            pipeline,
            destination=floe_ingest.iceberg(**lake.properties),
            dataset_name="bronze",
            pipelines_dir=str(tmp_path / "work"),
        ).run(dlt.source(lambda: resource, name="shop")())
        shutil.rmtree(tmp_path / "work")

    load("north", replaced("a", 1, 2))
    load("south", replaced("b", 3))
    load("north", replaced("a", 4))
    assert ids(lake, "b") == [1]
    load("south", replaced("b"))

    assert ids(lake, "a") == ids(lake, "b") == [1]
    assert [row["no"] for row in lake.rows("bronze.a__lines")] == [4]
    assert lake.rows("bronze.b__lines") == []

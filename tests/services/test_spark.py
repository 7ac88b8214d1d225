"""Spark and we take turns at the same tables: it reads what we wrote, and we go on after what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
import pyarrow.parquet as pq
import pytest
from dlt.destinations.adapters import iceberg_adapter
from dlt.pipeline.exceptions import PipelineStepFailed
from lakes import Lake
from services.engines import Spark, SparkError, spark
from type_cases import CASES, Case
from ways_in import load_case

import floe_ingest
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers("Spark")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake that Spark knows."""
    lake = Lake(tmp_path_factory.mktemp("spark") / "lake")
    lake.catalog()
    return lake


@pytest.fixture(scope="module")
def engine(shared: Lake) -> Iterator[Spark]:
    with spark(shared.properties["uri"], shared.properties["warehouse"]) as running:
        yield running


@pytest.fixture
def lake(shared: Lake) -> Iterator[Lake]:
    """The same lake, empty."""
    yield shared
    close_catalogs()
    catalog = shared.catalog()
    for namespace in catalog.list_namespaces():
        for table in catalog.list_tables(namespace):
            catalog.drop_table(table)
        catalog.drop_namespace(namespace)


@pytest.fixture
def pipeline(lake: Lake, tmp_path: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )


MERGE: dict[str, Any] = {"disposition": "merge", "strategy": "upsert"}


def load(pipeline: dlt.Pipeline, rows: Iterable[dict[str, Any]], how: Any = "append", **hints: Any) -> None:
    resource = dlt.resource(list(rows), name="items", write_disposition=how, primary_key="id")
    pipeline.run(iceberg_adapter(resource, **hints) if hints else resource)


def items(first: int, end: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": number, "kind": "ab"[number % 2], **more} for number in range(first, end)]


def by_spark(engine: Spark, columns: str = "id") -> list[Any]:
    found = engine.sql(f"SELECT {columns} FROM bronze.items ORDER BY {columns}").rows
    return [row[0] if len(row) == 1 else tuple(row) for row in found]


def by_pyiceberg(lake: Lake) -> list[int]:
    return sorted(row["id"] for row in lake.rows("bronze.items"))


def test_it_reads_each_kind_of_load(engine: Spark, lake: Lake, pipeline: dlt.Pipeline) -> None:
    """Appended, merged, with a new column, a new partition spec, replaced."""
    load(pipeline, items(0, 4), partition="kind")
    assert by_spark(engine, "id, kind") == [(0, "a"), (1, "b"), (2, "a"), (3, "b")]

    load(pipeline, items(3, 6, n=7), MERGE)
    assert by_spark(engine, "id, kind, n") == [
        *((0, "a", None), (1, "b", None), (2, "a", None)),
        *((3, "b", 7), (4, "a", 7), (5, "b", 7)),
    ]

    load(pipeline, items(6, 8), partition=["kind", "id"])
    assert by_spark(engine) == list(range(8))
    partitions = engine.sql("SELECT DISTINCT spec_id FROM bronze.items.files").rows
    assert len(partitions) == 2

    load(pipeline, items(8, 9), "replace")
    assert by_spark(engine) == [8]
    assert [row[0] for row in engine.sql("SELECT operation FROM bronze.items.snapshots").rows][-1] in (
        "overwrite",
        "append",
    )


@pytest.mark.parametrize("case", list({case.iceberg: case for case in CASES}.values()), ids=str)
def test_it_reads_each_type(engine: Spark, lake: Lake, tmp_path: Path, case: Case) -> None:
    """Spark writes what it read as Parquet, which tells its values without their going through text."""
    load_case(lake, tmp_path, case)
    copy = tmp_path / "copy"
    export = f"INSERT OVERWRITE DIRECTORY '{copy}' USING parquet SELECT n, v FROM bronze.typed"
    if "time" in case.iceberg.replace("timestamp", ""):
        with pytest.raises(SparkError, match="time"):
            engine.sql(export)
        return
    engine.sql(export)

    theirs = pq.read_table(copy).sort_by("n")["v"].to_pylist()
    ours = lake.duckdb("bronze.typed", "SELECT v FROM t ORDER BY n")["v"].to_pylist()
    assert repr(theirs) == repr([str(value) if case.iceberg == "uuid" and value else value for value in ours])


def test_we_go_on_after_it_wrote_compacted_and_expired(
    engine: Spark, lake: Lake, pipeline: dlt.Pipeline
) -> None:
    load(pipeline, items(0, 3))
    engine.sql("INSERT INTO bronze.items (id, kind) VALUES (10, 'spark'), (11, 'spark')")
    load(pipeline, items(3, 5))
    load(pipeline, items(10, 13), MERGE)
    assert by_spark(engine, "id, kind") == [
        *((number, "ab"[number % 2]) for number in (0, 1, 2, 3, 4, 10, 11, 12)),
    ]

    done = engine.sql(
        "CALL default.system.rewrite_data_files(table => 'bronze.items', "
        "options => map('rewrite-all', 'true'))"
    )
    assert done.rows[0][0] >= 3  # data files that were rewritten
    load(pipeline, items(4, 7, n=1), MERGE)
    assert by_pyiceberg(lake) == by_spark(engine) == [0, 1, 2, 3, 4, 5, 6, 10, 11, 12]

    engine.sql(
        "CALL default.system.expire_snapshots(table => 'bronze.items', "
        "older_than => TIMESTAMP '2999-01-01 00:00:00', retain_last => 1)"
    )
    load(pipeline, items(7, 9))
    assert by_pyiceberg(lake) == by_spark(engine) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]


def by_cursor(lake: Lake, folder: Path, end: int, refresh: Any = None) -> None:
    """Load up to an id, on a machine that knows nothing of earlier loads."""
    cursor = dlt.sources.incremental("id", row_order="asc")

    @dlt.resource(name="items", write_disposition="append")
    def rows(since: Any = cursor) -> Iterator[dict[str, Any]]:
        yield from items(0 if since.last_value is None else since.last_value, end)

    dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(folder / f"work-{end}-{refresh}"),
        refresh=refresh,
    ).run(rows())


def test_a_cursor_goes_back_with_the_table_that_it_rolled_back(
    engine: Spark, lake: Lake, tmp_path: Path
) -> None:
    by_cursor(lake, tmp_path, 3)
    first = lake.table("bronze.items").metadata.current_snapshot_id
    by_cursor(lake, tmp_path, 5)
    assert by_spark(engine) == [0, 1, 2, 3, 4]
    engine.sql(f"CALL default.system.rollback_to_snapshot('bronze.items', {first})")
    assert by_spark(engine) == [0, 1, 2]
    by_cursor(lake, tmp_path, 6)
    assert by_pyiceberg(lake) == by_spark(engine) == [0, 1, 2, 3, 4, 5]


def test_a_cursor_that_it_rolled_back_and_expired_before_anybody_looked_is_refused(
    engine: Spark, lake: Lake, tmp_path: Path
) -> None:
    by_cursor(lake, tmp_path, 3)
    first = lake.table("bronze.items").metadata.current_snapshot_id
    by_cursor(lake, tmp_path, 5)
    engine.sql(f"CALL default.system.rollback_to_snapshot('bronze.items', {first})")
    engine.sql("INSERT INTO bronze.items (id, kind) VALUES (10, 'spark')")
    engine.sql(
        "CALL default.system.expire_snapshots(table => 'bronze.items', "
        "older_than => TIMESTAMP '2999-01-01 00:00:00', retain_last => 1)"
    )

    with pytest.raises(PipelineStepFailed, match="was rolled back, and the snapshot that says where"):
        by_cursor(lake, tmp_path, 6)
    assert by_pyiceberg(lake) == by_spark(engine) == [0, 1, 2, 10]

    by_cursor(lake, tmp_path, 6, refresh="drop_data")
    assert by_pyiceberg(lake) == by_spark(engine) == [0, 1, 2, 3, 4, 5]


def test_rows_that_it_deleted_by_delete_files_stay_deleted(
    engine: Spark, lake: Lake, pipeline: dlt.Pipeline
) -> None:
    """Never wrong rows, whatever the load; once compacted, the table takes merges again."""
    load(pipeline, items(0, 6))
    engine.sql("ALTER TABLE bronze.items SET TBLPROPERTIES ('write.delete.mode'='merge-on-read')")
    engine.sql("DELETE FROM bronze.items WHERE id = 2")
    assert engine.sql("SELECT count(*) FROM bronze.items.delete_files").rows == [[1]]

    load(pipeline, items(6, 8))
    assert by_spark(engine) == by_pyiceberg(lake) == [0, 1, 3, 4, 5, 6, 7]
    before = lake.table("bronze.items").metadata_location
    with pytest.raises(PipelineStepFailed) as failure:
        load(pipeline, items(2, 4, n=1), MERGE)
    assert "has delete files, which cannot be merged yet. Compact it" in str(failure.value)
    assert lake.table("bronze.items").metadata_location == before
    pipeline.abort_packages()

    engine.sql(
        "CALL default.system.rewrite_data_files(table => 'bronze.items', "
        "options => map('rewrite-all', 'true', 'remove-dangling-deletes', 'true'))"
    )
    load(pipeline, items(2, 4, n=1), MERGE)
    assert by_pyiceberg(lake) == by_spark(engine) == list(range(8))
    load(pipeline, items(0, 2), "replace")
    assert by_pyiceberg(lake) == by_spark(engine) == [0, 1]


@pytest.mark.parametrize("how", ["append", "replace", MERGE], ids=["append", "replace", "merge"])
def test_a_table_that_it_made_version_3_is_refused(
    engine: Spark, lake: Lake, pipeline: dlt.Pipeline, how: Any
) -> None:
    """With a deletion vector in it, too: PyIceberg writes no version 3, and the table stays as it is."""
    load(pipeline, items(0, 4))
    engine.sql(
        "ALTER TABLE bronze.items SET TBLPROPERTIES ('format-version'='3', "
        "'write.delete.mode'='merge-on-read')"
    )
    engine.sql("DELETE FROM bronze.items WHERE id = 2")
    assert engine.sql("SELECT file_format FROM bronze.items.delete_files").rows == [["PUFFIN"]]
    before = lake.table("bronze.items").metadata_location

    with pytest.raises(PipelineStepFailed) as failure:
        load(pipeline, items(2, 6), how)

    assert "Table bronze.items has format version 3, which PyIceberg does not write yet" in str(failure.value)
    assert lake.table("bronze.items").metadata_location == before
    assert by_spark(engine) == [0, 1, 3]

"""What a load through the destination leaves in the catalog, read back by other readers."""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import EqualTo, GreaterThan, LessThan

import floe_ingest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake

KEYS = {"floe-ingest.load-id", "floe-ingest.pipeline", "floe-ingest.version"}


@pytest.fixture
def pipeline(lake: Lake, tmp_path: Path) -> dlt.Pipeline:
    return make_pipeline(lake, tmp_path / "work")


def make_pipeline(lake: Lake, work: Path, **options: Any) -> dlt.Pipeline:
    return dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties, **options),
        dataset_name="bronze",
        pipelines_dir=str(work),
    )


def summaries(lake: Lake, name: str) -> list[dict[str, str]]:
    return [
        snapshot.summary.additional_properties
        for snapshot in lake.table(name).snapshots()
        if snapshot.summary
    ]


def test_append_makes_one_snapshot_with_the_keys(lake: Lake, pipeline: dlt.Pipeline) -> None:
    first = pipeline.run([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], table_name="items")
    second = pipeline.run([{"id": 3, "name": "c"}], table_name="items")

    made = summaries(lake, "bronze.items")
    load_ids = lake.shown([*first.loads_ids, *second.loads_ids])
    assert [summary["floe-ingest.load-id"] for summary in made] == load_ids
    assert all(summary.keys() >= KEYS for summary in made)
    assert sorted(row["id"] for row in lake.rows("bronze.items")) == [1, 2, 3]
    assert lake.duckdb("bronze.items", "SELECT sum(id) AS s, count(*) AS n FROM t").to_pylist() == [
        {"s": 6, "n": 3}
    ]


@pytest.mark.needs_history
def test_replace_is_one_snapshot_and_old_rows_stay_readable(lake: Lake, pipeline: dlt.Pipeline) -> None:
    for rows in ([{"id": 1}], [{"id": 2}, {"id": 3}]):
        pipeline.run(rows, table_name="items", write_disposition="replace")

    table = lake.table("bronze.items")
    assert lake.snapshots(".".join(table.name())) == 2
    assert sorted(row["id"] for row in lake.rows("bronze.items")) == [2, 3]
    old = table.scan(snapshot_id=table.snapshots()[0].snapshot_id).to_arrow().to_pylist()
    assert [row["id"] for row in old] == [1]


def test_replace_by_nothing_empties_the_table(lake: Lake, pipeline: dlt.Pipeline) -> None:
    rows: list[dict[str, int]] = [{"id": 1}]

    @dlt.resource(name="items", write_disposition="replace")
    def items() -> Iterator[dict[str, int]]:
        yield from rows

    pipeline.run(items())
    rows.clear()
    pipeline.run(items())

    assert lake.rows("bronze.items") == []
    assert lake.duckdb("bronze.items", "SELECT count(*) AS n FROM t").to_pylist() == [{"n": 0}]


def test_nothing_new_makes_no_snapshot(lake: Lake, pipeline: dlt.Pipeline) -> None:
    @dlt.resource(name="items")
    def items(after: Any = dlt.sources.incremental("id")) -> Iterator[dict[str, int]]:
        yield from ({"id": i} for i in range(3) if after.last_value is None or i > after.last_value)

    pipeline.run(items())
    pipeline.run(items())

    assert lake.snapshots("bronze.items") == 1


@pytest.mark.parametrize("disposition", ["append", "replace"])
def test_child_rows_belong_to_their_root_rows(lake: Lake, pipeline: dlt.Pipeline, disposition: Any) -> None:
    for number in (1, 2):
        rows = [
            {"id": number * 10 + i, "lines": [{"sku": f"{number}{i}{j}"} for j in range(3)]} for i in range(4)
        ]
        pipeline.run(rows, table_name="orders", write_disposition=disposition)

    roots = {row["_dlt_id"]: row["id"] for row in lake.rows("bronze.orders")}
    lines = lake.rows("bronze.orders__lines")
    assert len(lines) == 3 * len(roots)
    assert {line["_dlt_parent_id"] for line in lines} == set(roots)
    assert all(str(roots[line["_dlt_parent_id"]] % 10) == line["sku"][1] for line in lines)


def test_replace_empties_children_that_the_new_rows_do_not_have(lake: Lake, pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": 1, "lines": [{"sku": "a"}]}], table_name="orders", write_disposition="replace")
    pipeline.run([{"id": 2}], table_name="orders", write_disposition="replace")

    assert [row["id"] for row in lake.rows("bronze.orders")] == [2]
    assert lake.rows("bronze.orders__lines") == []


def test_state_comes_back_from_the_catalog_alone(lake: Lake, tmp_path: Path) -> None:
    @dlt.resource(name="items")
    def items(
        upto: int, after: Any = dlt.sources.incremental("id", initial_value=-1)
    ) -> Iterator[dict[str, int]]:
        yield from ({"id": i} for i in range(upto) if i > after.last_value)

    make_pipeline(lake, tmp_path / "one").run(items(3))
    shutil.rmtree(tmp_path / "one")
    make_pipeline(lake, tmp_path / "two").run(items(5))

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == [0, 1, 2, 3, 4]
    added = [summary["added-records"] for summary in summaries(lake, "bronze.items")]
    assert added == lake.shown(["3", "2"])


@pytest.mark.needs_history
def test_a_rolled_back_table_takes_its_cursor_back(lake: Lake, tmp_path: Path) -> None:
    @dlt.resource(name="items")
    def items(
        upto: int, after: Any = dlt.sources.incremental("id", initial_value=-1)
    ) -> Iterator[dict[str, int]]:
        yield from ({"id": i} for i in range(upto) if i > after.last_value)

    for number, upto in enumerate((2, 4)):
        make_pipeline(lake, tmp_path / str(number)).run(items(upto))
    table = lake.table("bronze.items")
    table.manage_snapshots().rollback_to_snapshot(table.snapshots()[0].snapshot_id).commit()

    make_pipeline(lake, tmp_path / "after").run(items(6))

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == [0, 1, 2, 3, 4, 5]


@pytest.mark.needs_history
def test_state_survives_expired_snapshots(lake: Lake, tmp_path: Path) -> None:
    @dlt.resource(name="items")
    def items(
        upto: int, after: Any = dlt.sources.incremental("id", initial_value=-1)
    ) -> Iterator[dict[str, int]]:
        yield from ({"id": i} for i in range(upto) if i > after.last_value)

    for number, upto in enumerate((2, 4)):
        make_pipeline(lake, tmp_path / str(number)).run(items(upto))
    table = lake.table("bronze.items")
    table.append(table.scan().to_arrow().slice(0, 1))  # a foreign commit, newer than ours
    table = lake.table("bronze.items")
    table.maintenance.expire_snapshots().by_ids(
        [snapshot.snapshot_id for snapshot in table.snapshots()[:-1]]
    ).commit()

    make_pipeline(lake, tmp_path / "after").run(items(5))

    ids = [row["id"] for row in lake.rows("bronze.items")]
    assert sorted(set(ids)) == [0, 1, 2, 3, 4]
    assert len(ids) == 6


def test_a_run_id_loads_once(lake: Lake, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        make_pipeline(lake, tmp_path / folder, run_id="2024-01-01").run([{"id": 1}], table_name="items")
    make_pipeline(lake, tmp_path / "three", run_id="2024-01-02").run([{"id": 2}], table_name="items")

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == [1, 2]
    run_ids = [summary["floe-ingest.run-id"] for summary in summaries(lake, "bronze.items")]
    assert run_ids == lake.shown(["2024-01-01", "2024-01-02"])


def test_new_columns_and_wider_types(lake: Lake, pipeline: dlt.Pipeline) -> None:
    small = pa.table({"id": pa.array([1], pa.int32()), "x": pa.array([1.5], pa.float32())})
    wide = pa.table(
        {
            "id": pa.array([2**40], pa.int64()),
            "x": pa.array([0.1], pa.float64()),
            "new": pa.array(["n"]),
        }
    )
    pipeline.run(small, table_name="items")
    pipeline.run(wide, table_name="items")

    table = lake.table("bronze.items")
    assert [(field.name, str(field.field_type)) for field in table.schema().fields] == [
        ("id", "long"),
        ("x", "double"),
        ("new", "string"),
    ]
    assert sorted(lake.rows("bronze.items"), key=lambda row: row["id"]) == [
        {"id": 1, "x": 1.5, "new": None},
        {"id": 2**40, "x": 0.1, "new": "n"},
    ]
    assert lake.snapshots(".".join(table.name())) == 2


def test_narrower_data_goes_into_the_wider_table(lake: Lake, pipeline: dlt.Pipeline) -> None:
    pipeline.run(pa.table({"id": pa.array([2**40], pa.int64())}), table_name="items")
    pipeline.run(pa.table({"id": pa.array([7], pa.int32())}), table_name="items")

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == [7, 2**40]
    assert str(lake.table("bronze.items").schema().find_type("id")) == "long"


def test_a_column_that_a_load_lacks_keeps_its_type(lake: Lake, pipeline: dlt.Pipeline) -> None:
    wide = pa.table({"id": [1], "u": pa.array([2**64 - 1], pa.uint64()), "f": pa.array([1.5], pa.float32())})
    pipeline.run(wide, table_name="items")
    pipeline.run(pa.table({"id": [2]}), table_name="items")

    assert sorted(lake.rows("bronze.items"), key=lambda row: row["id"]) == [
        {"id": 1, "u": 2**64 - 1, "f": 1.5},
        {"id": 2, "u": None, "f": None},
    ]
    assert str(lake.table("bronze.items").schema().find_type("f")) == "float"


def test_a_nan_hides_no_rows_from_filters(lake: Lake, pipeline: dlt.Pipeline) -> None:
    values = [float(i) for i in range(300_000)]
    values[150_000] = math.nan
    pipeline.run(pa.table({"x": pa.array(values)}), table_name="numbers")

    table = lake.table("bronze.numbers")
    assert len(table.scan(row_filter=EqualTo("x", 149_999.0)).to_arrow()) == 1
    assert len(table.scan(row_filter=LessThan("x", 10.0)).to_arrow()) == 10
    assert len(table.scan(row_filter=GreaterThan("x", 299_989.0)).to_arrow()) >= 10


def test_bounds_are_kept_where_they_are_right(lake: Lake, pipeline: dlt.Pipeline) -> None:
    pipeline.run(
        pa.table({"id": pa.array(range(100)), "x": pa.array([math.nan] * 100)}), table_name="numbers"
    )

    [file] = lake.table("bronze.numbers").inspect.files().to_pylist()
    metrics = file["readable_metrics"]
    assert (metrics["id"]["lower_bound"], metrics["id"]["upper_bound"]) == (0, 99)
    assert (metrics["x"]["lower_bound"], metrics["x"]["upper_bound"]) == (None, None)


def test_foreign_field_ids_never_read_as_nulls(lake: Lake, pipeline: dlt.Pipeline, tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("a", pa.int64(), metadata={"PARQUET:field_id": "2"}),
            pa.field("b", pa.int64(), metadata={"PARQUET:field_id": "1"}),
        ]
    )
    file = tmp_path / "swapped.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], schema=schema), file)

    @dlt.resource(name="items")
    def items() -> Iterator[Any]:
        yield dlt.mark.with_file_import(str(file), "parquet", 1, hints=pa.schema(schema).empty_table())

    pipeline.run(items())

    assert lake.rows("bronze.items") == [{"a": 1, "b": 2}]


def test_the_destination_by_name(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setenv("DESTINATION__ICEBERG__CATALOG_PROPERTIES", json.dumps(lake.properties))
    pipeline = dlt.pipeline(
        "named",
        destination="floe_ingest.iceberg",
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )

    pipeline.run([{"id": 1}], table_name="items")

    assert [row["id"] for row in lake.rows("bronze.items")] == [1]


def test_no_secret_in_reprs(lake: Lake, tmp_path: Path) -> None:
    secret = "s3cr3t-value"
    own = {"mine.credential": f"me:{secret}", "mine.secret-access-key": secret}
    destination = floe_ingest.iceberg(**lake.properties | own)
    pipeline = dlt.pipeline(
        "shop", destination=destination, dataset_name="bronze", pipelines_dir=str(tmp_path)
    )

    info = pipeline.run([{"id": 1}], table_name="items")

    for shown in (
        repr(destination),
        repr(pipeline),
        str(pipeline),
        repr(info),
        str(info),
        info.asstr(verbosity=2),
    ):
        assert secret not in shown
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert kept
    assert not [path for path in kept if secret.encode() in path.read_bytes()]

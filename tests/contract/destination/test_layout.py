"""Partition specs, sort orders and table properties: at creation, changed later, and in each kind of load."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pyarrow.parquet
import pytest
import structlog
from dlt.destinations.adapters import iceberg_adapter, iceberg_partition
from dlt.pipeline.exceptions import PipelineStepFailed
from pyiceberg.expressions import EqualTo, GreaterThanOrEqual
from ways_in import load_query

import floe_ingest
from floe_ingest.destination import write

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


@pytest.fixture
def pipeline(lake: Lake, tmp_path: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )


def load(
    pipeline: dlt.Pipeline, rows: Any, partition: Any = None, disposition: Any = "append", **hints: Any
) -> None:
    resource = dlt.resource(rows, name="items", write_disposition=disposition, **hints)
    pipeline.run(iceberg_adapter(resource, partition=partition) if partition else resource)


def partitions(lake: Lake) -> list[Any]:
    return [
        tuple(row["partition"].values()) for row in lake.table("bronze.items").inspect.files().to_pylist()
    ]


START = datetime(1969, 12, 30, 22, 30, tzinfo=UTC)
MOMENTS = [START + timedelta(hours=11 * i) for i in range(40)]
TRANSFORMS: dict[str, tuple[Any, pa.Array]] = {
    "year": (iceberg_partition.year("v"), pa.array(MOMENTS, pa.timestamp("us", tz="UTC"))),
    "month": (iceberg_partition.month("v"), pa.array([m.date() for m in MOMENTS])),
    "day": (iceberg_partition.day("v"), pa.array(MOMENTS, pa.timestamp("us", tz="UTC"))),
    "hour": (iceberg_partition.hour("v"), pa.array(MOMENTS[:12], pa.timestamp("us", tz="UTC"))),
    "identity text": ("v", pa.array(["", "a/b", "ż", None, "a b=c", "a/b"])),
    "identity date": ("v", pa.array([date(1960, 1, 1), None, date(2024, 2, 29)])),
    "identity bool": ("v", pa.array([True, False, None])),
    "identity decimal": ("v", pa.array([Decimal("1.50"), Decimal("-2.25"), None])),
    "bucket int": (iceberg_partition.bucket(4, "v"), pa.array([*range(100), None])),
    "bucket text": (iceberg_partition.bucket(4, "v"), pa.array([*map(str, range(50)), None])),
    "bucket decimal": (iceberg_partition.bucket(4, "v"), pa.array([Decimal(i) / 4 for i in range(40)])),
    "bucket time": (iceberg_partition.bucket(4, "v"), pa.array(MOMENTS, pa.timestamp("us", tz="UTC"))),
    "truncate int": (iceberg_partition.truncate(10, "v"), pa.array([-11, -1, 0, 9, 10, None])),
    "truncate text": (iceberg_partition.truncate(2, "v"), pa.array(["abc", "abd", "żółw", "", None])),
    "truncate decimal": (
        iceberg_partition.truncate(10, "v"),
        pa.array([Decimal("-0.01"), Decimal("0.09"), Decimal("0.10"), Decimal("12.34")]),
    ),
}


@pytest.mark.dealt
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_each_file_holds_one_partition_as_iceberg_reckons_it(
    lake: Lake, pipeline: dlt.Pipeline, kind: str
) -> None:
    partition, values = TRANSFORMS[kind]
    rows = pa.table({"n": pa.array(range(len(values))), "v": values})

    load(pipeline, rows, partition)

    table = lake.table("bronze.items")
    [field] = table.spec().fields
    transform = field.transform.transform(table.schema().find_type("v"))
    seen = 0
    for task in table.scan().plan_files():
        held = lake.parquet("bronze.items", task.file.file_path).read()["v"].to_pylist()
        stored = {transform(to_iceberg(value)) for value in held}
        assert stored == {task.file.partition[0]}
        seen += len(held)
    assert seen == len(values)
    assert len({task.file.partition[0] for task in table.scan().plan_files()}) == len(
        list(table.scan().plan_files())
    )
    assert sorted(lake.duckdb("bronze.items")["n"].to_pylist()) == list(range(len(values)))


def to_iceberg(value: Any) -> Any:
    from pyiceberg.utils.datetime import date_to_days, datetime_to_micros

    if isinstance(value, datetime):
        return datetime_to_micros(value)
    return date_to_days(value) if isinstance(value, date) else value


def test_filters_skip_partitions_and_lose_nothing(lake: Lake, pipeline: dlt.Pipeline) -> None:
    load(pipeline, pa.table({"at": MOMENTS, "n": range(40)}), iceberg_partition.day("at"))

    table = lake.table("bronze.items")
    expected = [n for n, moment in enumerate(MOMENTS) if moment >= MOMENTS[30]]
    scan = table.scan(row_filter=GreaterThanOrEqual("at", MOMENTS[30]))
    assert sorted(scan.to_arrow()["n"].to_pylist()) == expected
    assert len(list(scan.plan_files())) < len(list(table.scan().plan_files()))


@pytest.mark.parametrize("disposition", ["append", "replace"])
def test_appends_and_replaces_of_a_partitioned_table(
    lake: Lake, pipeline: dlt.Pipeline, disposition: Any
) -> None:
    for version in (1, 2):
        rows = [{"id": i, "c": "xyz"[i % 3], "v": version} for i in range(30)]
        load(pipeline, rows, "c", disposition)

    assert lake.snapshots("bronze.items") == 2
    assert sorted(set(partitions(lake))) == [("x",), ("y",), ("z",)]
    found = lake.duckdb("bronze.items", "SELECT v, count(*) AS n FROM t GROUP BY v ORDER BY v").to_pylist()
    kept = [{"v": 2, "n": 30}]
    assert found == (kept if disposition == "replace" else [{"v": 1, "n": 30}, *kept])


@pytest.mark.parametrize("strategy", ["upsert", "delete-insert"])
def test_merges_into_a_partitioned_table(lake: Lake, pipeline: dlt.Pipeline, strategy: str) -> None:
    merge: Any = {"disposition": "merge", "strategy": strategy}

    def rows(ids: range, version: int) -> list[dict[str, Any]]:
        return [{"id": i, "c": "xyz"[(i + version) % 3], "v": version} for i in ids]

    load(pipeline, rows(range(30), 1), "c", merge, primary_key="id")
    load(pipeline, rows(range(20, 40), 2), "c", merge, primary_key="id")

    found = lake.duckdb("bronze.items", "SELECT id, c, v FROM t ORDER BY id").to_pylist()
    assert found == rows(range(20), 1) + rows(range(20, 40), 2)
    table = lake.table("bronze.items")
    assert sorted(table.scan(row_filter=EqualTo("c", "x")).to_arrow()["id"].to_pylist()) == [
        row["id"] for row in found if row["c"] == "x"
    ]
    assert lake.snapshots(".".join(table.name())) == 2


def test_a_changed_spec_is_taken_up_in_the_commit_of_the_next_load(
    lake: Lake, pipeline: dlt.Pipeline
) -> None:
    merge: Any = {"disposition": "merge", "strategy": "upsert"}
    rows = [{"id": i, "c": "xy"[i % 2]} for i in range(10)]
    load(pipeline, rows, None, merge, primary_key="id")
    load(pipeline, [{"id": 3, "c": "x"}, {"id": 11, "c": "y"}], "c", merge, primary_key="id")
    load(pipeline, [{"id": 4, "c": "z"}], iceberg_partition.bucket(2, "id"), merge, primary_key="id")

    table = lake.table("bronze.items")
    assert [str(field.transform) for field in table.spec().fields] == ["bucket[2]"]
    assert lake.snapshots(".".join(table.name())) == 3
    expected = {row["id"]: row["c"] for row in rows} | {3: "x", 11: "y", 4: "z"}
    assert {row["id"]: row["c"] for row in lake.rows("bronze.items")} == expected
    found = lake.duckdb("bronze.items", "SELECT id, c FROM t").to_pylist()
    assert {row["id"]: row["c"] for row in found} == expected


def test_an_unknown_column_is_named(pipeline: dlt.Pipeline) -> None:
    with pytest.raises(
        PipelineStepFailed, match=r"names 'country', which the table does not have\. It has: id"
    ):
        load(pipeline, [{"id": 1}], "country")


def test_rows_are_sorted_within_files(lake: Lake, pipeline: dlt.Pipeline) -> None:
    resource = dlt.resource(
        pa.table({"a": [(i * 7919) % 300_007 for i in range(300_000)], "b": [i % 3 for i in range(300_000)]}),
        name="items",
    )
    hint: Any = {
        "x-iceberg-sort": [{"column": "b", "descending": True}, {"column": "a", "descending": False}]
    }
    resource.apply_hints(additional_table_hints=hint)

    pipeline.run(resource)

    table = lake.table("bronze.items")
    assert [(field.source_id, field.direction.name) for field in table.sort_order().fields] == [
        (2, "DESC"),
        (1, "ASC"),
    ]
    [task] = table.scan().plan_files()
    assert task.file.sort_order_id == table.sort_order().order_id
    held = lake.parquet("bronze.items", task.file.file_path).read().to_pylist()
    assert [(row["b"], row["a"]) for row in held] == sorted(
        ((row["b"], row["a"]) for row in held), key=lambda pair: (-pair[0], pair[1])
    )


def test_rows_are_sorted_within_the_files_of_each_partition(lake: Lake, pipeline: dlt.Pipeline) -> None:
    rows = pa.table(
        {"a": [(i * 7919) % 300_007 for i in range(300_000)], "c": ["xyz"[i % 3] for i in range(300_000)]}
    )
    resource = dlt.resource(rows, name="items")
    iceberg_adapter(resource, partition=["c", iceberg_partition.bucket(2, "a")])
    hint: Any = {"x-iceberg-sort": [{"column": "a", "descending": False}]}
    resource.apply_hints(additional_table_hints=hint)

    pipeline.run(resource)

    tasks = list(lake.table("bronze.items").scan().plan_files())
    assert len(tasks) == 6
    for task in tasks:
        held = lake.parquet("bronze.items", task.file.file_path).read()["a"].to_pylist()
        assert held == sorted(held)
    assert sum(task.file.record_count for task in tasks) == 300_000


def test_properties_are_set_and_in_force(lake: Lake, pipeline: dlt.Pipeline) -> None:
    rows = [{"id": i} for i in range(10)]
    pipeline.run(
        iceberg_adapter(
            dlt.resource(rows, name="items"), table_properties={"write.parquet.compression-codec": "snappy"}
        )
    )

    table = lake.table("bronze.items")
    assert table.properties["write.parquet.compression-codec"] == "snappy"
    [task] = table.scan().plan_files()
    footer = lake.parquet("bronze.items", task.file.file_path).metadata
    assert footer.row_group(0).column(0).compression == "SNAPPY"


def scattered(number: int) -> int:
    """A value that does not compress, another one for each number."""
    return number * 0x9E3779B97F4A7C15 % (2**61 - 1)


SIZED = {"write.target-file-size-bytes": str(1024 * 1024)}


@pytest.mark.dealt
@pytest.mark.parametrize("partition", [None, ["c"]], ids=["unpartitioned", "partitioned"])
@pytest.mark.parametrize("in_order", [True, False], ids=["sorted", "unsorted"])
def test_a_large_load_becomes_files_of_the_target_size(
    lake: Lake, pipeline: dlt.Pipeline, partition: Any, in_order: bool
) -> None:
    """Each file of a sorted load is sorted, and their ranges follow one another."""
    numbers = pa.array([scattered(i) for i in range(1_000_000)])
    rows = pa.table({"a": numbers, "c": pa.array(["x"] * 900_000 + ["y"] * 100_000)})
    resource = iceberg_adapter(dlt.resource(rows, name="items"), partition=partition, table_properties=SIZED)
    if in_order:
        hint: Any = {"x-iceberg-sort": [{"column": "a", "descending": True}]}
        resource.apply_hints(additional_table_hints=hint)

    pipeline.run(resource)

    files = [task.file for task in lake.table("bronze.items").scan().plan_files()]
    sizes = sorted(file.file_size_in_bytes for file in files)
    assert len(files) >= 3
    assert sizes[-1] < 3 * 1024 * 1024
    assert sum(file.record_count for file in files) == 1_000_000
    found = lake.duckdb("bronze.items", "SELECT count(DISTINCT a) AS n, sum(a) AS s FROM t").to_pylist()
    assert found == [{"n": 1_000_000, "s": sum(numbers.to_pylist())}]
    if not in_order:
        return
    ranges: dict[Any, list[tuple[int, int]]] = {}
    for file in files:
        held = lake.parquet("bronze.items", file.file_path).read(columns=["a"])["a"].to_pylist()
        assert held == sorted(held, reverse=True)
        ranges.setdefault(file.partition[0] if partition else None, []).append((held[-1], held[0]))
    for bounds in map(sorted, ranges.values()):
        assert all(left[1] < right[0] for left, right in itertools.pairwise(bounds))


@pytest.mark.parametrize("known", [False, True], ids=["new table", "known table"])
def test_a_bulk_scan_is_written_once_as_its_table_asks(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    properties = {
        "write.parquet.compression-codec": "snappy",
        "write.target-file-size-bytes": "6000000",
    }
    select = "SELECT range AS n, md5(range::VARCHAR) AS v FROM range({})"
    if known:
        assert load_query(lake, tmp_path, select.format(1), table_properties=properties).success
    rewritten: list[Path] = []
    real = write._rewrite

    def counted(task: Any, inputs: Any) -> Any:
        rewritten.extend(inputs)
        return real(task, inputs)

    monkeypatch.setattr(write, "_rewrite", counted)
    options: Any = {} if known else {"table_properties": properties}
    assert load_query(lake, tmp_path, select.format(700_000), **options).success

    files = lake.table("bronze.typed").inspect.files().to_pylist()
    large = [file for file in files if file["record_count"] > 1]
    assert sum(file["record_count"] for file in large) == 700_000
    assert len(large) > 2
    codecs = {
        lake.parquet("bronze.typed", f["file_path"]).metadata.row_group(0).column(0).compression
        for f in large
    }
    assert codecs == {"SNAPPY"}
    assert rewritten == []


def test_a_sorted_merge_keeps_the_target_size(lake: Lake, pipeline: dlt.Pipeline) -> None:
    merge: Any = {"disposition": "merge", "strategy": "upsert"}
    for version in (1, 2):
        rows = pa.table(
            {
                "id": pa.array(range(600_000)),
                "v": pa.array([scattered(i * version) for i in range(600_000)]),
            }
        )
        resource = dlt.resource(rows, name="items", primary_key="id", write_disposition=merge)
        iceberg_adapter(resource, table_properties=SIZED)
        hint: Any = {"x-iceberg-sort": [{"column": "v", "descending": False}]}
        pipeline.run(resource.apply_hints(additional_table_hints=hint) or resource)

    files = [task.file for task in lake.table("bronze.items").scan().plan_files()]
    assert len(files) >= 3
    assert max(file.file_size_in_bytes for file in files) < 3 * 1024 * 1024
    for file in files:
        held = lake.parquet("bronze.items", file.file_path).read(columns=["v"])["v"].to_pylist()
        assert held == sorted(held)
    assert lake.duckdb("bronze.items", "SELECT count(*) AS n FROM t").to_pylist() == [{"n": 600_000}]


def test_changes_of_the_layout_are_told(lake: Lake, pipeline: dlt.Pipeline) -> None:
    rows = [{"id": 1, "c": "x"}]
    load(pipeline, rows)
    resource = iceberg_adapter(
        dlt.resource(rows, name="items"),
        partition="c",
        table_properties={"owner": "me", "format-version": "2"},
    )
    hint: Any = {"x-iceberg-sort": [{"column": "id", "descending": False}]}
    resource.apply_hints(additional_table_hints=hint)

    with structlog.testing.capture_logs() as logs:
        pipeline.run(resource)
        pipeline.run(resource)

    told = [entry["change"] for entry in logs if entry["event"] == "table layout changed"]
    assert [change.split(" is ")[0] for change in told] == ["partition spec", "sort order", "property owner"]
    assert lake.snapshots("bronze.items") == 3


@pytest.mark.parametrize("version", [pytest.param(1, marks=pytest.mark.needs_versions), 2])
def test_the_format_version_is_as_asked(lake: Lake, pipeline: dlt.Pipeline, version: int) -> None:
    merge: Any = {"disposition": "merge", "strategy": "upsert"}
    for value in ("a", "b"):
        resource = dlt.resource(
            [{"id": 1, "v": value}], name="items", primary_key="id", write_disposition=merge
        )
        pipeline.run(iceberg_adapter(resource, table_properties={"format-version": str(version)}))

    table = lake.table("bronze.items")
    assert table.metadata.format_version == version
    assert "format-version" not in table.properties
    assert lake.duckdb("bronze.items", "SELECT id, v FROM t").to_pylist() == [{"id": 1, "v": "b"}]


@pytest.mark.needs_versions
def test_a_format_version_is_upgraded_and_never_taken_back(lake: Lake, pipeline: dlt.Pipeline) -> None:
    for version in ("1", "2"):
        pipeline.run(
            iceberg_adapter(
                dlt.resource([{"id": 1}], name="items"), table_properties={"format-version": version}
            )
        )
    assert lake.table("bronze.items").metadata.format_version == 2
    with pytest.raises(PipelineStepFailed, match="format-version cannot be applied: Cannot downgrade"):
        pipeline.run(
            iceberg_adapter(dlt.resource([{"id": 1}], name="items"), table_properties={"format-version": "1"})
        )


def test_format_version_3_is_refused(lake: Lake, pipeline: dlt.Pipeline) -> None:
    with pytest.raises(
        PipelineStepFailed, match=r"format-version '3', which PyIceberg does not write yet\. Use 1 or 2"
    ):
        pipeline.run(
            iceberg_adapter(dlt.resource([{"id": 1}], name="items"), table_properties={"format-version": "3"})
        )
    assert not lake.catalog().table_exists("bronze.items")


@pytest.mark.needs_versions
def test_a_table_of_format_version_3_is_refused(lake: Lake, pipeline: dlt.Pipeline) -> None:
    catalog = lake.catalog()
    catalog.create_namespace("bronze")
    made = catalog.create_table("bronze.made", pa.schema([("id", pa.int64())]))
    with made.io.new_input(made.metadata_location).open() as file:
        metadata = json.loads(file.read())
    changed = f"{made.location()}/metadata/00000-v3.metadata.json"
    with made.io.new_output(changed).create() as file:
        file.write(json.dumps(metadata | {"format-version": 3, "next-row-id": 0}).encode())
    catalog.register_table("bronze.items", changed)

    with pytest.raises(PipelineStepFailed, match=r"bronze\.items has format version 3"):
        load(pipeline, [{"id": 1}])

"""Merges by every strategy of dlt's, read back by other readers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

import floe_ingest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

pytestmark = [pytest.mark.requirement("FR-025")]

STRATEGIES = ["upsert", "delete-insert"]


@pytest.fixture
def pipeline(lake: Lake, tmp_path: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )


def merge(pipeline: dlt.Pipeline, rows: Any, strategy: str = "upsert", key: Any = "id", **hints: Any) -> None:
    disposition: Any = {"disposition": "merge", "strategy": strategy}
    pipeline.run(dlt.resource(rows, name="items", write_disposition=disposition, primary_key=key, **hints))


def values(lake: Lake, *columns: str, table: str = "bronze.items") -> list[tuple[Any, ...]]:
    names = ", ".join(f'"{column}"' for column in columns)
    rows = lake.duckdb(table, f"SELECT {names} FROM t").to_pylist()
    return sorted(tuple(row[column] for column in columns) for row in rows)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_of_a_known_key_are_replaced_and_others_added(
    lake: Lake, pipeline: dlt.Pipeline, strategy: str
) -> None:
    merge(pipeline, [{"id": i, "v": "old"} for i in range(4)], strategy)
    merge(pipeline, [{"id": i, "v": "new"} for i in range(2, 6)], strategy)

    assert values(lake, "id", "v") == [(0, "old"), (1, "old"), (2, "new"), (3, "new"), (4, "new"), (5, "new")]
    assert lake.snapshots("bronze.items") == 2
    assert lake.rows("bronze.items").__len__() == 6


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_files_without_a_match_stay(lake: Lake, pipeline: dlt.Pipeline, strategy: str) -> None:
    for start in (0, 100, 200):
        merge(pipeline, [{"id": start + i, "v": 0} for i in range(10)], strategy)
    before = {file["file_path"] for file in lake.table("bronze.items").inspect.files().to_pylist()}

    merge(pipeline, [{"id": 105, "v": 1}, {"id": 55, "v": 1}], strategy)

    after = {file["file_path"] for file in lake.table("bronze.items").inspect.files().to_pylist()}
    assert (len(before), len(before & after), len(after)) == (3, 2, 4)
    assert len(values(lake, "id", "v")) == 31


def test_the_last_of_several_rows_with_one_key_wins(lake: Lake, pipeline: dlt.Pipeline) -> None:
    rows = [{"id": i % 50, "v": i} for i in range(20_000)]
    merge(pipeline, rows)
    merge(pipeline, [{"id": 1, "v": -1}, {"id": 1, "v": -2}])

    expected = {i: 19_950 + i for i in range(50)} | {1: -2}
    assert values(lake, "id", "v") == sorted(expected.items())


@pytest.mark.parametrize(("direction", "kept"), [("desc", 9), ("asc", 1)])
def test_dedup_sort_says_which_row_wins(
    lake: Lake, pipeline: dlt.Pipeline, direction: Any, kept: int
) -> None:
    merge(
        pipeline,
        [{"id": 1, "v": 5}, {"id": 1, "v": 9}, {"id": 1, "v": 1}, {"id": 1, "v": 3}],
        columns={"v": {"dedup_sort": direction}},
    )

    assert values(lake, "id", "v") == [(1, kept)]


def test_a_composite_key(lake: Lake, pipeline: dlt.Pipeline) -> None:
    merge(pipeline, [{"a": a, "b": b, "v": 0} for a in range(3) for b in "xy"], key=["a", "b"])
    merge(pipeline, [{"a": 1, "b": "x", "v": 1}, {"a": 9, "b": "x", "v": 1}], key=["a", "b"])

    assert [row for row in values(lake, "a", "b", "v") if row[2]] == [(1, "x", 1), (9, "x", 1)]
    assert len(values(lake, "a")) == 7


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["bool", "timestamp"])
def test_hard_deletes(lake: Lake, pipeline: dlt.Pipeline, strategy: str, kind: str) -> None:
    gone: Any = True if kind == "bool" else datetime(2024, 1, 1, tzinfo=UTC)
    kept: Any = False if kind == "bool" else None
    columns: Any = {"gone": {"hard_delete": True, "data_type": kind}}
    merge(pipeline, [{"id": i, "gone": kept} for i in range(3)], strategy, columns=columns)
    merge(
        pipeline,
        [{"id": 0, "gone": gone}, {"id": 1, "gone": kept}, {"id": 7, "gone": gone}, {"id": 8, "gone": kept}],
        strategy,
        columns=columns,
    )

    assert values(lake, "id") == [(1,), (2,), (8,)]


def test_insert_only_leaves_known_keys_alone(lake: Lake, pipeline: dlt.Pipeline) -> None:
    merge(pipeline, [{"id": 1, "v": "old"}], "insert-only")
    files = {file["file_path"] for file in lake.table("bronze.items").inspect.files().to_pylist()}
    merge(pipeline, [{"id": 1, "v": "new"}, {"id": 2, "v": "new"}], "insert-only")
    merge(pipeline, [{"id": 1, "v": "newer"}], "insert-only")

    assert values(lake, "id", "v") == [(1, "old"), (2, "new")]
    assert files <= {file["file_path"] for file in lake.table("bronze.items").inspect.files().to_pylist()}
    assert lake.snapshots("bronze.items") == 2


def test_delete_insert_by_merge_key_replaces_the_whole_slice(lake: Lake, pipeline: dlt.Pipeline) -> None:
    def load(rows: list[dict[str, Any]]) -> None:
        merge(pipeline, rows, "delete-insert", key=(), merge_key="day")

    load([{"day": date(2024, 1, d), "n": n} for d in (1, 2) for n in range(3)])
    load([{"day": date(2024, 1, 2), "n": 7}, {"day": date(2024, 1, 2), "n": 7}])

    assert values(lake, "day", "n") == [
        *((date(2024, 1, 1), n) for n in range(3)),
        (date(2024, 1, 2), 7),
        (date(2024, 1, 2), 7),
    ]


def test_rows_without_a_key_are_refused_and_counted(lake: Lake, pipeline: dlt.Pipeline) -> None:
    rows = pa.table({"id": pa.array([1, None, None], pa.int64())})

    with pytest.raises(PipelineStepFailed, match=r"2 rows have no value in the key id"):
        merge(pipeline, rows, columns={"id": {"nullable": True}})

    assert not [name for _, name in lake.catalog().list_tables("bronze") if name == "items"]


@pytest.mark.parametrize("strategy", [*STRATEGIES, "insert-only"])
def test_children_follow_their_roots(lake: Lake, pipeline: dlt.Pipeline, strategy: str) -> None:
    def order(number: int, *skus: str) -> dict[str, Any]:
        return {
            "id": number,
            "lines": [{"sku": sku, "tags": [{"t": f"{sku}{k}"} for k in range(2)]} for sku in skus],
        }

    merge(pipeline, [order(1, "a", "b", "c"), order(2, "d"), order(3, "e")], strategy)
    merge(pipeline, [order(1, "x"), order(4, "y", "z"), order(3)], strategy)

    expected = {1: ["x"], 2: ["d"], 3: [], 4: ["y", "z"]}
    if strategy == "insert-only":
        expected = {1: ["a", "b", "c"], 2: ["d"], 3: ["e"], 4: ["y", "z"]}
    roots = {row["_dlt_id"]: row["id"] for row in lake.duckdb("bronze.items").to_pylist()}
    assert sorted(roots.values()) == [1, 2, 3, 4]
    found: dict[int, list[str]] = {number: [] for number in expected}
    lines = {}
    for row in lake.duckdb("bronze.items__lines").to_pylist():
        found[roots[row["_dlt_parent_id"]]].append(row["sku"])
        lines[row["_dlt_id"]] = row["sku"]
    assert {number: sorted(skus) for number, skus in found.items()} == expected
    tags = lake.duckdb("bronze.items__lines__tags").to_pylist()
    assert sorted(row["t"] for row in tags) == sorted(f"{sku}{k}" for sku in lines.values() for k in range(2))
    assert all(lines[row["_dlt_parent_id"]] == row["t"][0] for row in tags)


ORDER = {"id": 1, "v": "a", "lines": [{"n": 1, "tags": [{"t": 1}]}, {"n": 2, "tags": []}]}
OTHER = {
    "fewer lines": {"id": 1, "v": "b", "lines": [{"n": 1, "tags": [{"t": 1}]}]},
    "no lines": {"id": 1, "v": "b", "lines": []},
    "another line": {"id": 1, "v": "b", "lines": [{"n": 1, "tags": [{"t": 1}]}, {"n": 3, "tags": []}]},
    "another tag": {"id": 1, "v": "b", "lines": [{"n": 1, "tags": [{"t": 2}]}, {"n": 2, "tags": []}]},
}


@pytest.mark.dealt
@pytest.mark.parametrize("strategy", ["upsert", "insert-only"])
@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("turned", [False, True], ids=["last", "first"])
def test_nested_rows_of_two_rows_with_one_key_are_not_mixed(
    lake: Lake, pipeline: dlt.Pipeline, strategy: str, name: str, turned: bool
) -> None:
    """dlt gives both the same ids."""
    rows = [OTHER[name], ORDER] if turned else [ORDER, OTHER[name]]

    with pytest.raises(PipelineStepFailed, match="1 key is in the load more than once with nested rows"):
        merge(pipeline, [*rows, {"id": 2, "v": "c", "lines": [{"n": 9, "tags": []}]}], strategy)

    assert not lake.catalog().table_exists("bronze.items")


@pytest.mark.parametrize("strategy", [*STRATEGIES, "insert-only"])
def test_a_row_that_comes_twice_has_its_nested_rows_once(
    lake: Lake, pipeline: dlt.Pipeline, strategy: str
) -> None:
    merge(
        pipeline, [ORDER, {"id": 2, "v": "c", "lines": [{"n": 9, "tags": []}]}, ORDER | {"v": "z"}], strategy
    )

    assert values(lake, "id", "v") == [(1, "z"), (2, "c")]
    assert values(lake, "n", table="bronze.items__lines") == [(1,), (2,), (9,)]
    assert values(lake, "t", table="bronze.items__lines__tags") == [(1,)]


def test_the_last_of_two_rows_with_one_key_keeps_its_nested_rows(lake: Lake, pipeline: dlt.Pipeline) -> None:
    merge(pipeline, [ORDER, OTHER["another line"]], "delete-insert")

    assert values(lake, "n", table="bronze.items__lines") == [(1,), (3,)]


def test_a_deleted_root_takes_its_children_along(lake: Lake, pipeline: dlt.Pipeline) -> None:
    columns: Any = {"gone": {"hard_delete": True, "data_type": "bool"}}
    merge(pipeline, [{"id": i, "gone": False, "lines": [{"n": i}]} for i in range(3)], columns=columns)
    merge(pipeline, [{"id": 1, "gone": True}], columns=columns)

    assert values(lake, "id") == [(0,), (2,)]
    assert values(lake, "n", table="bronze.items__lines") == [(0,), (2,)]


def test_a_merge_evolves_the_schema_in_its_commit(lake: Lake, pipeline: dlt.Pipeline) -> None:
    merge(pipeline, [{"id": 1, "v": 1}, {"id": 2, "v": 2}])
    merge(pipeline, [{"id": 2, "v": 3, "extra": "e"}])

    rows = lake.duckdb("bronze.items", "SELECT id, v, extra FROM t ORDER BY id").to_pylist()
    assert [tuple(row.values()) for row in rows] == [(1, 1, None), (2, 3, "e")]
    assert lake.snapshots("bronze.items") == 2


def test_files_written_before_a_rename_keep_their_values(lake: Lake, pipeline: dlt.Pipeline) -> None:
    merge(pipeline, [{"id": 1, "v": "one"}, {"id": 2, "v": "two"}])
    with lake.table("bronze.items").update_schema() as update:
        update.rename_column("v", "renamed")

    merge(pipeline, [{"id": 2, "renamed": "new"}])

    assert values(lake, "id", "renamed") == [(1, "one"), (2, "new")]


def test_a_table_of_another_writer_without_field_ids(
    lake: Lake, pipeline: dlt.Pipeline, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    merge(pipeline, pa.table({"id": [1], "v": ["one"]}))
    file = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"v": ["two", "three"], "id": [2, 3]}), file)
    lake.table("bronze.items").add_files([lake.put(file)])

    merge(pipeline, pa.table({"id": [3, 4], "v": ["new", "four"]}))

    assert values(lake, "id", "v") == [(1, "one"), (2, "two"), (3, "new"), (4, "four")]


def test_scd2_ends_old_versions_and_begins_new_ones(lake: Lake, pipeline: dlt.Pipeline) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def load(day: int, rows: list[dict[str, Any]]) -> None:
        disposition: Any = {
            "disposition": "merge",
            "strategy": "scd2",
            "boundary_timestamp": (start + timedelta(days=day)).isoformat(),
        }
        pipeline.run(dlt.resource(rows, name="items", write_disposition=disposition))

    load(0, [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}])
    load(1, [{"id": 1, "v": "a"}, {"id": 2, "v": "c"}])
    load(2, [{"id": 2, "v": "c"}, {"id": 3, "v": "d"}])
    load(3, [{"id": 1, "v": "a"}, {"id": 2, "v": "c"}, {"id": 3, "v": "d"}])

    def day(moment: datetime | None) -> int:
        return -1 if moment is None else (moment.astimezone(UTC) - start).days

    rows = lake.duckdb("bronze.items").to_pylist()
    found = sorted(
        (row["id"], row["v"], day(row["_dlt_valid_from"]), day(row["_dlt_valid_to"])) for row in rows
    )
    assert found == [(1, "a", 0, 2), (1, "a", 3, -1), (2, "b", 0, 1), (2, "c", 1, -1), (3, "d", 2, -1)]
    assert lake.snapshots("bronze.items") == 4


def test_scd2_with_an_active_record_timestamp_and_children(lake: Lake, pipeline: dlt.Pipeline) -> None:
    disposition: Any = {
        "disposition": "merge",
        "strategy": "scd2",
        "active_record_timestamp": "9999-12-31",
    }
    for v in ("a", "b"):
        rows = [{"id": 1, "v": v, "lines": [{"n": v}]}, {"id": 2, "v": "same", "lines": [{"n": "s"}]}]
        pipeline.run(dlt.resource(rows, name="items", write_disposition=disposition))

    ends = lake.duckdb("bronze.items", "SELECT v, _dlt_valid_to < TIMESTAMPTZ '9999-01-01' AS ended FROM t")
    assert sorted((row["v"], row["ended"]) for row in ends.to_pylist()) == [
        ("a", True),
        ("b", False),
        ("same", False),
    ]
    assert values(lake, "n", table="bronze.items__lines") == [("a",), ("b",), ("s",)]


def test_merges_of_many_rows_against_a_model(lake: Lake, pipeline: dlt.Pipeline) -> None:
    model: dict[int, int] = {}
    for round_ in range(4):
        keys = [(i * 7919 + round_ * 31) % 20_000 for i in range(8_000)]
        merge(pipeline, pa.table({"id": keys, "v": [round_ * 100_000 + i for i in range(8_000)]}))
        model |= {key: round_ * 100_000 + i for i, key in enumerate(keys)}

    assert values(lake, "id", "v") == sorted(model.items())
    assert lake.snapshots("bronze.items") == 4


def test_scd2_with_a_row_version_of_its_own_and_children(lake: Lake, pipeline: dlt.Pipeline) -> None:
    disposition: Any = {"disposition": "merge", "strategy": "scd2", "row_version_column_name": "version"}
    for v in ("a", "b", "b"):
        rows = [
            {"id": 1, "version": f"1{v}", "lines": [{"n": v}]},
            {"id": 2, "version": "2", "lines": [{"n": "s"}]},
        ]
        pipeline.run(dlt.resource(rows, name="items", write_disposition=disposition))

    roots = {row["_dlt_id"]: row["version"] for row in lake.duckdb("bronze.items").to_pylist()}
    lines = lake.duckdb("bronze.items__lines").to_pylist()
    assert sorted(roots.values()) == ["1a", "1b", "2"]
    assert sorted((roots[row["_dlt_parent_id"]], row["n"]) for row in lines) == [
        ("1a", "a"),
        ("1b", "b"),
        ("2", "s"),
    ]


@pytest.mark.parametrize("strategy", ["upsert", "insert-only"])
@pytest.mark.parametrize(
    ("key", "nulls", "told"),
    [
        ("id", [None, None, 1], "2 rows have no value in the key id"),
        (["id", "v"], [None, 2, 3], "1 row has no value in the key id, v"),
    ],
)
def test_null_keys_are_counted_for_every_strategy(
    lake: Lake, pipeline: dlt.Pipeline, strategy: str, key: Any, nulls: list[Any], told: str
) -> None:
    merge(pipeline, pa.table({"id": [7], "v": [0]}), strategy, key)
    before = lake.table("bronze.items").metadata_location

    with pytest.raises(PipelineStepFailed, match=told):
        merge(
            pipeline,
            pa.table({"id": pa.array(nulls, pa.int64()), "v": [0, 1, 2]}),
            strategy,
            key,
            columns={"id": {"nullable": True}},
        )

    assert lake.table("bronze.items").metadata_location == before


def test_delete_insert_of_a_partition_range_leaves_other_partitions(
    lake: Lake, pipeline: dlt.Pipeline
) -> None:
    from dlt.destinations.adapters import iceberg_adapter, iceberg_partition

    def load(days: range, n: int) -> None:
        rows = pa.table(
            {"day": [date(2024, 1, day) for day in days for _ in range(3)], "n": [n] * 3 * len(days)}
        )
        resource = dlt.resource(
            rows,
            name="items",
            write_disposition={"disposition": "merge", "strategy": "delete-insert"},
            merge_key="day",
        )
        pipeline.run(iceberg_adapter(resource, partition=[iceberg_partition.day("day")]))

    load(range(1, 7), 0)
    before = {file["file_path"] for file in lake.table("bronze.items").inspect.files().to_pylist()}
    load(range(3, 5), 1)

    assert values(lake, "day", "n") == [
        (date(2024, 1, day), 1 if day in (3, 4) else 0) for day in range(1, 7) for _ in range(3)
    ]
    after = {file["file_path"] for file in lake.table("bronze.items").inspect.files().to_pylist()}
    assert len(before & after) == 4

"""Parquet files become data files as they are where that reads right, and are written anew elsewhere."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import floe_ingest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lake

ROWS = {
    "id": pa.array(range(1000)),
    "small": pa.array([n % 7 for n in range(1000)], pa.int32()),
    "price": pa.array([Decimal(n) / 4 for n in range(1000)], pa.decimal128(12, 2)),
    "ratio": pa.array([n / 3 for n in range(1000)]),
    "day": pa.array([dt.date(2024, 5, 1)] * 1000),
    "at": pa.array([dt.datetime(2024, 5, 1, 12, n % 60) for n in range(1000)], pa.timestamp("us")),
    "zoned": pa.array([dt.datetime(2024, 5, 1, 12, n % 60) for n in range(1000)], pa.timestamp("us", "UTC")),
    "name": pa.array([f"name {n}" if n % 3 else None for n in range(1000)]),
    "raw": pa.array([bytes([n % 256]) for n in range(1000)]),
    "tags": pa.array([[f"t{n}"] * (n % 3) for n in range(1000)]),
    "place": pa.array([{"x": n, "more": [{"y": str(n)}]} for n in range(1000)]),
}


@pytest.fixture
def load(lake: Lake, tmp_path: Path) -> Callable[..., None]:
    """Load the Parquet files of ``tmp_path / data`` into ``raw.t``."""

    def run(**options: Any) -> None:
        source = {
            "name": "files",
            "source_type": "filesystem",
            "source_config": {"path": "data", "file_glob": "**/*.parquet"},
            "destination_table": "raw.t",
            **options,
        }
        catalog = {"uri": f"sqlite:///{lake.folder}/catalog.db", "warehouse": lake.folder.as_uri()}
        lake.folder.mkdir(exist_ok=True)
        file = tmp_path / "ingest.yaml"
        file.write_text(json.dumps({"catalog_config": catalog, "sources": [source]}))
        result = floe_ingest.run(floe_ingest.load_config(file))
        if told := [error.message for source in result.sources for error in source.errors]:
            raise AssertionError("\n".join(told))

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def data_files(lake: Lake) -> list[Path]:
    from pathlib import Path

    table = lake.table("raw.t")
    return [Path(task.file.file_path.removeprefix("file://")) for task in table.scan().plan_files()]


def writers(lake: Lake) -> set[str]:
    """Who wrote the table's data files: ``DuckDB`` for those that were written anew."""
    return {pq.read_metadata(file).created_by.split()[0] for file in data_files(lake)}


def both(lake: Lake) -> list[dict[str, Any]]:
    """Read the table by pyiceberg and by DuckDB; what they find must be equal."""
    one = lake.table("raw.t").scan().to_arrow()
    other = lake.duckdb("raw.t")
    names = sorted(one.column_names)
    rows = sorted(one.select(names).to_pylist(), key=repr)
    assert rows == sorted(other.select(names).to_pylist(), key=repr)
    return rows


def sorted_rows(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.select(sorted(table.column_names)).to_pylist(), key=repr)


def test_a_file_of_every_type_is_taken_in_as_it_is(load: Any, lake: Lake, data: Path) -> None:
    table = pa.table(ROWS)
    pq.write_table(table, data / "a.parquet", compression="zstd")
    load()

    assert writers(lake) == {"parquet-cpp-arrow"}
    assert both(lake) == sorted_rows(table)
    [file] = data_files(lake)
    # The pages are those of the source, byte for byte; the footer alone is another.
    source = (data / "a.parquet").read_bytes()
    start = len(source) - 8 - int.from_bytes(source[-8:-4], "little")
    assert file.read_bytes()[:start] == source[:start]
    assert not file.samefile(data / "a.parquet")


def test_a_later_change_of_the_source_leaves_the_table_alone(load: Any, lake: Lake, data: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2]}), data / "a.parquet")
    load()
    with (data / "a.parquet").open("r+b") as file:
        file.write(b"\0" * 100)

    assert [row["id"] for row in both(lake)] == [1, 2]


def test_required_columns_and_views_of_another_writer(load: Any, lake: Lake, data: Path) -> None:
    """dlt would write a file anew whose columns may not be NULL; pyiceberg knows no string_view."""
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string_view())])
    table = pa.table({"id": [1, 2], "name": pa.array(["a", "b"], pa.string_view())}, schema=schema)
    pq.write_table(table, data / "a.parquet")
    load()

    assert writers(lake) == {"parquet-cpp-arrow"}
    assert both(lake) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def test_missing_columns_and_another_order_of_columns(load: Any, lake: Lake, data: Path) -> None:
    pq.write_table(pa.table({"id": [1], "name": ["a"], "place": [{"x": 1, "y": 2}]}), data / "a.parquet")
    load()
    (data / "a.parquet").unlink()
    pq.write_table(pa.table({"place": [{"y": 3}], "new": [1.5], "id": [2]}), data / "b.parquet")
    load()

    assert writers(lake) == {"parquet-cpp-arrow"}
    assert both(lake) == [
        {"id": 1, "name": "a", "new": None, "place": {"x": 1, "y": 2}},
        {"id": 2, "name": None, "new": 1.5, "place": {"x": None, "y": 3}},
    ]


def test_wrong_ids_of_another_table_do_not_count(load: Any, lake: Lake, data: Path) -> None:
    """A wrong id would read as NULL, or as another column."""
    tagged = [
        pa.field("id", pa.int64(), metadata={"PARQUET:field_id": "2"}),
        pa.field("other", pa.int64(), metadata={"PARQUET:field_id": "1"}),
    ]
    pq.write_table(pa.table({"id": [1], "other": [2]}, schema=pa.schema(tagged)), data / "a.parquet")
    load()

    assert writers(lake) == {"parquet-cpp-arrow"}
    assert both(lake) == [{"id": 1, "other": 2}]


def _int96(path: Path) -> None:
    pq.write_table(pa.table({"x": [dt.datetime(2024, 5, 1)]}), path, use_deprecated_int96_timestamps=True)


def _brotli(path: Path) -> None:
    pq.write_table(pa.table({"x": ["a"]}), path, compression="brotli")


UNFIT: dict[str, pa.Table | Any] = {
    "nanoseconds": pa.table({"x": pa.array([1_000], pa.timestamp("ns"))}),
    "milliseconds": pa.table({"x": pa.array([1_000], pa.timestamp("ms"))}),
    "int96": _int96,
    "unsigned": pa.table({"x": pa.array([2**63], pa.uint64())}),
    "16 bits": pa.table({"x": pa.array([1], pa.int16())}),
    "uuid": pa.table({"x": pa.array([b"0" * 16], pa.uuid())}),
    "half float": pa.table({"x": pa.array([1.5], pa.float16())}),
    "fixed bytes": pa.table({"x": pa.array([b"ab"], pa.binary(2))}),
    "a codec that few know": _brotli,
    "a name that changes": pa.table({"Big Name": [1]}),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_would_read_wrong_is_written_anew(case: str, load: Any, lake: Lake, data: Path) -> None:
    content = UNFIT[case]
    if isinstance(content, pa.Table):
        pq.write_table(content, data / "a.parquet")
    else:
        content(data / "a.parquet")
    load()

    assert writers(lake) == {"DuckDB"}
    [row] = both(lake)
    assert None not in row.values()


def test_one_file_that_does_not_fit_is_written_anew_alone(load: Any, lake: Lake, data: Path) -> None:
    big = pa.table({"id": range(3_000_000), "x": pa.array(range(3_000_000), pa.int64())})
    pq.write_table(big, data / "a.parquet", use_dictionary=False, compression="none")
    pq.write_table(pa.table({"id": [-1], "x": pa.array([5], pa.int16())}), data / "b.parquet")
    load()

    assert writers(lake) == {"DuckDB", "parquet-cpp-arrow"}
    sums = lake.duckdb("raw.t", "SELECT count(*) AS n, sum(id)::BIGINT AS ids, sum(x)::BIGINT AS xs FROM t")
    total = 3_000_000 * 2_999_999 // 2
    assert sums.to_pylist() == [{"n": 3_000_001, "ids": total - 1, "xs": total + 5}]


def test_many_small_files_become_one(load: Any, lake: Lake, data: Path) -> None:
    for number in range(40):
        pq.write_table(pa.table({"id": [number]}), data / f"{number:02}.parquet")
    load()

    assert len(data_files(lake)) == 1
    assert [row["id"] for row in sorted(both(lake), key=lambda row: row["id"])] == list(range(40))


def test_a_file_beyond_the_target_size_is_cut(load: Any, lake: Lake, data: Path) -> None:
    table = pa.table({"id": range(600_000), "x": [n * 7919 % 1_000_003 for n in range(600_000)]})
    pq.write_table(table, data / "a.parquet", row_group_size=100_000)
    load(table_properties={"write.target-file-size-bytes": "1000000"})

    files = data_files(lake)
    assert len(files) > 2
    assert "parquet-cpp-arrow" not in writers(lake)
    assert lake.table("raw.t").scan().to_arrow().num_rows == 600_000


def test_the_tables_codec_is_kept(load: Any, lake: Lake, data: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3]}), data / "a.parquet", compression="snappy")
    load(table_properties={"write.parquet.compression-codec": "zstd"})

    [file] = data_files(lake)
    assert pq.read_metadata(file).row_group(0).column(0).compression == "ZSTD"


class TestPartitions:
    def test_a_file_of_one_partition_is_taken_in(self, load: Any, lake: Lake, data: Path) -> None:
        for day in (1, 2):
            rows = {"id": [day, 10 + day], "at": [dt.datetime(2024, 5, day, hour) for hour in (1, 23)]}
            pq.write_table(pa.table(rows), data / f"{day}.parquet", coerce_timestamps="us")
        load(partition_by=["day(at)"])

        assert writers(lake) == {"parquet-cpp-arrow"}
        table = lake.table("raw.t")
        assert sorted(row["partition"]["at_day"] for row in table.inspect.partitions().to_pylist()) == [
            dt.date(2024, 5, 1),
            dt.date(2024, 5, 2),
        ]
        assert sorted(row["id"] for row in both(lake)) == [1, 2, 11, 12]
        found = table.scan(row_filter="at >= '2024-05-02T00:00:00'").to_arrow()
        assert sorted(found["id"].to_pylist()) == [2, 12]

    @pytest.mark.parametrize(
        ("rows", "term"),
        [
            ({"k": ["a", "b"], "id": [1, 2]}, "k"),
            ({"k": ["a", None], "id": [1, 2]}, "k"),
            ({"k": [1, 1], "id": [1, 2]}, "bucket[4](k)"),
        ],
        ids=["two values", "a NULL beside one value", "a hash"],
    )
    def test_a_file_that_may_hold_two_is_written_anew(
        self, rows: dict[str, Any], term: str, load: Any, lake: Lake, data: Path
    ) -> None:
        pq.write_table(pa.table(rows), data / "a.parquet")
        load(partition_by=[term])

        assert writers(lake) == {"DuckDB"}
        assert sorted(row["id"] for row in both(lake)) == [1, 2]

    def test_a_file_of_nulls_alone_is_in_the_partition_of_nulls(
        self, load: Any, lake: Lake, data: Path
    ) -> None:
        pq.write_table(pa.table({"k": pa.array([None, None], pa.string()), "id": [1, 2]}), data / "a.parquet")
        load(partition_by=["k"])

        assert writers(lake) == {"parquet-cpp-arrow"}
        assert lake.table("raw.t").scan(row_filter="k is null").to_arrow().num_rows == 2


def test_rows_of_a_sorted_table_are_sorted(load: Any, lake: Lake, data: Path) -> None:
    pq.write_table(pa.table({"id": [3, 1, 2]}), data / "a.parquet")
    load(sort_by=["id"])

    assert lake.table("raw.t").scan().to_arrow()["id"].to_pylist() == [1, 2, 3]


def test_nan_hides_no_rows(load: Any, lake: Lake, data: Path) -> None:
    """pyarrow leaves a NaN out of its bounds; in DuckDB a NaN is greater than any number."""
    pq.write_table(pa.table({"id": [1, 2], "x": [1.0, float("nan")]}), data / "a.parquet")
    load()

    assert writers(lake) == {"parquet-cpp-arrow"}
    assert lake.duckdb("raw.t", "SELECT id FROM t WHERE x > 100").to_pylist() == [{"id": 2}]
    assert lake.table("raw.t").scan(row_filter="x >= 1.0").to_arrow()["id"].to_pylist() == [1]


def test_bounds_and_null_counts_prune_right(load: Any, lake: Lake, data: Path) -> None:
    pq.write_table(pa.table({"id": [1, None], "name": ["a", "\U0010ffff" * 40]}), data / "a.parquet")
    load()

    table = lake.table("raw.t")
    assert table.scan(row_filter="id is null").to_arrow().num_rows == 1
    assert table.scan(row_filter="id > 5").to_arrow().num_rows == 0
    assert not list(table.scan(row_filter="id > 5").plan_files())
    assert table.scan(row_filter="name > 'z'").to_arrow().num_rows == 1


def test_files_without_statistics(load: Any, lake: Lake, data: Path) -> None:
    """Dates are written anew, since nobody can tell whether readers can show them."""
    pq.write_table(pa.table({"id": [1, 2]}), data / "a.parquet", write_statistics=False)
    load()
    assert writers(lake) == {"parquet-cpp-arrow"}
    assert lake.table("raw.t").scan(row_filter="id = 2").to_arrow().num_rows == 1
    assert lake.table("raw.t").scan(row_filter="id is not null").to_arrow().num_rows == 2


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_other_write_modes(mode: str, load: Any, lake: Lake, data: Path) -> None:
    options = {"write_mode": mode, **({"primary_key": "id"} if mode == "merge" else {})}
    pq.write_table(pa.table({"id": [1, 2, 2], "v": ["a", "b", "c"]}), data / "a.parquet")
    load(**options)
    pq.write_table(pa.table({"id": [2, 3], "v": ["d", "e"]}), data / "b.parquet")
    load(**options)

    if mode == "merge":
        assert both(lake) == [{"id": 1, "v": "a"}, {"id": 2, "v": "d"}, {"id": 3, "v": "e"}]
    else:
        assert sorted(row["v"] for row in both(lake)) == ["a", "b", "c", "d", "e"]


def test_a_merge_meets_what_was_taken_in(load: Any, lake: Lake, data: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "v": ["a", "b"]}), data / "a.parquet")
    load()
    assert writers(lake) == {"parquet-cpp-arrow"}
    pq.write_table(pa.table({"id": [2], "v": ["c"]}), data / "a.parquet")
    load(write_mode="merge", primary_key="id")

    assert both(lake) == [{"id": 1, "v": "a"}, {"id": 2, "v": "c"}]


def test_a_frozen_table_refuses_new_columns(load: Any, lake: Lake, data: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), data / "a.parquet")
    load(schema_contract="freeze")
    pq.write_table(pa.table({"id": [1], "new": [2]}), data / "a.parquet")
    with pytest.raises(AssertionError, match=r"new +new +long"):
        load(schema_contract="freeze")

    load(schema_contract="discard_value")
    assert both(lake) == [{"id": 1}, {"id": 1}]
